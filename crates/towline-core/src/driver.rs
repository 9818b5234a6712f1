//! The driver: it owns the connection and keeps it going, whatever the endpoint is doing.
//!
//! Driver and endpoint share one task. A poll goes round: read → run the endpoint → write, until reading and writing
//! are blocked and the endpoint has seen all that is new.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;
use towline_protocol::{Decoded, Decoder, Event, Role};

use crate::error::UpgradeFailed;
use crate::outbox::{MAX_SLICES, Outbox};
use crate::shared::{Orders, Shared};
use crate::timer::Timer;
use crate::{scratch, trace};

/// How long the endpoint may take to see the peer's Close before that is answered.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How long the peer may take to answer our Close, from the last byte that it took.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and after a violation how much, input is discarded so that the peer reads our Close before the end.
const DISCARD_TIME: Duration = Duration::from_secs(1);
const DISCARD_BYTES: usize = 1024 * 1024;

/// What one poll does at most before other tasks have their turn.
const ROUNDS: usize = 16;
const READ_BYTES: usize = 256 * 1024;

/// Drives one socket from the accepted handshake to the end of its connection.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    stage: Stage,
    timer: Timer,
}

/// The endpoint ended with an error, a panic or an error's status.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a unit: all there is to tell the driver"
)]
pub struct EndpointFailed;

#[derive(Debug)]
enum Stage {
    Upgrading {
        on_upgrade: OnUpgrade,
        deadline: Instant,
    },
    // Boxed: it appears only once the connection does, and the enum moves.
    Open(Box<Connection>),
    Ended,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        on_upgrade: OnUpgrade,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            shared,
            stage: Stage::Upgrading {
                on_upgrade,
                deadline: Instant::now() + handshake_timeout,
            },
            timer: Timer::default(),
        }
    }

    /// Drives the socket and, between reading and writing, polls the endpoint that lives in the same task.
    ///
    /// An endpoint that gives an error closes the socket with 1011, unless it closed that by itself before.
    ///
    /// Ready when the connection has ended; every handle knows by then. The endpoint may have more to do, and whoever
    /// polls goes on with it.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut endpoint: impl FnMut(&mut Context<'_>) -> Result<(), EndpointFailed>,
    ) -> Poll<()> {
        self.shared.enter(cx);
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            bytes += outside_budget(cx, |cx| self.read(cx));
            if self.shared.take_endpoint_ready() {
                if let Err(EndpointFailed) = endpoint(cx) {
                    self.shared.fail();
                }
            }
            outside_budget(cx, |cx| self.write(cx));
            if matches!(self.stage, Stage::Ended) {
                return Poll::Ready(());
            }
            if self.shared.leave(self.could_read()) {
                return Poll::Pending;
            }
            if bytes >= READ_BYTES {
                break;
            }
        }
        self.shared.suspend();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn read(&mut self, cx: &mut Context<'_>) -> usize {
        if let Stage::Upgrading { on_upgrade, .. } = &mut self.stage {
            match Pin::new(on_upgrade).poll(cx) {
                Poll::Ready(Ok(upgraded)) => {
                    let connection = Connection::new(upgraded, &self.shared);
                    self.stage = Stage::Open(Box::new(connection));
                    self.shared.open();
                }
                Poll::Ready(Err(error)) => self.upgrade_failed(error.into()),
                Poll::Pending => {}
            }
        }
        let Stage::Open(connection) = &mut self.stage else {
            return 0;
        };
        match connection.read(&self.shared, cx) {
            Ok(bytes) => bytes,
            Err(Gone) => {
                self.end();
                0
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        let outcome = match &mut self.stage {
            Stage::Upgrading { deadline, .. } => {
                if self.timer.poll(cx, Some(*deadline)).is_ready() {
                    self.upgrade_failed(UpgradeFailed::TimedOut);
                }
                return;
            }
            Stage::Open(connection) => connection.write(&self.shared, &mut self.timer, cx),
            Stage::Ended => return,
        };
        if let Err(Gone) = outcome {
            self.end();
        }
    }

    fn could_read(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.could_read())
    }

    fn upgrade_failed(&mut self, error: UpgradeFailed) {
        trace::upgrade_failed(&error);
        self.stage = Stage::Ended;
        self.shared.upgrade_failed(error);
    }

    fn end(&mut self) {
        self.stage = Stage::Ended;
        self.shared.ended();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.shared.ended();
        }
    }
}

/// The connection is of no more use.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

