//! Frames on their way out: small ones merged, large payloads by reference.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
#[cfg(feature = "deflate")]
use towline_protocol::deflate::Deflater;
use towline_protocol::{CloseFrame, Message, Opcode, encode_close, encode_frame, encode_header};

/// The longest payload that goes the shortest way.
const SHORT: usize = 125;

/// A payload of this size or more is not copied: its frame's header and its bytes are written as they are.
const BY_REFERENCE: usize = 4096;

/// The most pieces that one vectored write takes.
const MAX_SLICES: usize = 16;

/// The capacity of a new buffer, so that it need not grow for a few frames ...
const BUFFER: usize = 1024;
/// ... and of the largest buffer and queue that are kept: more than this is queued for a stalled peer only.
const KEPT_BUFFER: usize = 128 * 1024;
const KEPT_PAYLOADS: usize = 64;

thread_local! {
    /// For the next frames: an idle socket holds no buffer, and a busy one allocates none.
    static SPARE: Cell<Option<Box<Frames>>> = const { Cell::new(None) };
}

/// Encoded frames in the order in which they go out.
///
/// Filled, then drained: nothing is pushed to one that is partly written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    // Boxed: mostly there are none, and an outbox moves.
    frames: Option<Box<Frames>>,
}

/// Something that is not yet written.
#[derive(Debug)]
struct Frames {
    /// Small frames, and the headers of large ones.
    merged: Vec<u8>,
    /// How much of those is written.
    written: usize,
    /// Payloads that are written as they are, and behind how much of `merged` each has its place.
    large: VecDeque<(usize, Bytes)>,
    /// How many bytes of those are not yet written.
    large_left: usize,
}

impl Outbox {
    /// Bytes not yet written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.frames.as_ref().map_or(0, |frames| frames.len())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_none()
    }

    /// Queues a message in one frame: a large payload is taken out of it, a small one copied.
    #[inline(always)]
    pub(crate) fn push_message(&mut self, message: &mut Message) {
        match &mut self.frames {
            Some(frames) if message.len() <= SHORT => {
                let (opcode, payload) = parts(message);
                encode_frame(&mut frames.merged, opcode, payload, None);
            }
            _ => self.push_any(message),
        }
    }

    /// Any message, or the first one. Not inlined, to leave the registers to the shortest way.
    #[inline(never)]
    fn push_any(&mut self, message: &mut Message) {
        let (opcode, payload) = parts(message);
        if payload.len() < BY_REFERENCE {
            self.append(|merged| encode_frame(merged, opcode, payload, None));
        } else {
            let payload = mem::take(message).into_bytes();
            let header = encode_header(opcode, payload.len(), true, None);
            self.frames().push_large(&header, payload);
        }
    }

    /// Queues a message of this compressed payload in one frame.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_compressed(&mut self, opcode: Opcode, payload: Vec<u8>) {
        let header = Deflater::encode_header(opcode, payload.len());
        if payload.len() < BY_REFERENCE {
            self.append(|merged| {
                merged.extend_from_slice(&header);
                merged.extend_from_slice(&payload);
            });
        } else {
            self.frames().push_large(&header, payload.into());
        }
    }

    /// Queues what is queued in `other`, which must be control frames.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_controls(&mut self, other: &Self) {
        if let Some(frames) = other.single() {
            self.append(|merged| merged.extend_from_slice(frames));
        }
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
        self.frames
            .as_ref()
            .is_none_or(|frames| frames.written == 0)
    }

    /// Queues the frames that `encode` appends.
    #[inline]
    pub(crate) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.frames().merged);
    }

    /// What is queued, to be appended to.
    #[inline]
    fn frames(&mut self) -> &mut Frames {
        let frames = self.frames.get_or_insert_with(Frames::take_spare);
        debug_assert_eq!(frames.written, 0, "what is partly written takes no more");
        frames
    }

    /// The next bytes, if what is queued is one piece.
    #[inline]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        let frames = self.frames.as_ref().filter(|it| it.large.is_empty())?;
        Some(&frames.merged[frames.written..])
    }

    /// The first pieces of what is queued.
    pub(crate) fn slices(&self) -> SmallVec<[IoSlice<'_>; MAX_SLICES]> {
        let mut slices = SmallVec::new();
        let Some(frames) = &self.frames else {
            return slices;
        };
        let mut push = |piece| {
            if slices.len() < MAX_SLICES && !<[u8]>::is_empty(piece) {
                slices.push(IoSlice::new(piece));
            }
        };
        let mut written = frames.written;
        for (place, payload) in frames.large.iter().take(MAX_SLICES) {
            push(&frames.merged[written..*place]);
            push(payload);
            written = *place;
        }
        push(&frames.merged[written..]);
        slices
    }

    /// Forgets the first `written` bytes.
    #[inline]
    pub(crate) fn advance(&mut self, written: usize) {
        if let Some(frames) = &mut self.frames {
            frames.advance(written);
            if frames.len() == 0 {
                Frames::put_spare(self.frames.take());
            }
        }
    }
}

