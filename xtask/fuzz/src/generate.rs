//! Streams that get far into a decoder: conversations with nothing wrong, and then a little wrong.

use towline_protocol::{Limits, Role};

use crate::choices::Choices;
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, Length, PING, PONG, TEXT};
use crate::stream::{Cut, Stream};

/// The lengths around which a frame or a decoder changes its ways.
const SIZES: &[usize] = &[
    0, 1, 2, 3, 4, 63, 64, 124, 125, 126, 127, 128, 4095, 4096, 4097, 16_383, 16_384, 16_385,
    20_480, 20_481, 40_000, 65_535, 65_536, 65_537, 100_000,
];

/// Characters of one to four bytes, and the borders between these.
const CHARACTERS: &[char] = &[
    'a',
    'z',
    '\0',
    '\u{7f}',
    '\u{80}',
    'é',
    '\u{7ff}',
    '\u{800}',
    '€',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ffff}',
    '\u{10000}',
    '😀',
    '\u{10ffff}',
];

/// Bytes that no UTF-8 has, or not at this place.
const NO_TEXT: &[&[u8]] = &[
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xc1",
    b"\xe0\x80\x80",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf0\x80",
    b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80",
];

/// Close codes that must not be sent, beside one that only a client sends.
const BAD_CODES: &[u16] = &[
    1005, 1006, 1015, 1004, 0, 999, 1010, 1016, 2999, 5000, 65_535,
];

/// A stream, in most cases one with something wrong.
pub(crate) fn stream(choices: &mut Choices<'_>) -> Stream {
    let role = choices.pick(&[Role::Server, Role::Client]);
    let limits = limits(choices);
    let cuts = cuts(choices);
    let mut frames = conversation(choices, role);
    if choices.once_in(2) {
        spoil(choices, &mut frames);
        while choices.once_in(3) {
            spoil(choices, &mut frames);
        }
    }
    let mut wire = encode(&frames);
    if choices.once_in(4) {
        while choices.more() {
            spoil_bytes(choices, &mut wire);
        }
    }
    Stream {
        role,
        limits,
        cuts,
        wire,
    }
}

/// The frames of a connection, with nothing wrong as long as no limit is smaller than the default.
pub(crate) fn conversation(choices: &mut Choices<'_>, role: Role) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < 30 && choices.more() {
        match choices.pick(&[TEXT, BINARY, TEXT, BINARY, TEXT, PING, PONG]) {
            TEXT => {
                let payload = text(choices);
                message(choices, TEXT, &payload, &mut frames);
            }
            BINARY => {
                let payload = binary(choices);
                message(choices, BINARY, &payload, &mut frames);
            }
            control_opcode => frames.push(control(choices, control_opcode)),
        }
    }
    if choices.once_in(2) {
        frames.push(close(choices));
    }
    if role == Role::Server {
        for frame in &mut frames {
            frame.mask = Some(choices.bytes());
        }
    }
    frames
}

pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in frames {
        frame.encode(&mut wire);
    }
    wire
}

pub(crate) fn cuts(choices: &mut Choices<'_>) -> Vec<Cut> {
    let mut cuts = Vec::new();
    while cuts.len() < 5 && choices.more() {
        cuts.push(match choices.up_to(4) {
            0 => Cut::Bytes(1),
            1 => Cut::Bytes(1 + choices.up_to(19)),
            2 => Cut::Bytes(1 + choices.up_to(300)),
            3 => Cut::Bytes(1 + choices.up_to(30_000)),
            _ => Cut::Direct,
        });
    }
    cuts
}

/// In most cases the defaults, else ones that a conversation comes close to.
fn limits(choices: &mut Choices<'_>) -> Limits {
    let mut limits = Limits::default();
    if choices.once_in(3) {
        limits.max_message_size = size(choices);
    }
    if choices.once_in(6) {
        limits.max_frame_size = Some(size(choices));
    }
    if choices.once_in(4) {
        limits.max_fragments = choices.up_to(4) as u32;
    }
    limits
}

fn size(choices: &mut Choices<'_>) -> usize {
    if choices.once_in(3) {
        choices.pick(SIZES)
    } else {
        choices.up_to(30)
    }
}

