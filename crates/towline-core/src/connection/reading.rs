//! What is read from a connection: frames, and at its end whatever comes.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;
use towline_protocol::{Decoded, Event};

use super::{Connection, Gone, Input, Output};
use crate::driver::Budget;
use crate::io::Read;
use crate::pool;
use crate::shared::{Batch, Shared};

/// How much is read, at most, before the endpoint has its turn.
const READ_AHEAD: usize = 64 * 1024;

/// The length of the shortest frame from a client, an empty one with its masking key (RFC 6455, 5.2).
const SHORTEST_FRAME: usize = 6;

impl Connection {
    /// Takes what the inbox has room for and the transport has, or most of it.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        if let Input::Discarded = self.input {
            return self.discard(budget, cx);
        }
        // Whatever woke the task in the first place may have been the transport.
        self.read_blocked = false;
        let mut bytes = 0;
        while self.takes_more(arrived) {
            bytes += self.read_once(arrived, budget, shared, cx)?;
            if self.read_blocked || bytes >= READ_AHEAD || budget.is_used_up() {
                break;
            }
        }
        // Compressed messages are larger than what was read. The frames of a message that came the long way count twice.
        budget.spend(bytes.max(arrived.bytes()), arrived.messages());
        self.note_arrived(arrived);
        Ok(())
    }

    #[inline]
    fn takes_more(&self, arrived: &Batch) -> bool {
        matches!(self.input, Input::Frames) && arrived.fits(self.room) && !self.is_paused()
    }

    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        let policies = self.policies.as_ref();
        policies.is_some_and(|policies| policies.is_paused())
    }

    /// Decodes what was read before, or what one read gives now.
    #[inline(always)]
    fn read_once(
        &mut self,
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> Result<usize, Gone> {
        if !self.undecoded.is_empty() {
            return Ok(self.decode_undecoded(arrived, budget, shared));
        }
        let payload = if self.decoder.is_mid_message() {
            self.read_payload(arrived, budget, shared, cx)?
        } else {
            None
        };
        let read = match payload {
            Some(read) => read,
            None => self.read_frames(arrived, budget, shared, cx)?,
        };
        if read.is_end() {
            // RFC 6455, 7.1.5: no Close frame was received, which is code 1006.
            return Err(Gone);
        }
        self.read_blocked = read.blocked;
        self.untold.received += read.bytes;
        Ok(read.bytes)
    }

    #[cold]
    fn decode_undecoded(
        &mut self,
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
    ) -> usize {
        let mut undecoded = mem::take(&mut self.undecoded);
        let taken = self.decode(&mut undecoded, arrived, budget, shared);
        undecoded.advance(taken);
        if !undecoded.is_empty() {
            self.undecoded = undecoded;
        }
        taken
    }

    #[inline(always)]
    fn read_frames(
        &mut self,
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> io::Result<Read> {
        let mut scratch = pool::take_scratch();
        let read = self.io.poll_read_front(cx, &mut *scratch);
        if let Ok(read) = &read {
            let filled = &mut scratch[..read.bytes];
            let taken = self.decode(filled, arrived, budget, shared);
            if taken < filled.len() {
                self.undecoded.extend_from_slice(&filled[taken..]);
            }
        }
        pool::put_scratch(scratch);
        read
    }

    /// Reads the rest of a frame to where it stays, if that is worth it.
    #[inline(never)]
    fn read_payload(
        &mut self,
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> io::Result<Option<Read>> {
        let Some(mut payload) = self.decoder.payload_buf() else {
            return Ok(None);
        };
        let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut payload);
        if let Poll::Ready(Ok(1..)) = read {
            self.decode_next(&mut [], arrived, budget, shared);
        }
        Read::from_poll(read).map(Some)
    }

    /// Decodes while there is room for more; how many bytes were used up.
    #[inline(always)]
    fn decode(
        &mut self,
        bytes: &mut [u8],
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
    ) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            if arrived.fits_small(self.room) {
                let small = self.decoder.decode_whole(&mut bytes[taken..], arrived);
                taken += small;
                if small > 0 {
                    continue;
                }
            }
            if !arrived.fits(self.room) || budget.is_used_up() {
                break;
            }
            // So many bytes have at most as many frames as the budget has left.
            let most = SHORTEST_FRAME * budget.frames();
            let end = bytes.len().min(taken + most);
            taken += self.decode_next(&mut bytes[taken..end], arrived, budget, shared);
            if !matches!(self.input, Input::Frames) {
                return bytes.len();
            }
        }
        taken
    }

    /// Decodes up to the next event, and returns the number of bytes that were used up.
    #[inline(never)]
    fn decode_next(
        &mut self,
        bytes: &mut [u8],
        arrived: &mut Batch,
        budget: &mut Budget,
        shared: &Shared,
    ) -> usize {
        let violation = match self.decoder.decode(bytes) {
            Ok(Decoded {
                consumed,
                event,
                frames,
            }) => {
                budget.spend(0, frames);
                match event {
                    Some(Event::Message(message)) => arrived.push(message),
                    Some(Event::Ping(payload)) => shared.ping(payload),
                    Some(Event::Pong(payload)) => self.pong(shared, &payload),
                    Some(Event::Close(frame)) => {
                        self.input = Input::over();
                        self.note_arrived(arrived);
                        shared.peer_closed(arrived, frame.as_ref());
                        return bytes.len();
                    }
                    None => {}
                }
                return consumed;
            }
            Err(violation) => violation,
        };
        self.input = Input::over();
        self.note_arrived(arrived);
        shared.refuse(arrived, violation);
        bytes.len()
    }

    fn pong(&mut self, shared: &Shared, payload: &[u8]) {
        if let Some((token, round_trip)) = shared.pong(payload)
            && let Some(policies) = &mut self.policies
        {
            policies.pong(token, round_trip);
        }
    }

    /// Reads for nothing but the end of the input.
    #[cold]
    fn discard(&mut self, budget: &mut Budget, cx: &mut Context<'_>) -> Result<(), Gone> {
        let mut scratch = pool::take_scratch();
        let mut buffer = ReadBuf::new(&mut *scratch);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        let read = Read::from_poll(read.map_ok(|()| buffer.filled().len()));
        pool::put_scratch(scratch);
        let read = read?;
        self.read_blocked = read.blocked;
        if read.is_end() {
            self.input = Input::Ended;
        } else if read.bytes > 0
            && let Output::ShutDown(linger) = &mut self.output
        {
            linger.note_read(Instant::now());
        }
        budget.spend(read.bytes, 0);
        Ok(())
    }

    /// Whether a read, or decoding what was read, might give something now if the inbox has room.
    #[inline]
    pub(super) fn could_read(&self) -> bool {
        if self.read_blocked && self.undecoded.is_empty() {
            return false;
        }
        match self.input {
            Input::Frames => !self.is_paused(),
            Input::Discarded => !self.read_blocked,
            Input::Over { .. } | Input::Ended => false,
        }
    }
}