/// What the frame of a message is made of.
#[inline]
fn parts(message: &Message) -> (Opcode, &[u8]) {
    match message {
        Message::Text(text) => (Opcode::Text, text.as_bytes()),
        Message::Binary(payload) => (Opcode::Binary, payload),
    }
}

impl Frames {
    #[inline]
    fn take_spare() -> Box<Self> {
        SPARE.take().unwrap_or_else(Self::new)
    }

    #[cold]
    fn new() -> Box<Self> {
        Box::new(Self {
            merged: Vec::with_capacity(BUFFER),
            written: 0,
            large: VecDeque::new(),
            large_left: 0,
        })
    }

    /// Keeps what is all written for the next.
    #[inline]
    fn put_spare(frames: Option<Box<Self>>) {
        let mut spare = frames.filter(|it| {
            it.merged.capacity() <= KEPT_BUFFER && it.large.capacity() <= KEPT_PAYLOADS
        });
        if let Some(spare) = &mut spare {
            spare.merged.clear();
            spare.written = 0;
        }
        SPARE.set(spare);
    }

    #[inline]
    fn len(&self) -> usize {
        self.merged.len() - self.written + self.large_left
    }

    #[inline(never)]
    fn push_large(&mut self, header: &[u8], payload: Bytes) {
        self.merged.extend_from_slice(header);
        self.large_left += payload.len();
        self.large.push_back((self.merged.len(), payload));
    }

    #[inline]
    fn advance(&mut self, mut written: usize) {
        if !self.large.is_empty() {
            written = self.advance_large(written);
        }
        self.written += written;
    }

    /// Forgets what is written up to the last large payload; how much is written behind that.
    #[inline(never)]
    fn advance_large(&mut self, mut written: usize) -> usize {
        while let Some((place, payload)) = self.large.front_mut() {
            let merged = written.min(*place - self.written);
            self.written += merged;
            written -= merged;
            let taken = written.min(payload.len());
            self.large_left -= taken;
            if taken < payload.len() {
                payload.advance(taken);
                return 0;
            }
            written -= taken;
            self.large.pop_front();
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
        outbox.push_message(&mut "x".into());
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
        assert!(outbox.frames.is_none());
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut outbox = Outbox::default();
        outbox.push_message(&mut "x".repeat(3 * BUFFER).into());
        let place = outbox.single().unwrap().as_ptr();
        drain(&mut outbox, usize::MAX);
        outbox.push_message(&mut "y".into());
        assert_eq!(outbox.single(), Some(&b"\x81\x01y"[..]));
        assert_eq!(outbox.single().unwrap().as_ptr(), place);
    }

    #[test]
    fn what_grew_huge_is_not_kept() {
        for messages in [
            vec![Message::from(vec![1; BY_REFERENCE]); KEPT_PAYLOADS + 1],
            vec![vec![1; BY_REFERENCE - 1].into(); KEPT_BUFFER / BY_REFERENCE + 2],
        ] {
            let mut outbox = Outbox::default();
            for mut message in messages {
                outbox.push_message(&mut message);
            }
            drain(&mut outbox, usize::MAX);
            assert!(SPARE.take().is_none());
        }
    }
}
