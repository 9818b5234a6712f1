//! The short way: a message in one frame that has arrived entirely.

use super::partial::unmask;
use super::{Decoder, Limits, Role, State, arena, message};
use crate::frame::{FIN, LEN, LEN_16, MASKED, Opcode};
use crate::mask::Mask;
use crate::message::Message;
use crate::utf8;

pub(super) const TEXT: u8 = FIN | Opcode::Text as u8;
pub(super) const BINARY: u8 = FIN | Opcode::Binary as u8;

impl Decoder {
    /// The message at the front of `input`, copied to where it stays, and how many bytes it takes. There must be none in
    /// progress.
    ///
    /// All that is anything else, breaks the protocol or is incomplete is left as it was, for the long way.
    #[inline(never)]
    pub(super) fn next_whole(&self, input: &mut [u8]) -> Option<(usize, Message)> {
        let [first @ (TEXT | BINARY), second, rest @ ..] = input else {
            return None;
        };
        let is_text = *first == TEXT;
        let is_masked = *second & MASKED != 0;
        let (size, len, rest) = match *second & LEN {
            LEN_16 => {
                let (len, rest) = rest.split_first_chunk_mut()?;
                (4, u16::from_be_bytes(*len), rest)
            }
            len => (2, u16::from(len), rest),
        };
        // Any other length has a longer header than it needs, or a still longer one.
        let is_minimal = (len < u16::from(LEN_16)) == (size == 2);
        if !is_minimal || is_masked != matches!(self.role, Role::Server) || len > self.max_whole {
            return None;
        }
        let (size, mask, rest) = if is_masked {
            let (key, rest) = rest.split_first_chunk_mut()?;
            (size + key.len(), Some(Mask::new(*key)), rest)
        } else {
            (size, None, rest)
        };
        let payload = rest.get_mut(..usize::from(len))?;
        unmask(mask, payload);
        if is_text && utf8::validate(payload).is_err() {
            unmask(mask, payload);
            return None;
        }
        let message = message(is_text, arena::copy(payload));
        Some((size + usize::from(len), message))
    }

    #[inline]
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(&self.state, State::Header(partial) if partial.is_empty())
            && self.message.is_none()
    }
}

/// The longest message that comes this way.
pub(super) const fn max(limits: &Limits) -> u16 {
    let max = match limits.max_frame_size {
        Some(frame) if frame < limits.max_message_size => frame,
        _ => limits.max_message_size,
    };
    if max < u16::MAX as usize {
        max as u16
    } else {
        u16::MAX
    }
}
