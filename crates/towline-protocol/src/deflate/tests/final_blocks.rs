//! Messages from compressors that are finished with each message (RFC 7692 section 7.2.3.4).

use zlib_rs::{Deflate, DeflateFlush};

use super::*;

/// A whole deflate stream, which ends in a final block.
fn finished(payload: &[u8], level: i32) -> Vec<u8> {
    let mut stream = vec![0; 2 * payload.len() + 100];
    let mut deflate = Deflate::new(level, false, 15);
    let flush = DeflateFlush::Finish;
    deflate.compress(payload, &mut stream, flush).unwrap();
    stream.truncate(deflate.total_out() as usize);
    stream
}

fn decoder(no_takeover: bool, limit: usize) -> Decoder {
    let agreed = PerMessageDeflate {
        client_no_context_takeover: no_takeover,
        ..agreed()
    };
    let limits = Limits {
        max_message_size: limit,
        ..Limits::default()
    };
    Decoder::new(Role::Server, limits).with_deflate(&agreed)
}

/// Decodes compressed messages with this data.
fn receive(messages: &[&[u8]]) -> Result<Vec<Event>, Violation> {
    let wire: Vec<_> = messages.iter().flat_map(|data| frame(0xc2, data)).collect();
    let outcome = decode(&mut decoder(false, 1000), &wire, usize::MAX);
    assert_eq!(decode(&mut decoder(true, 1000), &wire, 1), outcome);
    outcome
}

fn binary<const N: usize>(messages: [&str; N]) -> Result<Vec<Event>, Violation> {
    let binary = |message: &str| Event::Message(message.as_bytes().into());
    Ok(messages.map(binary).to_vec())
}

#[test]
fn a_final_block_ends_a_message_with_and_without_the_octet() {
    // RFC 7692, 7.2.3.4: the message "0xf3 0x48 0xcd 0xc9 0xc9 0x07 0x00 0x00", of which the last octet is the beginning of
    // an empty block. Compressors that are finished with each message leave it out.
    for level in [0, 1, 6] {
        for octet in [&b""[..], b"\0"] {
            let data = ["first", "", "second", "third"]
                .map(|text| [&finished(text.as_bytes(), level), octet].concat());
            let messages = data.each_ref().map(Vec::as_slice);
            assert_eq!(
                receive(&messages),
                binary(["first", "", "second", "third"]),
                "level {level}, {octet:?}"
            );
        }
    }
}

#[test]
fn a_final_block_may_be_cut_anywhere() {
    let text = "again and again and again";
    for octet in [&b""[..], b"\0"] {
        for no_takeover in [false, true] {
            let data = [&finished(text.as_bytes(), 6), octet].concat();
            for at in 0..=data.len() {
                let (head, tail) = data.split_at(at);
                let message = [frame(0x42, head), frame(0x80, tail)].concat();
                let wire = message.repeat(3);
                for cut in 1..=message.len() {
                    assert_eq!(
                        decode(&mut decoder(no_takeover, 1000), &wire, cut),
                        binary([text; 3]),
                        "{octet:?}, frames cut at {at}, reads of {cut}"
                    );
                }
            }
        }
    }
}

#[test]
fn blocks_after_a_final_one_belong_to_the_message() {
    // RFC 7692, 7.2.1: "The next DEFLATE block follows the padded data if any."
    let [one, two, next] = [&b"one, "[..], b"two", b"next"].map(|text| finished(text, 6));
    let both = [&one[..], &two].concat();
    let mut unfinished = Vec::new();
    let mut deflater = client(&agreed());
    deflater.encode(
        &mut unfinished,
        Opcode::Binary,
        Fragment::WHOLE,
        b"two",
        None,
    );
    let then_unfinished = [&one[..], &unfinished[2..]].concat();
    let with_empty_block = [&one[..], &[0, 0, 0, 0xff, 0xff], &two].concat();
    for data in [&both, &then_unfinished, &with_empty_block] {
        let messages = [data, &next].map(Vec::as_slice);
        assert_eq!(
            receive(&messages),
            binary(["one, two", "next"]),
            "{data:x?}"
        );
    }
}