#[derive(Debug)]
struct Connection {
    io: TokioIo<Upgraded>,
    decoder: Decoder,
    input: Input,
    /// The last read returned `Pending`.
    read_blocked: bool,
    /// What was read while the inbox was full.
    undecoded: BytesMut,
    writing: Outbox,
    unflushed: bool,
    output: Output,
}

#[derive(Debug)]
enum Input {
    Frames,
    /// The peer's Close: its last frame.
    Closed {
        answer_by: Instant,
        /// The endpoint's activity when that was last put off.
        seen: u64,
    },
    /// After a violation: not read at all until our Close is written.
    Refused,
    /// Read for nothing but its end.
    Discarded { budget: usize },
    Ended,
}

#[derive(Debug)]
enum Output {
    Frames,
    /// Our Close is queued; the deadline moves with each byte written.
    Closing { deadline: Instant },
    ShuttingDown { deadline: Instant },
    ShutDown { deadline: Instant },
}

impl Connection {
    fn new(upgraded: Upgraded, shared: &Shared) -> Self {
        Self {
            io: TokioIo::new(upgraded),
            decoder: Decoder::new(Role::Server, shared.limits),
            input: Input::Frames,
            read_blocked: false,
            undecoded: BytesMut::new(),
            writing: Outbox::default(),
            unflushed: false,
            output: Output::Frames,
        }
    }

    /// Whether a read, or decoding what was read, might give something now if the inbox has room.
    fn could_read(&self) -> bool {
        match self.input {
            Input::Frames => !self.undecoded.is_empty() || !self.read_blocked,
            Input::Discarded { .. } => !self.read_blocked,
            Input::Closed { .. } | Input::Refused | Input::Ended => false,
        }
    }

