//! The codec by itself: frames to messages and back, without sockets.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use towline_protocol::{Decoder, Event, Limits, Opcode, Role, encode_frame, encode_header};

fn main() {
    divan::main();
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Sizes of messages, each with how many of them come at a time.
const MESSAGES: [(usize, usize); 4] = [(16, 1), (16, 1000), (1 << 10, 16), (16 << 10, 1)];

#[divan::bench(args = MESSAGES)]
fn decode_binary(bencher: Bencher<'_, '_>, (size, count): (usize, usize)) {
    decode(bencher, &masked(Opcode::Binary, size).repeat(count), count);
}

#[divan::bench(args = MESSAGES)]
fn decode_text(bencher: Bencher<'_, '_>, (size, count): (usize, usize)) {
    decode(bencher, &masked(Opcode::Text, size).repeat(count), count);
}

/// A message of 16 KiB in so many frames.
#[divan::bench(args = [2, 16, 256])]
fn decode_fragmented(bencher: Bencher<'_, '_>, frames: usize) {
    let payload = payload(16 << 10);
    let mut wire = Vec::new();
    for (index, piece) in payload.chunks(payload.len() / frames).enumerate() {
        let opcode = match index {
            0 => Opcode::Text,
            _ => Opcode::Continuation,
        };
        let fin = index == frames - 1;
        wire.extend_from_slice(&encode_header(opcode, piece.len(), fin, Some(KEY)));
        let masked = piece.iter().zip(KEY.iter().cycle());
        wire.extend(masked.map(|(byte, key)| byte ^ key));
    }
    decode(bencher, &wire, 1);
}

/// A message of 16 KiB that arrives in pieces of so many bytes, as from a slow connection.
#[divan::bench(args = [100, 1460, 8192])]
fn decode_in_pieces(bencher: Bencher<'_, '_>, piece: usize) {
    let wire = masked(Opcode::Text, 16 << 10);
    bencher
        .counter(BytesCount::new(wire.len()))
        .with_inputs(|| (decoder(), wire.clone()))
        .bench_refs(|(decoder, wire)| {
            let pieces = wire.chunks_mut(piece);
            pieces.map(|piece| messages(decoder, piece)).sum::<usize>()
        });
}

#[divan::bench(args = MESSAGES)]
fn encode(bencher: Bencher<'_, '_>, (size, count): (usize, usize)) {
    encode_with(bencher, None, size, count);
}

#[divan::bench(args = MESSAGES)]
fn encode_masked(bencher: Bencher<'_, '_>, (size, count): (usize, usize)) {
    encode_with(bencher, Some(KEY), size, count);
}

/// Decodes `wire`, which has `count` messages in it.
fn decode(bencher: Bencher<'_, '_>, wire: &[u8], count: usize) {
    assert_eq!(messages(&mut decoder(), &mut wire.to_vec()), count);
    bencher
        .counter(BytesCount::new(wire.len()))
        .with_inputs(|| (decoder(), wire.to_vec()))
        .bench_refs(|(decoder, wire)| messages(decoder, wire));
}

fn encode_with(bencher: Bencher<'_, '_>, mask: Option<[u8; 4]>, size: usize, count: usize) {
    let payload = payload(size);
    let room = count * (size + 14);
    bencher
        .counter(BytesCount::new(count * size))
        .with_inputs(|| Vec::with_capacity(room))
        .bench_refs(|wire| {
            for _ in 0..count {
                encode_frame(wire, Opcode::Binary, black_box(&payload), mask);
            }
        });
}

/// Takes all events out of `input`, and tells how many messages there were.
fn messages(decoder: &mut Decoder, mut input: &mut [u8]) -> usize {
    let mut messages = 0;
    loop {
        let decoded = decoder.decode(input).expect("the frames are valid");
        match decoded.event {
            Some(Event::Message(message)) => {
                black_box(message);
                messages += 1;
            }
            Some(_) => unreachable!("there are no control frames"),
            None => return messages,
        }
        input = &mut input[decoded.consumed..];
    }
}

fn decoder() -> Decoder {
    Decoder::new(Role::Server, Limits::default())
}

fn masked(opcode: Opcode, size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    encode_frame(&mut wire, opcode, &payload(size), Some(KEY));
    wire
}

/// Text with a character beyond ASCII now and then.
fn payload(size: usize) -> Vec<u8> {
    let text = "Text as people write it, with some “quotes” and Grüße. ";
    let mut payload = text.repeat(size / text.len() + 1).into_bytes();
    payload.truncate(size);
    while std::str::from_utf8(&payload).is_err() {
        payload.pop();
    }
    payload.resize(size, b'.');
    payload
}
