//! The decoder does not care how a stream is cut, and no bytes make it panic or hoard.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::close::CloseCode;
use crate::encoder::{encode_close, encode_frame, encode_header};

/// One event, and the fragments that a message comes in.
#[derive(Clone, Debug)]
struct Item {
    event: Event,
    cuts: Vec<Index>,
    /// A ping before the fragment of this index.
    ping: Option<Index>,
}

fn item() -> impl Strategy<Value = Item> {
    let control = vec(any::<u8>(), 0..=125).prop_map(Bytes::from);
    let event = prop_oneof![
        4 => "\\PC{0,80}".prop_map(|text| Event::Message(text.into())),
        4 => vec(any::<u8>(), 0..300).prop_map(|bytes| Event::Message(bytes.into())),
        1 => (0..70_000_usize).prop_map(|len| Event::Message(vec![b'x'; len].into())),
        1 => (0..70_000_usize).prop_map(|len| Event::Message("é".repeat(len / 2).into())),
        1 => control.clone().prop_map(Event::Ping),
        1 => control.prop_map(Event::Pong),
    ];
    let cuts = prop_oneof![Just(Vec::new()), vec(any::<Index>(), 0..5)];
    (event, cuts, any::<Option<Index>>()).prop_map(|(event, cuts, ping)| Item { event, cuts, ping })
}

fn close() -> impl Strategy<Value = Option<CloseFrame>> {
    let close = (3000..5000_u16, "\\PC{0,30}")
        .prop_map(|(code, reason)| CloseFrame::new(CloseCode::from(code), reason).unwrap());
    proptest::option::of(close)
}

/// The items on the wire, and the events that are to come of them.
fn encode(
    items: &[Item],
    last: Option<Option<CloseFrame>>,
    mask: Option<[u8; 4]>,
) -> (Vec<u8>, Vec<Event>) {
    let mut wire = Vec::new();
    let mut events = Vec::new();
    for Item { event, cuts, ping } in items {
        match event {
            Event::Message(message) => {
                let payload = message.as_bytes();
                let mut bounds: Vec<usize> = cuts
                    .iter()
                    .map(|cut| cut.index(payload.len() + 1))
                    .collect();
                bounds.extend([0, payload.len()]);
                bounds.sort_unstable();
                let fragments = bounds.len() - 1;
                let ping = ping.map(|ping| ping.index(fragments));
                for (i, bounds) in bounds.windows(2).enumerate() {
                    if ping == Some(i) {
                        encode_frame(&mut wire, Opcode::Ping, b"between", mask);
                        events.push(Event::Ping(Bytes::from_static(b"between")));
                    }
                    let opcode = match message {
                        _ if i > 0 => Opcode::Continuation,
                        Message::Text(_) => Opcode::Text,
                        Message::Binary(_) => Opcode::Binary,
                    };
                    let fragment = &payload[bounds[0]..bounds[1]];
                    let header = encode_header(opcode, fragment.len(), i + 1 == fragments, mask);
                    let start = wire.len();
                    encode_frame(&mut wire, opcode, fragment, mask);
                    wire[start..start + header.len()].copy_from_slice(&header);
                }
            }
            Event::Ping(payload) => encode_frame(&mut wire, Opcode::Ping, payload, mask),
            Event::Pong(payload) => encode_frame(&mut wire, Opcode::Pong, payload, mask),
            Event::Close(close) => encode_close(&mut wire, close.as_ref(), mask),
        }
        events.push(event.clone());
    }
    if let Some(close) = last {
        encode_close(&mut wire, close.as_ref(), mask);
        events.push(Event::Close(close));
    }
    (wire, events)
}

