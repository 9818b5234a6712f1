//! Messages through both sides, and what breaks them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::close::CloseCode;
use crate::decoder::{Decoded, Decoder, Event, Limits, Role};
use crate::encoder::encode_frame;
use crate::frame::Opcode;
use crate::message::Message;
use crate::violation::Violation;

mod final_blocks;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn agreed() -> PerMessageDeflate {
    PerMessageDeflate {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: None,
        client_max_window_bits: None,
    }
}

fn server(limit: usize) -> Decoder {
    let limits = Limits {
        max_message_size: limit,
        ..Limits::default()
    };
    Decoder::new(Role::Server, limits).with_deflate(&agreed())
}

/// A client that compresses whatever it sends.
fn client(agreed: &PerMessageDeflate) -> Deflater {
    Deflater::new(agreed, &Compression::new(), Role::Client)
}

fn compressed(deflater: &mut Deflater, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    deflater.encode(&mut wire, opcode, Fragment::WHOLE, payload, Some(KEY));
    wire
}

fn decode(decoder: &mut Decoder, wire: &[u8], cut: usize) -> Result<Vec<Event>, Violation> {
    let mut events = Vec::new();
    for piece in wire.to_vec().chunks_mut(cut) {
        let mut rest = &mut piece[..];
        loop {
            let Decoded {
                consumed, event, ..
            } = decoder.decode(rest)?;
            rest = &mut rest[consumed..];
            let Some(event) = event else { break };
            events.push(event);
        }
    }
    Ok(events)
}

/// A frame of a client with whatever first byte and payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    encode_frame(&mut wire, Opcode::Binary, payload, Some(KEY));
    wire[0] = first;
    wire
}

/// Bytes that nothing makes shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn the_examples_of_the_rfc() {
    // RFC 7692, 7.2.3: one block, two frames, a second message with a context, a block without compression, a last block,
    // two blocks.
    let hello = || Ok(vec![Event::Message("Hello".into())]);
    let whole = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut kept = server(100);
    assert_eq!(decode(&mut kept, &frame(0xc1, &whole), 100), hello());
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(decode(&mut kept, &frame(0xc1, &again), 100), hello());

    let fragments = [frame(0x41, &whole[..3]), frame(0x80, &whole[3..])].concat();
    assert_eq!(decode(&mut server(100), &fragments, 100), hello());

    for payload in [
        &b"\x00\x05\x00\xfa\xffHello\x00"[..],
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        for cut in [1, 100] {
            let wire = frame(0xc1, payload);
            assert_eq!(
                decode(&mut server(100), &wire, cut),
                hello(),
                "{payload:x?}"
            );
        }
    }
}

