//! The shortest way: what clients send most, messages that have arrived entirely and small ones that came together.

use std::ops::Range;

use super::whole::{BINARY, TEXT};
use super::{Decoder, Role, arena, message};
use crate::frame::{MASKED, MAX_LEN_7};
use crate::mask::Mask;
use crate::message::Message;
use crate::utf8;

/// A masked header with a length of 7 bits.
const HEADER: usize = 6;

/// A message found at the front of the input.
#[derive(Clone, Copy, Default)]
struct Found {
    is_text: bool,
    len: u8,
    /// Where its payload begins.
    start: u16,
}

impl Found {
    fn payload(self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }
}

impl Decoder {
    /// The most messages that [`decode_whole`](Self::decode_whole) takes at once ...
    pub const SMALL_MESSAGES: usize = 16;
    /// ... and the most bytes of more than one, those of their headers included.
    pub const SMALL_BYTES: usize = 1024;

    /// Moves unfragmented messages that have arrived entirely from the front of `input` to the end of `messages`: up to 16
    /// of up to 125 bytes each and 1 KiB together, or a single one of up to 64 KiB; how many bytes they were.
    ///
    /// It is only quicker than [`decode`](Self::decode), which has to deal with whatever this leaves: with all that is
    /// anything else, breaks the protocol or is incomplete.
    #[inline(always)]
    pub fn decode_whole(&mut self, input: &mut [u8], messages: &mut impl Extend<Message>) -> usize {
        if !self.is_between_messages() {
            return 0;
        }
        let Some(first) = self.next_small(input, 0) else {
            let Some((end, message)) = self.next_whole(input) else {
                return 0;
            };
            messages.extend(Some(message));
            return end;
        };
        let end = first.payload().end;
        if end == input.len() {
            let payload = arena::copy_small(&input[first.payload()]);
            messages.extend(Some(message(first.is_text, payload)));
            return end;
        }
        self.decode_run(input, first, messages)
    }

    /// What came together stays together: one copy for all.
    #[inline(never)]
    fn decode_run(
        &self,
        input: &mut [u8],
        first: Found,
        messages: &mut impl Extend<Message>,
    ) -> usize {
        let mut found = [first; Self::SMALL_MESSAGES];
        let mut count = 1;
        let mut end = first.payload().end;
        for slot in &mut found[1..] {
            let Some(next) = self.next_small(input, end) else {
                break;
            };
            *slot = next;
            end = next.payload().end;
            count += 1;
        }
        let run = arena::copy(&input[..end]);
        let slice = |found: &Found| message(found.is_text, run.slice(found.payload()));
        messages.extend(found[..count].iter().map(slice));
        end
    }

    /// The small message whose frame begins at `start`, if there is one, unmasked.
    #[inline(always)]
    fn next_small(&self, input: &mut [u8], start: usize) -> Option<Found> {
        let frame = input.get_mut(start..)?;
        let [first @ (TEXT | BINARY), second, a, b, c, d, rest @ ..] = frame else {
            return None;
        };
        let is_text = *first == TEXT;
        // Without a mask this is 128 or more.
        let len = *second ^ MASKED;
        let end = start + HEADER + usize::from(len);
        if len >= self.small_end || end > Self::SMALL_BYTES {
            return None;
        }
        let payload = rest.get_mut(..usize::from(len))?;
        let key = [*a, *b, *c, *d];
        Mask::new(key).apply(payload);
        if is_text && utf8::validate(payload).is_err() {
            // Back to what it was: it is refused where all else is.
            Mask::new(key).apply(payload);
            return None;
        }
        Some(Found {
            is_text,
            len,
            start: (start + HEADER) as u16,
        })
    }
}