/// Decodes `wire` in pieces of `sizes` in turn, `None` being a read through `payload_buf` where there is one, and the
/// shortest way where it leads on if `small`. Checks on the way what holds for any input.
fn decode(
    decoder: &mut Decoder,
    wire: &[u8],
    sizes: &[Option<usize>],
    small: bool,
) -> (Vec<Event>, Option<Violation>) {
    let mut wire = wire.to_vec();
    let mut events = Vec::new();
    let mut at = 0;
    let mut sizes = sizes.iter().cycle();
    while at < wire.len() {
        let size = sizes.next().copied().unwrap_or(Some(usize::MAX));
        let mut end = at.saturating_add(size.unwrap_or(1000)).min(wire.len());
        if size.is_none()
            && let Some(mut buf) = decoder.payload_buf()
        {
            assert!(buf.remaining_mut() > 0);
            let read = buf.remaining_mut().min(wire.len() - at);
            buf.put_slice(&wire[at..at + read]);
            at += read;
            end = at;
        }
        loop {
            assert!(
                decoder.buffered() <= 2 * end + 125,
                "{} of {end}",
                decoder.buffered()
            );
            if small {
                let mut messages = Vec::new();
                at += decoder.decode_whole(&mut wire[at..end], &mut messages);
                events.extend(messages.into_iter().map(Event::Message));
            }
            match decoder.decode(&mut wire[at..end]) {
                Ok(Decoded {
                    consumed, event, ..
                }) => {
                    at += consumed;
                    if event.is_none() {
                        assert_eq!(at, end, "no event, and input left over");
                        break;
                    }
                    events.extend(event);
                }
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

fn sizes() -> impl Strategy<Value = Vec<Option<usize>>> {
    let size = prop_oneof![
        4 => (1..20_usize).prop_map(Some),
        2 => (1..300_usize).prop_map(Some),
        3 => (1..30_000_usize).prop_map(Some),
        3 => Just(None),
    ];
    vec(size, 1..12)
}

/// Bytes that get past the header more often than random ones.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => proptest::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let second =
        prop_oneof![8 => 0x80..=0x8f_u8, 2 => Just(0xfe), 1 => Just(0xff), 1 => any::<u8>()];
    let piece = (first, second, vec(any::<u8>(), 0..20)).prop_map(|(first, second, mut bytes)| {
        bytes.splice(0..0, [first, second]);
        // As long as it says, so that another header comes after it.
        if second < 0x90 {
            bytes.resize(2 + 4 + usize::from(second & 0x7f), b'z');
        }
        bytes
    });
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// A limit, often one near a power of two or the largest number.
fn limit() -> impl Strategy<Value = usize> {
    let powers = (0..usize::BITS, 0..3_usize).prop_map(|(bits, off)| (1_usize << bits) + off);
    prop_oneof![
        2 => Just(usize::MAX),
        1 => (0..20_usize).prop_map(|less| usize::MAX - less),
        2 => powers.prop_map(|limit| limit.saturating_sub(1)),
        1 => 0..200_usize,
    ]
}

/// A length as a header declares it.
fn declared() -> impl Strategy<Value = u64> {
    const MOST: u64 = u64::MAX >> 1;
    let powers = (0..63_u32, 0..3_u64).prop_map(|(bits, off)| ((1 << bits) + off).min(MOST));
    prop_oneof![
        2 => (0..200_u64).prop_map(|less| MOST - less),
        2 => powers.prop_map(|len| len.saturating_sub(1)),
        1 => 0..=MOST,
    ]
}

/// The header of a client's frame, its key all zeros.
fn header(first: u8, len: u64) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(0x80 | len as u8),
        126..=0xffff => {
            header.push(0x80 | 126);
            header.extend((len as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(len.to_be_bytes());
        }
    }
    [&header[..], &[0; 4]].concat()
}

proptest! {
    #[test]
    fn any_declared_length_is_safe_within_any_limit(
        max_message_size in limit(),
        max_frame_size in proptest::option::of(limit()),
        fragments in vec(0..300_usize, 0..3),
        compressed: bool,
        len in declared(),
        fin: bool,
        arrives in 0..60_000_usize,
        sizes in sizes(),
    ) {
        // The thread has buffers of messages that are gone, which is where a length is doubled.
        for size in [16 * 1024, 40_000] {
            drop(arena::copy(&vec![0; size]));
        }
        let limits = Limits { max_message_size, max_frame_size, max_fragments: 10 };
        let decoder = || {
            let decoder = Decoder::new(Role::Server, limits);
            #[cfg(feature = "deflate")]
            let decoder = decoder.with_deflate(&PerMessageDeflate {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                server_max_window_bits: None,
                client_max_window_bits: None,
            });
            decoder
        };
        let compressed = compressed && cfg!(feature = "deflate");
        let mut wire = Vec::new();
        let mut first = if compressed { 0x42 } else { 0x02 };
        for fragment in fragments {
            wire.extend(header(first, fragment as u64));
            // Inflated, these are empty blocks.
            wire.extend(b"\0\0\0\xff\xff".iter().cycle().take(fragment));
            first = 0x00;
        }
        wire.extend(header(first | if fin { 0x80 } else { 0x00 }, len));
        let arrives = arrives.min(usize::try_from(len).unwrap_or(usize::MAX));
        wire.extend(b"\0\0\0\xff\xff".iter().cycle().take(arrives));

        let (events, violation) = decode(&mut decoder(), &wire, &sizes, true);
        if let Some(violation) = violation {
            let corrupt = compressed && violation == Violation::CorruptData;
            prop_assert!(violation.close_code() == CloseCode::TOO_BIG || corrupt, "{violation}");
        }
        prop_assert_eq!(decode(&mut decoder(), &wire, &[], false), (events, violation));
    }

    #[test]
    fn any_cut_gives_the_same_events(
        items in vec(item(), 0..8),
        last in proptest::option::of(close()),
        mask in any::<Option<[u8; 4]>>(),
        sizes in sizes(),
        small: bool,
    ) {
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let (wire, expected) = encode(&items, last, mask);

        let mut whole = Decoder::new(role, Limits::default());
        prop_assert_eq!(decode(&mut whole, &wire, &[], false), (expected.clone(), None));

        let mut cut = Decoder::new(role, Limits::default());
        prop_assert_eq!(decode(&mut cut, &wire, &sizes, small), (expected, None));
        prop_assert_eq!((cut.buffered(), cut.is_mid_message()), (0, false));
    }

    #[test]
    fn any_bytes_are_safe_and_any_cut_of_them_the_same(
        wire in prop_oneof![hostile(), vec(any::<u8>(), 0..300)],
        sizes in sizes(),
        masked: bool,
        small: bool,
        max_message_size in 0..200_usize,
        max_fragments in 0..6_u32,
    ) {
        let role = if masked { Role::Server } else { Role::Client };
        let limits = Limits { max_message_size, max_frame_size: None, max_fragments };
        let whole = decode(&mut Decoder::new(role, limits), &wire, &[], false);
        let cut = decode(&mut Decoder::new(role, limits), &wire, &sizes, small);
        prop_assert_eq!(whole, cut);
    }
}
