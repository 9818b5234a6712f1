//! What is in the messages: the number of a socket and of its message determine it, so an echo is checked without its
//! original.

use towline_protocol::Message;

use crate::random::Random;

/// The largest message.
const LARGEST: usize = 100 * 1024;

/// Messages are pieces of these, from wherever their number says.
const NOISE: usize = 1024 * 1024;

/// Text is made of units of so many bytes, and may be cut between any two of them.
const UNIT: usize = 4;
const UNITS: [&str; 6] = ["abcd", "{\"\":", "12 \n", "éü", "€u", "🦀"];

#[derive(Debug)]
pub(crate) struct Content {
    seed: u64,
    binary: Vec<u8>,
    text: Vec<u8>,
}

/// A message as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) is_text: bool,
    pub(crate) payload: &'a [u8],
}

impl Content {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, u64::MAX);
        let binary = (0..NOISE).map(|_| random.next() as u8).collect();
        let units = (0..NOISE / UNIT).flat_map(|_| random.pick(&UNITS).bytes());
        let text = units.collect();
        Self { seed, binary, text }
    }

    /// The message of this number, from 0, of a socket.
    pub(crate) fn message(&self, socket: u64, number: u64) -> Piece<'_> {
        let mut random = Random::new(self.seed ^ socket, number);
        let is_text = random.percent(50);
        let size = size(&mut random);
        let at = random.between(0, NOISE - LARGEST);
        let (noise, at, size) = if is_text {
            (&self.text, at / UNIT * UNIT, size / UNIT * UNIT)
        } else {
            (&self.binary, at, size)
        };
        Piece {
            is_text,
            payload: &noise[at..at + size],
        }
    }
}

/// Mostly small; the borders are those of the lengths in a header and of the buffers.
fn size(random: &mut Random) -> usize {
    match random.between(0, 1000) {
        0..50 => 0,
        50..650 => random.between(1, 126),
        650..700 => random.pick(&[125, 126, 1023, 1024, 1025, 16_384, 65_535, 65_536]),
        700..920 => random.between(126, 2000),
        920..990 => random.between(2000, 16_384),
        _ => random.between(16_384, LARGEST + 1),
    }
}

impl Piece<'_> {
    /// Whether it is this that has come back.
    pub(crate) fn is(&self, message: &Message) -> bool {
        self.is_text == message.is_text() && self.payload == message.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_and_text_is_text() {
        let content = Content::new(1);
        let mut largest = 0;
        for number in 0..2000 {
            let piece = content.message(7, number);
            let again = content.message(7, number);
            assert_eq!(
                (piece.is_text, piece.payload),
                (again.is_text, again.payload)
            );
            if piece.is_text {
                std::str::from_utf8(piece.payload).unwrap();
            }
            if piece.payload.len() > 16 {
                assert_ne!(piece.payload, content.message(8, number).payload);
                assert_ne!(piece.payload, content.message(7, number + 1).payload);
            }
            largest = largest.max(piece.payload.len());
        }
        assert!((65_536..=LARGEST).contains(&largest), "{largest}");
    }
}
