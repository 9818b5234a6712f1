//! The connection of one socket: what is read from it, what is written to it, and how it ends.

mod grace;
mod policed;

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::upgrade::Upgraded;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;
use towline_protocol::{Decoded, Decoder, Event};

use self::grace::Grace;
#[cfg(feature = "deflate")]
use crate::deflating::Deflating;
use crate::io::{Io, Read};
use crate::outbox::Outbox;
use crate::policies::Running;
use crate::pool;
use crate::shared::{Batch, Orders, Room, Shared, Written};
use crate::timer::Timer;

/// How long the peer may take to answer our Close, from the last byte that it took.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much is read, at most, before the endpoint has its turn.
const READ_AHEAD: usize = 64 * 1024;

/// How long, and after a violation how much, input is discarded so that the peer reads our Close before the end.
const DISCARD_TIME: Duration = Duration::from_secs(1);
const DISCARD_BYTES: usize = 1024 * 1024;

/// The connection is of no more use.
pub(crate) struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    io: Io,
    decoder: Decoder,
    input: Input,
    /// What the inbox had room for when it was last asked.
    room: Room,
    /// The last read returned `Pending`.
    read_blocked: bool,
    /// What was read while the inbox was full.
    undecoded: BytesMut,
    writing: Outbox,
    #[cfg(feature = "deflate")]
    deflating: Option<Box<Deflating>>,
    /// Some was written since the last [`finish`](Self::finish).
    progress: bool,
    unflushed: bool,
    output: Output,
    policies: Option<Box<Running>>,
    /// What they were not told of.
    untold: Transferred,
    /// There was nothing to do for them in this round, or there are none.
    calm: bool,
}

/// How many bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) received: usize,
    pub(crate) written: usize,
}

#[derive(Debug)]
enum Input {
    Frames,
    /// The peer's Close or a violation came: nothing more is decoded.
    Over {
        /// How much is discarded at the end, when our Close is written.
        budget: usize,
        /// Until our Close goes out.
        grace: Grace,
    },
    /// Read for nothing but its end.
    Discarded {
        budget: usize,
    },
    Ended,
}

#[derive(Debug)]
enum Output {
    Frames,
    /// Our Close is queued; the deadline moves with each byte written.
    Closing {
        deadline: Instant,
    },
    ShuttingDown {
        deadline: Instant,
    },
    ShutDown {
        deadline: Instant,
    },
}

impl Input {
    fn over(budget: usize) -> Self {
        Self::Over {
            budget,
            grace: Grace::new(Instant::now()),
        }
    }
}

impl Connection {
    pub(crate) fn new(upgraded: Upgraded, shared: &Shared) -> Self {
        let (io, already_read) = Io::new(upgraded);
        Self::over(io, &already_read, shared)
    }

    fn over(io: Io, already_read: &[u8], shared: &Shared) -> Self {
        Self {
            io,
            decoder: shared.decoder(),
            input: Input::Frames,
            room: Room::EMPTY,
            read_blocked: false,
            // Copied: hyper's own buffer, of 8 KiB even when nothing is in it, would stay as long as the socket.
            undecoded: BytesMut::from(already_read),
            writing: Outbox::default(),
            #[cfg(feature = "deflate")]
            deflating: shared.deflating(),
            progress: false,
            unflushed: false,
            output: Output::Frames,
            policies: None,
            untold: Transferred::default(),
            calm: true,
        }
    }

    pub(crate) fn set_policies(&mut self, policies: Option<Box<Running>>, shared: &Shared) {
        if policies.as_ref().is_some_and(|it| it.watches_messages()) {
            shared.watch_sent();
        }
        self.policies = policies;
    }

