//! Frames on their way out: small ones merged, large payloads by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use towline_protocol::{CloseFrame, Opcode, encode_close, encode_frame, encode_header};

/// A payload of this size or more is not copied: its frame's header and its bytes are written as they are.
const BY_REFERENCE: usize = 4096;

/// What the buffer of small frames starts with, so that it need not grow for a few.
const TAIL: usize = 512;

/// The most pieces that one vectored write takes.
pub(crate) const MAX_SLICES: usize = 16;

/// Encoded frames in the order in which they go out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// What is complete and will not grow.
    pieces: VecDeque<Bytes>,
    /// Small frames and headers behind them.
    tail: BytesMut,
    len: usize,
}

impl Outbox {
    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues one unfragmented frame; gives back a payload that was copied.
    pub(crate) fn push_frame(&mut self, opcode: Opcode, payload: Bytes) -> Option<Bytes> {
        let before = self.tail.len();
        if self.tail.capacity() == 0 {
            self.tail.reserve(TAIL);
        }
        if payload.len() < BY_REFERENCE {
            encode_frame(&mut self.tail, opcode, &payload, None);
            self.len += self.tail.len() - before;
            return Some(payload);
        }
        self.tail
            .extend_from_slice(&encode_header(opcode, payload.len(), true, None));
        self.len += self.tail.len() - before + payload.len();
        self.pieces.push_back(self.tail.split().freeze());
        self.pieces.push_back(payload);
        None
    }

    /// Queues a Close frame, empty for `None`.
    pub(crate) fn push_close(&mut self, close: Option<&CloseFrame>) {
        let before = self.tail.len();
        encode_close(&mut self.tail, close, None);
        self.len += self.tail.len() - before;
    }

    /// The first pieces of what is queued; how many there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let pieces = self.pieces.iter().map(|piece| &piece[..]).chain(tail);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Forgets the first `written` bytes.
    pub(crate) fn advance(&mut self, mut written: usize) {
        debug_assert!(written <= self.len);
        self.len -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.tail.advance(written);
        if self.len == 0 {
            // An idle socket holds no buffer.
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `step` bytes at a time, as a slow transport would.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = outbox.slices(&mut slices);
            let before = written.len();
            let bytes = slices[..count].iter().flat_map(|slice| slice.iter());
            written.extend(bytes.take(step));
            outbox.advance(written.len() - before);
        }
        written
    }

    #[test]
    fn bytes_leave_in_order_whatever_a_write_takes() {
        for step in [1, 3, 4096, usize::MAX] {
            let mut outbox = Outbox::default();
            let mut expected = BytesMut::new();
            for len in [0, 5, BY_REFERENCE, 7, BY_REFERENCE - 1, 3 * BY_REFERENCE] {
                let payload = Bytes::from(vec![len as u8; len]);
                encode_frame(&mut expected, Opcode::Binary, &payload, None);
                outbox.push_frame(Opcode::Binary, payload);
            }
            outbox.push_close(None);
            expected.extend_from_slice(&[0x88, 0]);
            assert_eq!(outbox.len(), expected.len());
            assert_eq!(drain(&mut outbox, step), expected);
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let payload = Bytes::from(vec![1; BY_REFERENCE]);
        let mut outbox = Outbox::default();
        outbox.push_frame(Opcode::Binary, payload.clone());

        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        assert_eq!(outbox.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }

    #[test]
    fn an_empty_outbox_holds_no_buffer() {
        let mut outbox = Outbox::default();
        outbox.push_frame(Opcode::Text, Bytes::from_static(b"x"));
        drain(&mut outbox, usize::MAX);
        assert_eq!((outbox.tail.capacity(), outbox.pieces.capacity()), (0, 0));
    }
}