/// A message, in up to five fragments cut anywhere, with control frames between them.
fn message(choices: &mut Choices<'_>, opcode: u8, payload: &[u8], frames: &mut Vec<Frame>) {
    let mut bounds: Vec<usize> = (0..choices.pick(&[0, 0, 1, 2, 4]))
        .map(|_| choices.up_to(payload.len()))
        .collect();
    bounds.extend([0, payload.len()]);
    bounds.sort_unstable();
    let last = bounds.len() - 2;
    for (index, bounds) in bounds.windows(2).enumerate() {
        if index > 0 && choices.once_in(4) {
            let opcode = choices.pick(&[PING, PONG]);
            frames.push(control(choices, opcode));
        }
        let opcode = if index == 0 { opcode } else { CONTINUATION };
        let mut frame = Frame::new(opcode, payload[bounds[0]..bounds[1]].to_vec());
        frame.fin = index == last;
        frames.push(frame);
    }
}

fn text(choices: &mut Choices<'_>) -> Vec<u8> {
    let size = size(choices);
    let mut text = String::new();
    if size <= 30 {
        while text.len() < size {
            text.push(choices.pick(CHARACTERS));
        }
    } else {
        // Off by some bytes from where a block of the checking begins.
        text.extend((0..choices.up_to(3)).map(|_| 'a'));
        let character = choices.pick(CHARACTERS);
        while text.len() + character.len_utf8() <= size {
            text.push(character);
        }
        text.extend((text.len()..size).map(|_| 'z'));
    }
    text.into_bytes()
}

fn binary(choices: &mut Choices<'_>) -> Vec<u8> {
    let size = size(choices);
    let first = choices.byte();
    (0..size)
        .map(|index| first.wrapping_add(index as u8))
        .collect()
}

fn control(choices: &mut Choices<'_>, opcode: u8) -> Frame {
    let size = choices.pick(&[0, 1, 4, 5, 124, 125]);
    Frame::new(opcode, vec![choices.byte(); size])
}

fn close(choices: &mut Choices<'_>) -> Frame {
    let body = match choices.pick(&[0, 1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999]) {
        0 => Vec::new(),
        code => {
            let mut body = u16::to_be_bytes(code).to_vec();
            let reason = choices.pick(&["", "bye", "€", "grüße 😀"]);
            body.extend(reason.repeat(1 + choices.up_to(8)).bytes());
            body
        }
    };
    Frame::new(CLOSE, body)
}

/// Breaks one rule of RFC 6455, or none by chance.
fn spoil(choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
    if frames.is_empty() {
        return;
    }
    let at = choices.up_to(frames.len() - 1);
    let frame = &mut frames[at];
    match choices.up_to(11) {
        0 => frame.fin = !frame.fin,
        1 => frame.reserved = choices.pick(&[1, 2, 4]),
        2 => frame.opcode = choices.byte() & 15,
        3 => {
            frame.mask = match frame.mask {
                Some(_) => None,
                None => Some(choices.bytes()),
            };
        }
        4 => frame.length = choices.pick(&[Length::Two, Length::Eight]),
        5 => {
            let claims = [
                0,
                126,
                65_535,
                1 << 20,
                1 << 31,
                1 << 32,
                (1 << 63) - 1,
                1 << 63,
                u64::MAX,
            ];
            frame.length = Length::Claim(choices.pick(&claims));
        }
        6 => {
            let bad = choices.pick(NO_TEXT);
            let at = choices.up_to(frame.payload.len());
            frame.payload.splice(at..at, bad.iter().copied());
        }
        7 => {
            frame.opcode = choices.pick(&[PING, PONG, CLOSE]);
            frame
                .payload
                .resize(choices.pick(&[126, 127, 70_000]), b'c');
        }
        8 => {
            frame.opcode = CLOSE;
            frame.payload = choices.pick(BAD_CODES).to_be_bytes().to_vec();
        }
        9 => {
            frame.opcode = CLOSE;
            frame.payload = vec![choices.byte()];
        }
        10 => drop(frames.remove(at)),
        _ => {
            let other = choices.up_to(frames.len() - 1);
            frames.swap(at, other);
        }
    }
}

/// Breaks anything.
fn spoil_bytes(choices: &mut Choices<'_>, wire: &mut Vec<u8>) {
    let at = choices.up_to(wire.len());
    match choices.up_to(3) {
        0 => wire.truncate(at),
        1 => wire.insert(at, choices.byte()),
        2 => wire.splice(at..at, choices.bytes::<8>()).for_each(drop),
        _ => {
            if let Some(byte) = wire.get_mut(at) {
                *byte ^= 1 << choices.up_to(7);
            }
        }
    }
}

#[cfg(test)]
mod tests;