#[test]
fn anything_else_after_a_final_block_is_corrupt() {
    let block = finished(b"one", 6);
    // A block of a reserved type; two octets of which only one begins a block; a length that contradicts itself.
    for rest in [&b"\x06"[..], b"\0\0", b"\x01\x00\x00\x00\x00"] {
        let data = [&block[..], rest].concat();
        assert_eq!(receive(&[&data]), Err(Violation::CorruptData), "{rest:x?}");
    }
}

#[test]
fn a_compressed_message_may_have_no_data_at_all() {
    // RFC 7692, 7.2.3.6 has an octet of 0x00 in an empty message.
    let next = finished(b"next", 6);
    let messages: [&[u8]; 6] = [b"", b"\0", b"", &next, b"", &next];
    assert_eq!(receive(&messages), binary(["", "", "", "next", "", "next"]));
}

#[test]
fn a_context_outlives_a_message_without_data() {
    let mut decoder = decoder(false, 1000);
    let mut deflater = client(&agreed());
    let text = "a text that a later message refers to";
    let first = compressed(&mut deflater, Opcode::Binary, text.as_bytes());
    let again = compressed(&mut deflater, Opcode::Binary, text.as_bytes());
    assert!(again.len() < first.len() / 2);
    let wire = [first, frame(0xc2, b""), again].concat();
    assert_eq!(decode(&mut decoder, &wire, 1), binary([text, "", text]));
}

#[test]
fn the_limit_holds_over_all_streams_of_a_message() {
    let stream = finished(&[b'a'; 100], 6);
    for (streams, expected) in [(9, false), (10, false), (11, true)] {
        let wire = frame(0xc2, &stream.repeat(streams));
        let outcome = decode(&mut decoder(false, 1000), &wire, 7);
        assert_eq!(
            outcome == Err(Violation::MessageTooBig),
            expected,
            "{streams}"
        );
        assert_eq!(outcome.is_ok(), !expected, "{streams}");
    }
    // Empty final blocks are limited by the size of a message on the wire.
    let empty = frame(0x02, &b"\x03\x00".repeat(5_000));
    let wire = [frame(0x42, b""), [&[0x00], &empty[1..]].concat()].concat();
    let mut decoder = decoder(false, 20_000);
    decode(&mut decoder, &wire, 4096).unwrap();
    decode(&mut decoder, &[&[0x00], &empty[1..]].concat(), 4096).unwrap();
    let refused = decode(&mut decoder, &[&[0x00], &empty[1..]].concat(), 4096);
    assert_eq!(refused, Err(Violation::MessageTooBig));
}

/// A message, the level of its compressor, whether it has the octet, and how many frames it comes in.
fn message() -> impl Strategy<Value = (Vec<u8>, i32, bool, usize)> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop_oneof![Just(b'a'), Just(b'b')], 0..20_000),
        (0..20_000_usize).prop_map(noise),
    ];
    (payload, 0..=9_i32, any::<bool>(), 1..4_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn finished_messages_come_back_however_they_are_cut(
        messages in vec(message(), 1..6),
        no_takeover: bool,
        cut in prop_oneof![1..100_usize, 1..100_000_usize],
    ) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (payload, level, octet, frames) in messages {
            let mut data = finished(&payload, level);
            data.extend(octet.then_some(0));
            let pieces: Vec<_> = data.chunks(data.len().div_ceil(frames)).collect();
            for (index, piece) in pieces.iter().enumerate() {
                let first = if index == 0 { 0x42 } else { 0x00 };
                let fin = if index + 1 == pieces.len() { 0x80 } else { 0x00 };
                wire.extend(frame(first | fin, piece));
            }
            expected.push(Event::Message(payload.into()));
        }
        let mut decoder = decoder(no_takeover, 1 << 20);
        prop_assert!(decode(&mut decoder, &wire, cut) == Ok(expected));
        prop_assert_eq!(decoder.buffered(), 0);
    }
}
