//! What has arrived in part: a header, a control frame's payload, a message.

use super::{Frame, spare};
#[cfg(feature = "deflate")]
use crate::deflate::Inflater;
use crate::frame::Header;
use crate::mask::Mask;
use crate::message::{Message, Text};
use crate::utf8::Utf8Stream;
use crate::violation::Violation;

/// A frame is read straight into its message while at least this much of it is missing ...
const READ_MISSING: usize = 4 * 1024;
/// ... and at least this much of the message is there. Until then it is worth no buffer of its own.
const READ_PRESENT: usize = 16 * 1024;

/// The beginning of a header.
#[derive(Clone, Copy)]
pub(super) struct PartialHeader {
    bytes: [u8; Header::MAX_SIZE],
    len: u8,
}

impl PartialHeader {
    pub(super) const EMPTY: Self = Self {
        bytes: [0; Header::MAX_SIZE],
        len: 0,
    };

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Completes the header from the front of `input`, and tells how much of that it took; `None` takes all.
    #[inline]
    pub(super) fn complete(&mut self, input: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        if self.len > 0 {
            return self.join(input);
        }
        let header = Header::parse(input)?;
        if header.is_none() {
            self.bytes[..input.len()].copy_from_slice(input);
            self.len = input.len() as u8;
        }
        Ok(header)
    }

    #[cold]
    fn join(&mut self, input: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let had = usize::from(self.len);
        let taken = input.len().min(self.bytes.len() - had);
        let joined = &mut self.bytes[..had + taken];
        joined[had..].copy_from_slice(&input[..taken]);

        let header = Header::parse(joined)?;
        self.len = if header.is_none() {
            joined.len() as u8
        } else {
            0
        };
        Ok(header.map(|(header, size)| (header, size - had)))
    }
}

/// A message in progress.
pub(super) struct Partial {
    /// Its payload so far. What was read into it directly may still be masked.
    pub(super) payload: Vec<u8>,
    /// How much of the payload is unmasked and checked.
    settled: usize,
    /// The check of a text; `None` for a binary message.
    utf8: Option<Utf8Stream>,
    /// How many frames it has come in, the current one included.
    pub(super) frames: u32,
    /// Whether the buffer is one that the thread had already.
    reused: bool,
    /// That is larger than what has arrived is worth.
    ahead: Option<spare::Ahead>,
    pub(super) is_compressed: bool,
    /// How much of a compressed message has arrived.
    pub(super) wire: usize,
}

impl Partial {
    pub(super) fn text(is_compressed: bool) -> Self {
        Self {
            utf8: Some(Utf8Stream::default()),
            ..Self::binary(is_compressed)
        }
    }

    pub(super) const fn binary(is_compressed: bool) -> Self {
        Self {
            payload: Vec::new(),
            settled: 0,
            utf8: None,
            frames: 1,
            reused: false,
            ahead: None,
            is_compressed,
            wire: 0,
        }
    }

    /// Appends payload of `frame` from the front of `input`, after what was read directly, and tells how much of the
    /// input it took.
    pub(super) fn append(&mut self, frame: &mut Frame, input: &[u8]) -> Result<usize, Violation> {
        let taken = input.len().min(frame.missing - self.unsettled(frame));
        self.reserve(taken, frame);
        self.payload.extend_from_slice(&input[..taken]);

        frame.missing -= self.unsettled(frame);
        let arrived = &mut self.payload[self.settled..];
        if let Some(mask) = &mut frame.mask {
            mask.apply(arrived);
        }
        self.settle()?;
        Ok(taken)
    }

    /// Checks what is new and unmasked.
    fn settle(&mut self) -> Result<(), Violation> {
        // Section 8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not,
        // in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
        if let Some(utf8) = &mut self.utf8 {
            utf8.push(&self.payload[self.settled..])?;
        }
        self.settled = self.payload.len();
        Ok(())
    }

    /// Appends what the payload of `frame` at the front of `input` inflates to, and tells how much of the input it took.
    #[cfg(feature = "deflate")]
    pub(super) fn inflate(
        &mut self,
        frame: &mut Frame,
        input: &mut [u8],
        inflater: &mut Inflater,
        limit: usize,
    ) -> Result<usize, Violation> {
        let taken = input.len().min(frame.missing);
        let arrived = &mut input[..taken];
        if let Some(mask) = &mut frame.mask {
            mask.apply(arrived);
        }
        frame.missing -= taken;
        self.wire += taken;
        inflater.inflate(arrived, &mut self.payload, limit)?;
        self.settle()?;
        Ok(taken)
    }

