//! The connection of one socket: what is read from it, what is written to it, and how it ends.

mod grace;
mod linger;
mod policed;
mod reading;

use std::io;
use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use tokio::time::Instant;
use towline_protocol::Decoder;

use self::grace::Grace;
use self::linger::Linger;
#[cfg(feature = "deflate")]
use crate::deflating::Deflating;
use crate::driver::Budget;
use crate::io::Io;
use crate::outbox::Outbox;
use crate::policies::Running;
use crate::shared::{Room, Shared, Written};
use crate::timer::Timer;

/// How long the peer may take to answer our Close, from the last byte that it took.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the transport's shutdown may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Some was written that those who wait for that were not told of.
    progress: bool,
    unflushed: bool,
    output: Output,
    policies: Option<Box<Running>>,
    /// What they were not told of.
    untold: Transferred,
    /// There was nothing to do for them in this round, or there are none.
    calm: bool,
    /// There is nothing more to do in this round when all is written.
    is_last: bool,
}

/// How many bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) received: usize,
    pub(crate) written: usize,
    /// Some of what was written before has left.
    pub(crate) progress: bool,
}

#[derive(Debug)]
enum Input {
    Frames,
    /// The peer's Close or a violation came: nothing more is decoded.
    Over {
        /// Until our Close is queued. Boxed: an open socket is smaller without it, and its state is told by a tag alone.
        grace: Box<Grace>,
    },
    /// Read for nothing but its end.
    Discarded,
    Ended,
}

#[derive(Debug)]
enum Output {
    Frames,
    /// Our Close is queued; the deadline moves with each byte written.
    Closing {
        deadline: Instant,
    },
    /// `Closed` is recorded, and all that waits for it is woken. The endpoint is polled once more, so that its layers and
    /// permits are released before the peer can know of the end.
    Ended,
    ShuttingDown {
        deadline: Instant,
    },
    ShutDown(Linger),
}

