//! Messages, each of which is unique in its run.

use towline_core::{Message, SendOptions};

/// Message number `id` of `size` bytes for the endpoint to send, and its options. The kinds, over and over: text that compresses well,
/// noise, such a text without compression, zeros.
pub(crate) fn message(id: u32, size: u32, kind: u32) -> (Message, SendOptions) {
    let message = match kind % 4 {
        1 => Message::from(payload(id, size, Filler::Noise)),
        3 => Message::from(payload(id, size, Filler::Zeros)),
        _ => {
            let text = payload(id, size, Filler::Text);
            Message::from(String::from_utf8(text).expect("ASCII"))
        }
    };
    (message, SendOptions::new().compress(kind % 4 != 2))
}

/// The content of a payload after its number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filler {
    Text,
    Noise,
    Zeros,
}

pub(crate) fn payload(id: u32, size: u32, filler: Filler) -> Vec<u8> {
    let size = size.min(400_000) as usize;
    let mut payload = format!("{id:04}").into_bytes();
    payload.truncate(size);
    let mut noise = id;
    while payload.len() < size {
        payload.push(match filler {
            Filler::Text => b'a' + (payload.len() % 26) as u8,
            Filler::Zeros => 0,
            Filler::Noise => {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            }
        });
    }
    payload
}

/// How long the header of an unmasked frame is.
pub(crate) const fn header(len: usize) -> usize {
    match len {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

/// A message, short enough for a report.
pub(crate) fn shown(message: &Message) -> String {
    let bytes = message.as_bytes();
    let front = bytes[..bytes.len().min(24)].escape_ascii();
    let kind = if message.is_text() { "text" } else { "binary" };
    format!("{kind} of {} bytes {front}", bytes.len())
}