    /// Appends what is left of a compressed message that has arrived.
    #[cfg(feature = "deflate")]
    pub(super) fn inflate_end(
        &mut self,
        inflater: &mut Inflater,
        limit: usize,
    ) -> Result<(), Violation> {
        inflater.finish(&mut self.payload, limit)?;
        self.settle()
    }

    /// Makes room for what is read directly, and tells how much.
    pub(super) fn reserve_for_reading(&mut self, frame: &Frame) -> Option<usize> {
        let missing = frame.missing - self.unsettled(frame);
        if missing < READ_MISSING || self.payload.len() < READ_PRESENT {
            return None;
        }
        self.reserve(READ_MISSING, frame);
        Some(missing.min(self.payload.capacity() - self.payload.len()))
    }

    pub(super) fn buffered(&self) -> usize {
        if self.reused {
            self.payload.len()
        } else {
            self.payload.capacity()
        }
    }

    pub(super) fn finish(self) -> Result<Message, Violation> {
        let payload = spare::freeze(self.payload);
        match self.utf8 {
            Some(utf8) => {
                utf8.finish()?;
                Ok(Message::Text(Text::from_validated(payload)))
            }
            None => Ok(Message::Binary(payload)),
        }
    }

    /// How much was read directly since the last call of `append`.
    fn unsettled(&self, frame: &Frame) -> usize {
        let unsettled = self.payload.len().checked_sub(self.settled);
        unsettled
            .filter(|&unsettled| unsettled <= frame.missing)
            .expect("payload_buf() is for appending, within its limit")
    }

    /// Makes room for `additional` bytes of `frame`: by doubling what there is, since it arrived, but not past the end
    /// of the message where that is known.
    fn reserve(&mut self, additional: usize, frame: &Frame) {
        if self.payload.capacity() - self.payload.len() >= additional {
            return;
        }
        let arrived = self.payload.len();
        // This is within the limit of the message, which the header was checked against, so it does not overflow. Bytes that
        // were read directly are not added: they still count as missing.
        let whole = frame.fin.then(|| self.settled + frame.missing);
        // Both are lengths of slices, at most half of what a `usize` holds.
        let grown = arrived + additional.max(arrived);
        let wanted = whole.map_or(grown, |whole| whole.min(grown));
        let ahead = whole
            .filter(|&whole| whole > wanted)
            .and_then(spare::take_ahead);
        let spare = match ahead {
            Some((buffer, ahead)) => Some((buffer, Some(ahead))),
            None if wanted >= spare::MIN => spare::take(wanted).map(|buffer| (buffer, None)),
            None => None,
        };
        self.reused = spare.is_some();
        match spare {
            Some((mut buffer, ahead)) => {
                buffer.extend_from_slice(&self.payload);
                self.payload = buffer;
                self.ahead = ahead;
            }
            None => self.payload.reserve_exact(wanted - arrived),
        }
    }
}

/// Appends payload of a control frame from the front of `input`, and tells how much of that it took.
pub(super) fn append_control(payload: &mut Vec<u8>, frame: &mut Frame, input: &[u8]) -> usize {
    let taken = input.len().min(frame.missing);
    if taken > 0 {
        payload.reserve_exact(frame.missing);
        payload.extend_from_slice(&input[..taken]);
        frame.missing -= taken;
    }
    if frame.missing == 0 {
        unmask(frame.mask, payload);
    }
    taken
}

/// Unmasks a whole payload.
#[inline]
pub(super) fn unmask(mask: Option<Mask>, payload: &mut [u8]) {
    if let Some(mut mask) = mask {
        mask.apply(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Opcode;

    #[test]
    fn a_frame_of_the_largest_length_is_read_as_any_other() {
        const PIECE: usize = 20 * 1024;

        drop(spare::freeze(vec![0; 4 * PIECE]));
        let mut message = Partial::binary(false);
        let mut frame = Frame {
            fin: true,
            opcode: Opcode::Binary,
            mask: None,
            is_compressed: false,
            missing: usize::MAX,
        };
        message.append(&mut frame, &[1; PIECE]).unwrap();
        let room = message.reserve_for_reading(&frame).unwrap();
        message.payload.resize(PIECE + room, 2);
        assert!(message.reserve_for_reading(&frame).is_some());
        message.append(&mut frame, &[3; PIECE]).unwrap();
        assert_eq!(frame.missing, usize::MAX - 2 * PIECE - room);
        assert_eq!(message.payload.len(), 2 * PIECE + room);
    }
}