/// From where on a length is none of a small message: a client gets no masked frames.
pub(super) const fn end(role: Role, max: u16) -> u8 {
    match role {
        Role::Client => 0,
        Role::Server if max < MAX_LEN_7 as u16 => max as u8 + 1,
        Role::Server => MAX_LEN_7 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Limits;
    use crate::encoder::encode_frame;
    use crate::frame::{FIN, Opcode};

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        encode_frame(&mut wire, opcode, payload, Some(KEY));
        wire
    }

    /// The messages that are taken at once, and how many bytes they were.
    fn take(decoder: &mut Decoder, wire: &mut [u8]) -> (Vec<Message>, usize) {
        let mut messages = Vec::new();
        let taken = decoder.decode_whole(wire, &mut messages);
        (messages, taken)
    }

    fn server() -> Decoder {
        Decoder::new(Role::Server, Limits::default())
    }

    #[test]
    fn messages_that_came_together_are_taken_together() {
        let [text, empty] = [masked(Opcode::Text, b"hi"), masked(Opcode::Binary, b"")];
        let mut wire = [&text[..], &empty, &text, &text[..7]].concat();
        let (messages, taken) = take(&mut server(), &mut wire);
        assert_eq!(messages, ["hi".into(), Vec::new().into(), "hi".into()]);
        assert_eq!(wire[taken..], text[..7]);
        assert_eq!(
            messages[0]
                .as_bytes()
                .as_ptr_range()
                .end
                .wrapping_add(2 * HEADER),
            messages[2].as_bytes().as_ptr()
        );
    }

    #[test]
    fn no_more_is_taken_at_once_than_is_said() {
        let mut small = masked(Opcode::Binary, b"x").repeat(Decoder::SMALL_MESSAGES + 1);
        assert_eq!(
            take(&mut server(), &mut small).0.len(),
            Decoder::SMALL_MESSAGES
        );

        let large = masked(Opcode::Binary, &[1; 125]);
        let mut large = large.repeat(Decoder::SMALL_MESSAGES);
        let (messages, taken) = take(&mut server(), &mut large);
        assert_eq!((messages.len(), taken), (7, 7 * (HEADER + 125)));
    }

    #[test]
    fn a_longer_one_is_taken_alone() {
        for len in [126, 1000, 65_535] {
            let longer = masked(Opcode::Binary, &vec![7; len]);
            let mut wire = [&longer[..], &longer].concat();
            let (messages, taken) = take(&mut server(), &mut wire);
            assert!(messages == [vec![7; len].into()]);
            assert_eq!(taken, longer.len());
        }
        let mut decoder = Decoder::new(Role::Client, Limits::default());
        let (messages, taken) = take(&mut decoder, &mut b"\x82\x04four\x82".to_vec());
        assert_eq!((messages, taken), (vec![b"four"[..].into()], 6));
    }

    #[test]
    fn all_else_is_left_as_it_was() {
        let limits = Limits {
            max_message_size: 10,
            ..Limits::default()
        };
        let small_frames = Limits {
            max_frame_size: Some(1),
            ..limits
        };
        let text = masked(Opcode::Text, b"text");
        for (role, limits, wire) in [
            (
                Role::Server,
                limits,
                masked(Opcode::Text, b"\xff, which is no text"),
            ),
            (Role::Server, limits, masked(Opcode::Text, b"\xff")),
            (Role::Server, limits, masked(Opcode::Binary, &[1; 11])),
            (Role::Server, limits, masked(Opcode::Binary, &[1; 200])),
            (Role::Server, small_frames, text.clone()),
            (Role::Server, limits, masked(Opcode::Ping, b"ping")),
            (Role::Server, limits, b"\x82\x04four".to_vec()),
            (Role::Server, limits, [b"\x02", &text[1..]].concat()),
            (Role::Server, limits, [b"\xc2", &text[1..]].concat()),
            (Role::Client, limits, text.clone()),
        ] {
            let mut left = wire.clone();
            let mut decoder = Decoder::new(role, limits);
            assert_eq!(take(&mut decoder, &mut left), (Vec::new(), 0));
            assert_eq!(left, wire);
        }
    }

    #[test]
    fn nothing_is_taken_within_a_frame_or_a_message() {
        let text = masked(Opcode::Text, b"text");
        let mut fragment = text.clone();
        fragment[0] ^= FIN;
        for before in [&fragment[..], &text[..3], &text[..8]] {
            let mut decoder = server();
            assert_eq!(decoder.decode(&mut before.to_vec()).unwrap().event, None);
            assert_eq!(take(&mut decoder, &mut text.clone()).1, 0);
        }
    }
}