    /// Takes what the inbox has room for, from one read at most.
    fn read(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Result<usize, Gone> {
        match self.input {
            Input::Frames => {}
            Input::Discarded { .. } => return self.discard(cx),
            Input::Closed { .. } | Input::Refused | Input::Ended => return Ok(0),
        }
        if !shared.has_room() {
            return Ok(0);
        }
        if !self.undecoded.is_empty() {
            let mut undecoded = std::mem::take(&mut self.undecoded);
            let taken = self.decode(&mut undecoded, shared);
            undecoded.advance(taken);
            if !undecoded.is_empty() {
                self.undecoded = undecoded;
            }
            return Ok(taken);
        }
        let read = match self.decoder.payload_buf() {
            Some(mut payload) => {
                let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut payload);
                if let Poll::Ready(Ok(_)) = read {
                    self.decode(&mut [], shared);
                }
                read
            }
            None => scratch::with(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
                let filled = buffer.filled_mut();
                let taken = self.decode(filled, shared);
                self.undecoded.extend_from_slice(&filled[taken..]);
                read.map_ok(|()| filled.len())
            }),
        };
        self.read_blocked = read.is_pending();
        match read {
            Poll::Pending => Ok(0),
            // RFC 6455, 7.1.5: no Close frame was received, which is code 1006.
            Poll::Ready(Ok(0)) => Err(Gone),
            Poll::Ready(Ok(bytes)) => Ok(bytes),
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// Decodes while there is room for more; how many bytes were used up.
    fn decode(&mut self, bytes: &mut [u8], shared: &Shared) -> usize {
        let mut taken = 0;
        while matches!(self.input, Input::Frames) && shared.has_room() {
            match self.decoder.decode(&mut bytes[taken..]) {
                Ok(Decoded { consumed, event }) => {
                    taken += consumed;
                    let Some(event) = event else { break };
                    self.handle(event, shared);
                }
                Err(violation) => {
                    self.input = Input::Refused;
                    shared.refuse(violation);
                }
            }
        }
        match self.input {
            Input::Frames => taken,
            _ => bytes.len(),
        }
    }

    fn handle(&mut self, event: Event, shared: &Shared) {
        match event {
            Event::Message(message) => shared.deliver(message),
            Event::Ping(payload) => shared.ping(payload),
            Event::Pong(_) => {}
            Event::Close(frame) => {
                self.input = Input::Closed {
                    answer_by: Instant::now() + CLOSE_GRACE,
                    seen: 0,
                };
                shared.peer_closed(frame);
            }
        }
    }

    /// Reads for nothing but the end of the input.
    fn discard(&mut self, cx: &mut Context<'_>) -> Result<usize, Gone> {
        let Input::Discarded { budget } = &mut self.input else {
            return Ok(0);
        };
        let read = scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
            read.map_ok(|()| buffer.filled().len())
        });
        self.read_blocked = read.is_pending();
        let Poll::Ready(read) = read else {
            return Ok(0);
        };
        let bytes = read?;
        match budget.checked_sub(bytes) {
            Some(left) if bytes > 0 => *budget = left,
            _ => self.input = Input::Ended,
        }
        Ok(bytes)
    }

    /// Writes what is queued and takes the connection towards its end.
    fn write(
        &mut self,
        shared: &Shared,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Result<(), Gone> {
        let overdue = self.answer_is_overdue(timer, cx);
        let orders = shared.collect(&mut self.writing, overdue);
        if orders.abort {
            return Err(Gone);
        }
        self.note_progress(&orders);
        if orders.close_queued && matches!(self.output, Output::Frames) {
            self.output = Output::Closing {
                deadline: Instant::now() + CLOSE_TIMEOUT,
            };
        }
        let drained = self.write_queued(shared, cx)?;
        if drained && matches!(self.output, Output::Closing { .. }) {
            self.begin_shutdown();
        }
        if matches!(self.output, Output::ShuttingDown { .. }) {
            if let Poll::Ready(result) = Pin::new(&mut self.io).poll_shutdown(cx) {
                result?;
                self.output = Output::ShutDown {
                    deadline: Instant::now() + DISCARD_TIME,
                };
            }
        }
        if let (Output::ShutDown { .. }, Input::Ended) = (&self.output, &self.input) {
            return Err(Gone);
        }
        match timer.poll(cx, self.deadline()) {
            Poll::Ready(()) => Err(Gone),
            Poll::Pending => Ok(()),
        }
    }

    /// Writes and flushes as much as the transport takes; whether nothing is left.
    fn write_queued(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Result<bool, Gone> {
        while !self.writing.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.writing.slices(&mut slices);
            let io = Pin::new(&mut self.io);
            match io.poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Err(Gone),
                Poll::Ready(Ok(written)) => {
                    self.writing.advance(written);
                    self.unflushed = true;
                    if let Output::Closing { deadline } = &mut self.output {
                        *deadline = Instant::now() + CLOSE_TIMEOUT;
                    }
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            // TLS and HTTP/2 hold bytes back until they are flushed.
            if let Poll::Ready(result) = Pin::new(&mut self.io).poll_flush(cx) {
                result?;
                self.unflushed = false;
            }
        }
        Ok(shared.written(self.writing.len(), self.unflushed))
    }

    /// Our Close is written. It was the last frame if the peer's Close came, or will not be listened to.
    fn begin_shutdown(&mut self) {
        let budget = match self.input {
            Input::Frames => return,
            // RFC 6455, 7.1.1: the server closes first, and "MAY also close the TCP connection" only once the
            // peer has had the chance to read: input is discarded to its end.
            Input::Refused => DISCARD_BYTES,
            Input::Closed { .. } | Input::Discarded { .. } | Input::Ended => usize::MAX,
        };
        self.input = Input::Discarded { budget };
        self.read_blocked = false;
        self.output = Output::ShuttingDown {
            deadline: Instant::now() + CLOSE_TIMEOUT,
        };
    }

    fn answer_is_overdue(&self, timer: &mut Timer, cx: &mut Context<'_>) -> bool {
        match (&self.output, &self.input) {
            (Output::Frames, Input::Closed { answer_by, .. }) => {
                timer.poll(cx, Some(*answer_by)).is_ready()
            }
            _ => false,
        }
    }

    /// An endpoint that goes on taking and sending has more time to answer what came before the peer's Close.
    fn note_progress(&mut self, orders: &Orders) {
        if let Input::Closed { answer_by, seen } = &mut self.input {
            if *seen != orders.activity {
                *seen = orders.activity;
                *answer_by = Instant::now() + CLOSE_GRACE;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (&self.output, &self.input) {
            (Output::Frames, Input::Closed { answer_by, .. }) => Some(*answer_by),
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

/// Polls `f` outside of the task's cooperative budget: a busy endpoint must not starve the driver.
fn outside_budget<R>(cx: &mut Context<'_>, mut f: impl FnMut(&mut Context<'_>) -> R) -> R {
    let polled = pin!(unconstrained(poll_fn(|cx| Poll::Ready(f(cx))))).poll(cx);
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("the function is always ready"),
    }
}