#[test]
fn a_last_block_ends_no_context() {
    let mut decoder = server(100);
    let last = frame(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    for _ in 0..3 {
        let events = decode(&mut decoder, &last, 100);
        assert_eq!(events, Ok(vec![Event::Message("Hello".into())]));
    }
}

#[test]
fn the_limit_is_that_of_the_message() {
    for limit in [1, 100, CHUNK, CHUNK + 1, 3 * CHUNK, 100_000] {
        for payload in [noise(limit + 2), vec![b'a'; limit + 2]] {
            for len in [limit - 1, limit, limit + 1, limit + 2] {
                let wire = compressed(&mut client(&agreed()), Opcode::Binary, &payload[..len]);
                let events = decode(&mut server(limit), &wire, 4096);
                if len <= limit {
                    let message = Message::from(&payload[..len]);
                    assert!(
                        events == Ok(vec![Event::Message(message)]),
                        "{len} of {limit}"
                    );
                } else {
                    let violation = events.unwrap_err();
                    assert_eq!(
                        violation.close_code(),
                        CloseCode::TOO_BIG,
                        "{len} of {limit}"
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_compressed_is_endless() {
    // Empty blocks, which inflate to nothing.
    let blocks = b"\x00\x00\x00\xff\xff".repeat(1000);
    let mut decoder = server(10_000);
    decode(&mut decoder, &frame(0x42, &blocks), 4096).unwrap();
    decode(&mut decoder, &frame(0x00, &blocks), 4096).unwrap();
    let refused = decode(&mut decoder, &frame(0x00, &blocks), 4096);
    assert_eq!(refused, Err(Violation::MessageTooBig));

    let header = [0xc2, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let refused = decode(&mut server(10_000), &header, 100);
    assert_eq!(refused, Err(Violation::FrameTooBig));
}

#[test]
fn corrupt_data_are_invalid() {
    for payload in [
        &b"\xff\xff\xff"[..],
        b"\x00\x05\x00\x00\x00Hello",
        b"\xf2\x00\x11\x00\x00",
    ] {
        let refused = decode(&mut server(100), &frame(0xc2, payload), 100);
        assert_eq!(refused, Err(Violation::CorruptData), "{payload:x?}");
    }
    assert_eq!(
        Violation::CorruptData.close_code(),
        CloseCode::INVALID_PAYLOAD
    );

    // Text is checked as it is inflated.
    let bad = compressed(&mut client(&agreed()), Opcode::Text, b"not \xff text");
    let refused = decode(&mut server(100), &bad, 100);
    assert_eq!(refused, Err(Violation::InvalidUtf8));
    let cut = compressed(
        &mut client(&agreed()),
        Opcode::Text,
        "ends within é".as_bytes().split_last().unwrap().1,
    );
    assert_eq!(
        decode(&mut server(100), &cut, 100),
        Err(Violation::InvalidUtf8)
    );
}

#[test]
fn the_bit_is_for_the_first_frame_of_a_message() {
    let text = compressed(&mut client(&agreed()), Opcode::Text, b"text");
    let mut begun = text.clone();
    begun[0] = 0x41;
    for (before, first) in [
        (&b""[..], 0xa1),
        (b"", 0x91),
        (b"", 0xf1),
        (b"", 0xc9),
        (b"", 0xca),
        (b"", 0xc8),
        (&begun, 0xc0),
        (&begun, 0x40),
    ] {
        let wire = [before, &frame(first, b"")].concat();
        let refused = decode(&mut server(100), &wire, 100);
        assert_eq!(refused, Err(Violation::ReservedBits), "{first:x}");
    }
    // Nor is it for anything where nothing was negotiated.
    let mut plain = Decoder::new(Role::Server, Limits::default());
    assert_eq!(decode(&mut plain, &text, 100), Err(Violation::ReservedBits));
}

#[test]
fn an_idle_decoder_without_takeover_holds_no_context() {
    let mut agreed = agreed();
    agreed.client_no_context_takeover = true;
    let mut decoder = Decoder::new(Role::Server, Limits::default()).with_deflate(&agreed);
    let mut deflater = client(&agreed);
    let first = compressed(&mut deflater, Opcode::Text, b"again and again");
    for _ in 0..3 {
        let wire = compressed(&mut deflater, Opcode::Text, b"again and again");
        assert_eq!(wire, first);
        assert_eq!(decode(&mut decoder, &wire, 1).unwrap().len(), 1);
    }
    assert!(format!("{deflater:?}").contains("no_context_takeover: true"));
}

#[test]
fn a_server_does_more_than_it_says() {
    // The same 1000 bytes twice. They cannot be compressed, and only a window of more than 9 bits finds the repetition.
    let twice = noise(1000).repeat(2);
    let encoded = |agreed: &PerMessageDeflate, settings: &Compression| {
        let mut deflater = Deflater::new(agreed, settings, Role::Server);
        let mut wire = Vec::new();
        deflater.encode(&mut wire, Opcode::Binary, Fragment::WHOLE, &twice, None);
        let first = wire.len();
        deflater.encode(
            &mut wire,
            Opcode::Binary,
            Fragment::WHOLE,
            &twice[..300],
            None,
        );
        (first > 1900, wire.len() - first > 300)
    };
    let (wide, small) = (
        Compression::new(),
        Compression::new().server_window_bits(9).unwrap(),
    );
    let alone = wide.server_no_context_takeover(true);
    let limited = PerMessageDeflate {
        server_max_window_bits: Some(9),
        ..agreed()
    };
    // Expected: the window is small; each message is compressed by itself.
    for (agreed, settings, expected) in [
        (agreed(), wide, (false, false)),
        (agreed(), small, (true, true)),
        (limited, wide, (true, true)),
        (agreed(), alone, (false, true)),
    ] {
        assert_eq!(
            encoded(&agreed, &settings),
            expected,
            "{agreed:?} {settings:?}"
        );
    }
}

#[derive(Clone, Debug)]
struct Sent {
    payload: Vec<u8>,
    is_compressed: bool,
    pieces: usize,
    ping: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop_oneof![Just(b'a'), Just(b'b')], 0..40_000),
        (0..40_000_usize).prop_map(noise),
    ];
    (payload, any::<bool>(), 1..5_usize, any::<bool>()).prop_map(
        |(payload, is_compressed, pieces, ping)| Sent {
            payload,
            is_compressed,
            pieces,
            ping,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_messages_come_back_however_they_are_cut(
        messages in vec(sent(), 1..8),
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits in proptest::option::of(9..=15_u8),
        client_max_window_bits in proptest::option::of(9..=15_u8),
        level in 1..=9_u8,
        memory_level in 1..=9_u8,
        from_server: bool,
        cut in prop_oneof![1..100_usize, 1..100_000_usize],
    ) {
        let agreed = PerMessageDeflate {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        };
        let settings = Compression::new().level(level).unwrap().memory_level(memory_level).unwrap();
        let (from, to, mask) = if from_server {
            (Role::Server, Role::Client, None)
        } else {
            (Role::Client, Role::Server, Some(KEY))
        };
        let mut deflater = Deflater::new(&agreed, &settings, from);
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for Sent { payload, is_compressed, pieces, ping } in messages {
            if is_compressed {
                let piece = payload.len().div_ceil(pieces).max(1);
                let count = payload.chunks(piece).count().max(1);
                for index in 0..count {
                    let fragment = Fragment { first: index == 0, last: index + 1 == count };
                    let piece = payload.chunks(piece).nth(index).unwrap_or_default();
                    deflater.encode(&mut wire, Opcode::Binary, fragment, piece, mask);
                    if ping {
                        encode_frame(&mut wire, Opcode::Ping, b"between", mask);
                        if !fragment.last {
                            expected.push(Event::Ping(b"between"[..].into()));
                        }
                    }
                }
            } else {
                encode_frame(&mut wire, Opcode::Binary, &payload, mask);
            }
            expected.push(Event::Message(payload.into()));
            if is_compressed && ping {
                expected.push(Event::Ping(b"between"[..].into()));
            }
        }
        let mut decoder = Decoder::new(to, Limits::default()).with_deflate(&agreed);
        let events = decode(&mut decoder, &wire, cut);
        prop_assert!(events == Ok(expected));
        prop_assert_eq!(decoder.buffered(), 0);
    }
}