impl Input {
    fn over() -> Self {
        let grace = Box::new(Grace::new(Instant::now()));
        Self::Over { grace }
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
            is_last: false,
        }
    }

    pub(crate) fn set_policies(&mut self, policies: Option<Box<Running>>, shared: &Shared) {
        if policies.as_ref().is_some_and(|it| it.watches_messages()) {
            shared.watch_sent();
        }
        self.policies = policies;
    }

    /// A raw connection that the endpoint dropped: what is left is its orderly end.
    pub(crate) fn ending(io: Io, shared: &Shared) -> Self {
        shared.ended();
        Self {
            input: Input::Discarded,
            output: Output::Ended,
            ..Self::over(io, &[], shared)
        }
    }

    /// Writes what is queued and takes the connection towards its end.
    pub(crate) fn write(
        &mut self,
        shared: &Shared,
        budget: &mut Budget,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let overdue = self.answer_is_overdue(shared, timer, cx);
        let reads = self.could_read();
        let collected = shared.collect(
            &mut self.writing,
            #[cfg(feature = "deflate")]
            self.deflating.as_deref_mut(),
            overdue,
            reads,
        );
        self.room = collected.room;
        let close_queued = collected.attention && self.obey(shared)?;
        self.deflate(budget);
        self.write_queued(cx)?;
        if !matches!(self.output, Output::Frames) {
            self.end_output(shared, cx)?;
        }
        let written = self.is_written();
        self.is_last = collected.is_last && written;
        // What is left of the last was counted as written.
        self.progress |= collected.is_last && !written;
        if self.policies.is_some() {
            self.calm = written && !collected.attention && self.policies_wait(timer);
            if !self.calm {
                self.police(close_queued, shared, timer, cx)?;
            }
            return Ok(());
        }
        match timer.poll(cx, self.deadline()) {
            Poll::Ready(()) => Err(Gone),
            Poll::Pending => Ok(()),
        }
    }

    /// Whether our Close is queued.
    #[inline(never)]
    fn obey(&mut self, shared: &Shared) -> Result<bool, Gone> {
        let orders = shared.orders();
        if orders.abort {
            return Err(Gone);
        }
        if let Input::Over { grace } = &mut self.input {
            grace.note(Instant::now(), &orders);
        }
        self.note_news(&orders, shared);
        if orders.close_queued && matches!(self.output, Output::Frames) {
            self.output = Output::Closing {
                deadline: Instant::now() + CLOSE_TIMEOUT,
            };
            // A peer that writes before it reads takes the Close only when all it writes is read.
            if shared.is_violated() {
                self.input = Input::Discarded;
            }
        }
        Ok(orders.close_queued)
    }

    /// Our Close is queued or written: takes the connection towards its end.
    #[inline(never)]
    fn end_output(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Result<(), Gone> {
        match self.output {
            Output::Closing { .. } if shared.written(self.written()) => self.end(shared),
            Output::Ended => {
                self.read_blocked = false;
                self.output = Output::ShuttingDown {
                    deadline: Instant::now() + SHUTDOWN_TIMEOUT,
                };
            }
            _ => {}
        }
        if matches!(self.output, Output::ShuttingDown { .. })
            && let Poll::Ready(result) = self.io.shutdown(cx)
        {
            result?;
            self.output = Output::ShutDown(Linger::begin(shared.is_violated(), Instant::now()));
        }
        if let (Output::ShutDown(_), Input::Ended) = (&self.output, &self.input) {
            return Err(Gone);
        }
        Ok(())
    }

    /// Compresses some of what is queued.
    #[cfg(feature = "deflate")]
    fn deflate(&mut self, budget: &mut Budget) {
        /// A byte takes longer to compress than to read.
        const WEIGHT: usize = 4;

        if let Some(deflating) = &mut self.deflating
            && self.writing.is_untouched()
        {
            let compressed = deflating.encode(&mut self.writing);
            budget.spend(WEIGHT * compressed, 0);
        }
    }

    #[cfg(not(feature = "deflate"))]
    #[allow(clippy::unused_self, reason = "as with compression")]
    fn deflate(&mut self, _budget: &mut Budget) {}

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
                    if !matches!((&self.output, &self.input), (Output::Frames, Input::Frames)) {
                        self.put_off_end();
                    }
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => {
                    if self.io.take_progress() {
                        self.untold.progress = true;
                        self.put_off_end();
                    }
                    break;
                }
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

    /// Of an end that is under way: the peer has taken bytes.
    #[cold]
    fn put_off_end(&mut self) {
        match (&mut self.output, &mut self.input) {
            (Output::Closing { deadline }, _) => *deadline = Instant::now() + CLOSE_TIMEOUT,
            (Output::Frames, Input::Over { grace }) => grace.note_written(Instant::now()),
            _ => {}
        }
    }

    #[inline]
    pub(crate) fn written(&self) -> Written {
        Written {
            left: self.writing.len() + self.to_compress(),
            unflushed: self.unflushed,
        }
    }

    /// Ends a round; whether there is nothing more to do now.
    #[inline]
    pub(crate) fn finish(&mut self, shared: &Shared) -> bool {
        if self.is_last && self.calm {
            return true;
        }
        let written = mem::take(&mut self.progress).then(|| self.written());
        let writes = self.writing.is_empty() && self.to_compress() > 0;
        let (room, done) = shared.finish(written, self.could_read(), writes);
        self.room = room;
        done && ((self.calm && !room.is_none()) || self.policies_rest())
    }

    /// Our Close is written. It was the last frame of the connection if nothing more of the peer's will be decoded.
    fn end(&mut self, shared: &Shared) {
        match self.input {
            Input::Frames => return,
            // RFC 6455, 7.1.1: a server closes first, by "TLS and TCP closes"; a connection that is dropped over unread
            // input is reset, and the peer might lose our Close.
            Input::Over { .. } => self.input = Input::Discarded,
            Input::Discarded | Input::Ended => {}
        }
        self.output = Output::Ended;
        shared.ended();
    }

    /// Returns `true` if the socket has closed and only its transport is left.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        matches!(
            self.output,
            Output::Ended | Output::ShuttingDown { .. } | Output::ShutDown(_)
        )
    }

    #[inline]
    fn answer_is_overdue(
        &mut self,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> bool {
        let (Input::Over { grace }, Output::Frames) = (&mut self.input, &self.output) else {
            return false;
        };
        if timer.poll(cx, Some(grace.end())).is_pending() {
            return false;
        }
        // The endpoint wakes nobody when it takes one of the messages that it has at hand.
        grace.note(Instant::now(), &shared.orders());
        timer.poll(cx, Some(grace.end())).is_ready()
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        match (&self.output, &self.input) {
            (Output::Frames, Input::Over { grace }) => Some(grace.end()),
            (Output::Frames, _) => None,
            _ => self.end_deadline(),
        }
    }

    /// The deadline of the end that is under way.
    #[cold]
    fn end_deadline(&self) -> Option<Instant> {
        match &self.output {
            Output::Frames | Output::Ended => None,
            Output::Closing { deadline } | Output::ShuttingDown { deadline } => Some(*deadline),
            Output::ShutDown(linger) => Some(linger.end()),
        }
    }
}