    /// A connection whose frames were the endpoint's own: what is left is its orderly end.
    #[cfg(feature = "tungstenite")]
    pub(crate) fn ending(io: Io, shared: &Shared) -> Self {
        Self {
            input: Input::Discarded {
                budget: DISCARD_BYTES,
            },
            output: Output::ShuttingDown {
                deadline: Instant::now() + CLOSE_TIMEOUT,
            },
            ..Self::over(io, &[], shared)
        }
    }

    /// Takes what the inbox has room for and the transport has, or most of it; how many bytes that was.
    pub(crate) fn read(
        &mut self,
        arrived: &mut Batch,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> Result<usize, Gone> {
        if let Input::Discarded { .. } = self.input {
            return self.discard(cx);
        }
        let bytes = pool::with_scratch(|scratch| {
            let mut bytes = 0;
            // Whatever woke the task in the first place may have been the transport.
            self.read_blocked = false;
            while !self.read_blocked && bytes < READ_AHEAD && self.takes_more(arrived) {
                bytes += self.read_once(scratch, arrived, shared, cx)?;
            }
            Ok(bytes)
        });
        self.note_arrived(arrived);
        bytes
    }

    fn takes_more(&self, arrived: &Batch) -> bool {
        matches!(self.input, Input::Frames) && arrived.fits(self.room) && !self.is_paused()
    }

    fn is_paused(&self) -> bool {
        let policies = self.policies.as_ref();
        policies.is_some_and(|policies| policies.is_paused())
    }

    /// Decodes what was read before, or what one read gives now.
    fn read_once(
        &mut self,
        scratch: &mut [u8],
        arrived: &mut Batch,
        shared: &Shared,
        cx: &mut Context<'_>,
    ) -> Result<usize, Gone> {
        if !self.undecoded.is_empty() {
            let mut undecoded = mem::take(&mut self.undecoded);
            let taken = self.decode(&mut undecoded, arrived, shared);
            undecoded.advance(taken);
            if !undecoded.is_empty() {
                self.undecoded = undecoded;
            }
            return Ok(taken);
        }
        let read = match self.decoder.payload_buf() {
            Some(mut payload) => {
                let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut payload);
                if let Poll::Ready(Ok(1..)) = read {
                    self.decode(&mut [], arrived, shared);
                }
                Read::from_poll(read)?
            }
            None => {
                let read = self.io.poll_read_front(cx, scratch)?;
                if let Some(bytes @ 1..) = read.bytes {
                    let filled = &mut scratch[..bytes];
                    let taken = self.decode(filled, arrived, shared);
                    if taken < bytes {
                        self.undecoded.extend_from_slice(&filled[taken..]);
                    }
                }
                read
            }
        };
        self.read_blocked = read.blocked;
        let bytes = match read.bytes {
            None => 0,
            // RFC 6455, 7.1.5: no Close frame was received, which is code 1006.
            Some(0) => return Err(Gone),
            Some(bytes) => bytes,
        };
        self.untold.received += bytes;
        Ok(bytes)
    }

    /// Decodes while there is room for more; how many bytes were used up.
    fn decode(&mut self, bytes: &mut [u8], arrived: &mut Batch, shared: &Shared) -> usize {
        let mut taken = 0;
        loop {
            if arrived.fits_small(self.room) {
                taken += self.decoder.decode_whole(&mut bytes[taken..], arrived);
                if taken > 0 && taken == bytes.len() {
                    return taken;
                }
            }
            match self.decoder.decode(&mut bytes[taken..]) {
                Ok(Decoded { consumed, event }) => {
                    taken += consumed;
                    match event {
                        Some(Event::Message(message)) => arrived.push(message),
                        Some(Event::Ping(payload)) => shared.ping(payload),
                        Some(Event::Pong(payload)) => self.pong(shared, &payload),
                        Some(Event::Close(frame)) => {
                            self.input = Input::over(usize::MAX);
                            self.note_arrived(arrived);
                            shared.peer_closed(arrived, frame.as_ref());
                        }
                        None => {}
                    }
                }
                Err(violation) => {
                    self.input = Input::over(DISCARD_BYTES);
                    self.note_arrived(arrived);
                    shared.refuse(arrived, violation);
                }
            }
            if !matches!(self.input, Input::Frames) {
                return bytes.len();
            }
            if taken == bytes.len() || !arrived.fits(self.room) {
                return taken;
            }
        }
    }

