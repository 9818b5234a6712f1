//! Frames on their way out: small ones merged, large payloads by reference.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use towline_protocol::{CloseFrame, Message, Opcode, encode_close, encode_frame, encode_header};

use crate::pool;

/// A payload of this size or more is not copied: its frame's header and its bytes are written as they are.
const BY_REFERENCE: usize = 4096;

/// The most pieces that one vectored write takes.
const MAX_SLICES: usize = 16;

/// The largest queue of large payloads that is kept for the next socket.
const KEPT_PAYLOADS: usize = 64;

thread_local! {
    static SPARE_LARGE: Cell<Option<Box<Large>>> = const { Cell::new(None) };
}

/// Encoded frames in the order in which they go out.
///
/// Filled, then drained: nothing is pushed to one that is partly written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Small frames, and the headers of large ones.
    merged: Vec<u8>,
    /// How much of those is written.
    written: usize,
    /// How many bytes are not yet written.
    left: usize,
    // Boxed: mostly there is none, and an outbox moves.
    large: Option<Box<Large>>,
}

/// Payloads that are written as they are.
#[derive(Debug, Default)]
struct Large {
    /// And behind how much of `merged` each has its place.
    payloads: VecDeque<(usize, Bytes)>,
}

impl Outbox {
    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.left
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Queues a message in one frame: a large payload is taken out of it, a small one copied.
    #[inline]
    pub(crate) fn push_message(&mut self, message: &mut Message) {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(payload) => (Opcode::Binary, &payload[..]),
        };
        if payload.len() < BY_REFERENCE {
            self.append(|merged| encode_frame(merged, opcode, payload, None));
        } else {
            self.push_large(opcode, mem::take(message).into_bytes());
        }
    }

    #[inline(never)]
    fn push_large(&mut self, opcode: Opcode, payload: Bytes) {
        let header = encode_header(opcode, payload.len(), true, None);
        self.append(|merged| merged.extend_from_slice(&header));
        self.left += payload.len();
        let large = self
            .large
            .get_or_insert_with(|| SPARE_LARGE.take().unwrap_or_default());
        large.payloads.push_back((self.merged.len(), payload));
    }

    /// Queues a ping or a pong.
    pub(crate) fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.append(|merged| encode_frame(merged, opcode, payload, None));
    }

    /// Queues a Close frame, empty for `None`.
    pub(crate) fn push_close(&mut self, close: Option<&CloseFrame>) {
        self.append(|merged| encode_close(merged, close, None));
    }

    /// Whether more may be pushed: nothing of it is written.
    #[cfg(feature = "deflate")]
    pub(crate) fn is_untouched(&self) -> bool {
        self.written == 0
    }

    /// Queues what `encode` appends.
    #[inline]
    pub(crate) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        debug_assert_eq!(self.written, 0, "what is partly written takes no more");
        if self.merged.capacity() == 0 {
            self.merged = pool::take_buffer();
        }
        let before = self.merged.len();
        encode(&mut self.merged);
        self.left += self.merged.len() - before;
    }

    /// The next bytes, if what is queued is one piece.
    pub(crate) fn single(&self) -> Option<&[u8]> {
        self.large.is_none().then(|| &self.merged[self.written..])
    }

    /// The first pieces of what is queued.
    pub(crate) fn slices(&self) -> SmallVec<[IoSlice<'_>; MAX_SLICES]> {
        let mut slices = SmallVec::new();
        let mut push = |piece| {
            if slices.len() < MAX_SLICES && !<[u8]>::is_empty(piece) {
                slices.push(IoSlice::new(piece));
            }
        };
        let mut written = self.written;
        if let Some(large) = &self.large {
            for (place, payload) in large.payloads.iter().take(MAX_SLICES) {
                push(&self.merged[written..*place]);
                push(payload);
                written = *place;
            }
        }
        push(&self.merged[written..]);
        slices
    }

    /// Forgets the first `written` bytes.
    #[inline]
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.left -= written;
        if self.large.is_some() {
            written = self.advance_large(written);
        }
        self.written += written;
        if self.is_empty() {
            // An idle socket holds no buffer.
            self.written = 0;
            pool::put_buffer(mem::take(&mut self.merged));
        }
    }

    /// Forgets what is written up to the last large payload; how much is written behind that.
    #[inline(never)]
    fn advance_large(&mut self, mut written: usize) -> usize {
        let Some(large) = &mut self.large else {
            return written;
        };
        while let Some((place, payload)) = large.payloads.front_mut() {
            let merged = written.min(*place - self.written);
            self.written += merged;
            written -= merged;
            let taken = written.min(payload.len());
            if taken < payload.len() {
                payload.advance(taken);
                return 0;
            }
            written -= taken;
            large.payloads.pop_front();
        }
        if large.payloads.capacity() <= KEPT_PAYLOADS {
            SPARE_LARGE.set(self.large.take());
        } else {
            self.large = None;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `step` bytes at a time, as a slow transport would.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while !outbox.is_empty() {
            let mut bytes = Vec::new();
            for slice in outbox.slices() {
                bytes.extend_from_slice(&slice);
            }
            bytes.truncate(step);
            written.extend_from_slice(&bytes);
            outbox.advance(bytes.len());
        }
        written
    }

    #[test]
    fn bytes_leave_in_order_whatever_a_write_takes() {
        for step in [1, 3, 4096, usize::MAX] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for len in [0, 5, BY_REFERENCE, BY_REFERENCE, 7, BY_REFERENCE - 1].repeat(10) {
                let payload = Bytes::from(vec![len as u8; len]);
                encode_frame(&mut expected, Opcode::Binary, &payload, None);
                outbox.push_message(&mut payload.into());
            }
            outbox.push_close(None);
            expected.extend_from_slice(&[0x88, 0]);
            assert_eq!(outbox.len(), expected.len());
            assert!(drain(&mut outbox, step) == expected, "in steps of {step}");
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let payload = Bytes::from(vec![1; BY_REFERENCE]);
        let mut outbox = Outbox::default();
        outbox.push_message(&mut payload.clone().into());

        let slices = outbox.slices();
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
        assert_eq!(outbox.single(), None);
    }

    #[test]
    fn small_frames_are_one_piece() {
        let mut outbox = Outbox::default();
        outbox.push_message(&mut "x".into());
        outbox.push_message(&mut "yz".into());
        assert_eq!(outbox.single(), Some(&b"\x81\x01x\x81\x02yz"[..]));
        outbox.advance(4);
        assert_eq!(outbox.single(), Some(&b"\x02yz"[..]));
    }

    #[test]
    fn an_empty_outbox_holds_no_buffer() {
        let mut outbox = Outbox::default();
        outbox.push_message(&mut "x".into());
        outbox.push_message(&mut vec![1; BY_REFERENCE].into());
        drain(&mut outbox, usize::MAX);
        assert_eq!(outbox.merged.capacity(), 0);
        assert!(outbox.large.is_none());
    }
}