    fn pong(&mut self, shared: &Shared, payload: &[u8]) {
        if let Some((token, round_trip)) = shared.pong(payload)
            && let Some(policies) = &mut self.policies
        {
            policies.pong(token, round_trip);
        }
    }

    /// Reads for nothing but the end of the input.
    fn discard(&mut self, cx: &mut Context<'_>) -> Result<usize, Gone> {
        let Input::Discarded { budget } = &mut self.input else {
            return Ok(0);
        };
        let read = pool::with_scratch(|scratch| self.io.poll_read_front(cx, scratch));
        let read = read?;
        self.read_blocked = read.blocked;
        let Some(bytes) = read.bytes else {
            return Ok(0);
        };
        match budget.checked_sub(bytes) {
            Some(left) if bytes > 0 => *budget = left,
            _ => self.input = Input::Ended,
        }
        Ok(bytes)
    }

    /// Writes what is queued and takes the connection towards its end; how much work that was, as if it were bytes read.
    pub(crate) fn write(
        &mut self,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<usize, Gone> {
        let overdue = self.answer_is_overdue(timer, cx);
        let orders = shared.collect(
            &mut self.writing,
            #[cfg(feature = "deflate")]
            self.deflating.as_deref_mut(),
            overdue,
        );
        if let Some(orders) = &orders {
            self.obey(orders, shared)?;
        }
        let work = self.deflate();
        self.write_queued(cx)?;
        if !matches!(self.output, Output::Frames) {
            self.end_output(shared, cx)?;
        }
        if self.policies.is_some() {
            self.calm = orders.is_none() && self.policies_wait(timer);
            if !self.calm {
                self.police(orders.unwrap_or_default(), shared, timer, cx)?;
            }
            return Ok(work);
        }
        match timer.poll(cx, self.deadline()) {
            Poll::Ready(()) => Err(Gone),
            Poll::Pending => Ok(work),
        }
    }

    #[inline(never)]
    fn obey(&mut self, orders: &Orders, shared: &Shared) -> Result<(), Gone> {
        if orders.abort {
            return Err(Gone);
        }
        if let Input::Over { grace, .. } = &mut self.input {
            grace.note(Instant::now(), orders);
        }
        self.note_news(orders, shared);
        if orders.close_queued && matches!(self.output, Output::Frames) {
            self.output = Output::Closing {
                deadline: Instant::now() + CLOSE_TIMEOUT,
            };
        }
        Ok(())
    }

    /// Our Close is queued or written: takes the connection towards its end.
    #[inline(never)]
    fn end_output(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Result<(), Gone> {
        if matches!(self.output, Output::Closing { .. }) && shared.written(self.written()) {
            self.begin_shutdown();
        }
        if matches!(self.output, Output::ShuttingDown { .. })
            && let Poll::Ready(result) = self.io.shutdown(cx)
        {
            result?;
            self.output = Output::ShutDown {
                deadline: Instant::now() + DISCARD_TIME,
            };
            // The rest is the transport's: no layer and no permit waits for the peer to hang up.
            shared.ended();
        }
        if let (Output::ShutDown { .. }, Input::Ended) = (&self.output, &self.input) {
            return Err(Gone);
        }
        Ok(())
    }

    /// Compresses some of what is queued.
    #[cfg(feature = "deflate")]
    fn deflate(&mut self) -> usize {
        /// A byte takes longer to compress than to read.
        const WEIGHT: usize = 4;

        match &mut self.deflating {
            Some(deflating) if self.writing.is_untouched() => {
                WEIGHT * deflating.encode(&mut self.writing)
            }
            _ => 0,
        }
    }

    #[cfg(not(feature = "deflate"))]
    #[allow(clippy::unused_self, reason = "as with compression")]
    fn deflate(&mut self) -> usize {
        0
    }

    /// What was taken and is not compressed yet.
    #[cfg(feature = "deflate")]
    fn to_compress(&self) -> usize {
        self.deflating
            .as_ref()
            .map_or(0, |deflating| deflating.bytes())
    }

    #[cfg(not(feature = "deflate"))]
    #[allow(clippy::unused_self, reason = "as with compression")]
    fn to_compress(&self) -> usize {
        0
    }

    /// Writes and flushes as much as the transport takes.
    fn write_queued(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        while !self.writing.is_empty() {
            let written = if let Some(bytes) = self.writing.single() {
                self.io.write(cx, bytes)
            } else {
                self.io.write_vectored(cx, &self.writing.slices())
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(Gone),
                Poll::Ready(Ok(written)) => {
                    self.writing.advance(written);
                    self.untold.written += written;
                    self.progress = true;
                    self.unflushed = true;
                    match (&mut self.output, &mut self.input) {
                        (Output::Closing { deadline }, _) => {
                            *deadline = Instant::now() + CLOSE_TIMEOUT;
                        }
                        (Output::Frames, Input::Over { grace, .. }) => {
                            grace.note_written(Instant::now());
                        }
                        _ => {}
                    }
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => break,
            }
        }
        if self.unflushed
            && let Poll::Ready(result) = self.io.flush(cx)
        {
            result?;
            self.progress = true;
            self.unflushed = false;
        }
        Ok(())
    }

    fn written(&self) -> Written {
        Written {
            left: self.writing.len() + self.to_compress(),
            unflushed: self.unflushed,
        }
    }

    /// Ends a round; whether there is nothing more to do now.
    pub(crate) fn finish(&mut self, shared: &Shared) -> bool {
        let written = mem::take(&mut self.progress).then(|| self.written());
        let writes = self.writing.is_empty() && self.to_compress() > 0;
        let (room, done) = shared.finish(written, self.could_read(), writes);
        self.room = room;
        done && ((self.calm && !room.is_none()) || self.policies_rest())
    }

    /// Whether a read, or decoding what was read, might give something now if the inbox has room.
    fn could_read(&self) -> bool {
        match self.input {
            Input::Frames => {
                !self.is_paused() && (!self.undecoded.is_empty() || !self.read_blocked)
            }
            Input::Discarded { .. } => !self.read_blocked,
            Input::Over { .. } | Input::Ended => false,
        }
    }

    /// Our Close is written. It was the last frame of the connection if nothing more of the peer's will be decoded.
    fn begin_shutdown(&mut self) {
        match self.input {
            Input::Frames => return,
            // RFC 6455, 7.1.1: a server closes first, by "TLS and TCP closes"; a connection that is dropped over unread
            // input is reset, and the peer might lose our Close.
            Input::Over { budget, .. } => self.input = Input::Discarded { budget },
            Input::Discarded { .. } | Input::Ended => {}
        }
        self.read_blocked = false;
        self.output = Output::ShuttingDown {
            deadline: Instant::now() + CLOSE_TIMEOUT,
        };
    }

    fn answer_is_overdue(&self, timer: &mut Timer, cx: &mut Context<'_>) -> bool {
        match (&self.output, &self.input) {
            (Output::Frames, Input::Over { grace, .. }) => {
                timer.poll(cx, Some(grace.end())).is_ready()
            }
            _ => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (&self.output, &self.input) {
            (Output::Frames, Input::Over { grace, .. }) => Some(grace.end()),
            (Output::Frames, _) => None,
            (
                Output::Closing { deadline }
                | Output::ShuttingDown { deadline }
                | Output::ShutDown { deadline },
                _,
            ) => Some(*deadline),
        }
    }
}
