//! What a handle and its driver share: plain state under one lock.
//!
//! Nothing here does IO. Whoever changes the state wakes the other side only after unlocking ([`Wakes`]), and
//! messages and buffers are dropped outside of the lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;
use towline_protocol::{CloseCode, CloseFrame, Limits, Message, Opcode, Violation};

use crate::closed::{Closed, ClosedBy, Negotiated, Traffic};
use crate::error::{SendError, UpgradeFailed};
use crate::outbox::Outbox;

/// Above this many queued bytes, `send` waits.
const HIGH_WATER: usize = 64 * 1024;

/// Bounds of what is decoded and not yet taken. One message may exceed the first in an empty inbox.
const INBOX_BYTES: usize = 64 * 1024;
const INBOX_MESSAGES: usize = 64;

/// The Close of an endpoint that returned.
pub(crate) const DONE: CloseFrame = CloseFrame::from_static(CloseCode::NORMAL, "");

/// The Close of an endpoint that failed: what went wrong is the server's own business.
pub(crate) const FAILED: CloseFrame = CloseFrame::from_static(CloseCode::INTERNAL_ERROR, "");

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) negotiated: Negotiated,
    pub(crate) limits: Limits,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    inbox: Inbox,
    outbox: Outbox,
    /// Bytes that the driver took from the outbox and has not written.
    writing: usize,
    unflushed: bool,
    /// The newest ping that no pong was queued for, for want of room.
    ping: Option<Bytes>,
    close: Close,
    /// The last owning handle is gone.
    released: bool,
    aborted: bool,
    traffic: Traffic,
    wakers: Wakers,
}

#[derive(Debug)]
enum Phase {
    /// Accepted; the connection is still HTTP's.
    Upgrading,
    Open {
        since: Instant,
    },
    Failed(Option<UpgradeFailed>),
    Closed(Closed),
}

#[derive(Debug, Default)]
struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// How many messages the endpoint has taken.
    taken: u64,
}

/// Both directions of the close handshake.
#[derive(Debug, Default)]
struct Close {
    /// The peer's Close, an event behind the messages before it.
    received: Option<Option<CloseFrame>>,
    seen: Seen,
    /// The Close that is to go out behind what is queued.
    requested: Option<Request>,
    /// A Close is in the outbox, and nothing follows it.
    queued: bool,
    violation: Option<Violation>,
    /// Who closed first, with which code and reason.
    first: Option<(ClosedBy, CloseCode, String)>,
}

#[derive(Debug)]
struct Request {
    frame: CloseFrame,
    /// Asked for by a handle's drop, before it is known whether the endpoint failed.
    tentative: bool,
}

/// Whether the endpoint knows of the peer's Close. It may answer what came before it until it has run once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    No,
    /// Its `recv` ended during the endpoint's run in the driver's own task.
    ThisRun,
    Yes,
}

#[derive(Debug, Default)]
struct Wakers {
    driver: Option<Waker>,
    recv: Option<Waker>,
    send: Option<Waker>,
    closed: Vec<Waker>,
    /// The driver is in `poll`: it will look at the state again, so nobody needs to wake it.
    running: bool,
    /// Something changed for the driver since it last looked.
    poked: bool,
    /// Something changed for an endpoint in the driver's own task since that was last polled.
    endpoint_ready: bool,
}

/// Wakers to call, and others to drop, when the lock is released: either may run code that takes it again.
#[derive(Default)]
struct Wakes {
    wake: Vec<Waker>,
    replaced: Vec<Waker>,
}

impl Drop for Wakes {
    fn drop(&mut self) {
        for waker in self.wake.drain(..) {
            waker.wake();
        }
    }
}

/// The handle's side.
impl Shared {
    pub(crate) fn new(negotiated: Negotiated, limits: Limits) -> Arc<Self> {
        let state = State {
            phase: Phase::Upgrading,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            writing: 0,
            unflushed: false,
            ping: None,
            close: Close::default(),
            released: false,
            aborted: false,
            traffic: Traffic::default(),
            wakers: Wakers::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            negotiated,
            limits,
        })
    }

    /// Ready when the connection is the socket's.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<(), UpgradeFailed>> {
        self.with(|state, wakes| match &mut state.phase {
            Phase::Upgrading => {
                wakes.register(&mut state.wakers.recv, cx);
                Poll::Pending
            }
            Phase::Failed(error) => {
                Poll::Ready(Err(error.take().unwrap_or(UpgradeFailed::Dropped)))
            }
            Phase::Open { .. } | Phase::Closed(_) => Poll::Ready(Ok(())),
        })
    }

    /// The next message; `None` behind the last one.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.with(|state, wakes| {
            if let Some(message) = state.inbox.pop() {
                state.wakers.wake_driver(wakes);
                return Poll::Ready(Some(message));
            }
            if state.close.received.is_some() {
                state.close.saw_end(state.wakers.running);
                state.wakers.wake_driver(wakes);
                return Poll::Ready(None);
            }
            if state.is_closed() || state.close.queued || state.close.requested.is_some() {
                return Poll::Ready(None);
            }
            wakes.register(&mut state.wakers.recv, cx);
            Poll::Pending
        })
    }

    /// Ready while no more than the high-water mark is queued.
    pub(crate) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if !state.accepts_messages() {
                return Poll::Ready(Err(SendError::Closed));
            }
            if state.queued() <= HIGH_WATER {
                return Poll::Ready(Ok(()));
            }
            wakes.register(&mut state.wakers.send, cx);
            Poll::Pending
        })
    }

    /// Queues a message, whatever is queued already.
    pub(crate) fn push(&self, message: Message) -> Result<(), SendError> {
        self.with(|state, wakes| {
            if !state.accepts_messages() {
                return Err(SendError::Closed);
            }
            state.traffic.messages_sent += 1;
            state.traffic.bytes_sent += message.len() as u64;
            let opcode = match message {
                Message::Text(_) => Opcode::Text,
                Message::Binary(_) => Opcode::Binary,
            };
            state.outbox.push_frame(opcode, message.into_bytes());
            state.wakers.wake_driver(wakes);
            Ok(())
        })
    }

    /// Ready when all that was queued is written and flushed.
    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if state.is_drained() {
                return Poll::Ready(Ok(()));
            }
            if state.is_closed() {
                return Poll::Ready(Err(SendError::Closed));
            }
            wakes.register(&mut state.wakers.send, cx);
            Poll::Pending
        })
    }

    /// Asks for a Close behind what is queued. The first one stands.
    pub(crate) fn close(&self, frame: CloseFrame) {
        self.with(|state, wakes| state.request_close(frame, false, wakes));
    }

    /// The owning handle is gone: the socket closes with `frame`, and what it would still have received is dropped.
    pub(crate) fn release(&self, frame: CloseFrame) {
        let dropped = self.with(|state, wakes| {
            state.released = true;
            state.request_close(frame, true, wakes);
            mem::take(&mut state.inbox)
        });
        drop(dropped);
    }

    pub(crate) fn abort(&self) {
        self.with(|state, wakes| {
            state.aborted = true;
            state.wakers.wake_driver(wakes);
        });
    }

    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        self.with(|state, _| match &state.phase {
            Phase::Closed(closed) => Poll::Ready(closed.clone()),
            // Nobody was given a handle to a socket whose upgrade failed.
            Phase::Upgrading | Phase::Failed(_) => Poll::Pending,
            Phase::Open { .. } => {
                let waiting = &mut state.wakers.closed;
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut State, &mut Wakes) -> R) -> R {
        // Dropped last, so after the lock.
        let mut wakes = Wakes::default();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut state, &mut wakes)
    }
}

/// What the driver has to do in its next write.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) abort: bool,
    /// Our Close is queued, now or before.
    pub(crate) close_queued: bool,
    /// A count that moves while the endpoint takes and sends messages.
    pub(crate) activity: u64,
}

/// The driver's side.
impl Shared {
    /// The driver starts to run: from here to [`leave`](Self::leave) nobody wakes it.
    pub(crate) fn enter(&self, cx: &mut Context<'_>) {
        self.with(|state, wakes| {
            state.wakers.running = true;
            state.wakers.endpoint_ready = true;
            wakes.register(&mut state.wakers.driver, cx);
        });
    }

    /// Whether an endpoint in the driver's own task has something new to see; asked before that is polled.
    pub(crate) fn take_endpoint_ready(&self) -> bool {
        self.with(|state, _| mem::take(&mut state.wakers.endpoint_ready))
    }

    /// Lets the driver return if nothing changed since it last looked and, unless `reads`, there is nothing to read.
    pub(crate) fn leave(&self, reads: bool) -> bool {
        self.with(|state, _| {
            let stay = state.wakers.poked
                || state.wakers.endpoint_ready
                || (reads && state.has_room());
            state.wakers.running = stay;
            !stay
        })
    }

    /// The driver yields although there is more to do; it has woken its own task.
    pub(crate) fn suspend(&self) {
        self.with(|state, _| state.wakers.running = false);
    }

    pub(crate) fn open(&self) {
        self.with(|state, wakes| {
            state.phase = Phase::Open {
                since: Instant::now(),
            };
            state.wakers.wake_recv(wakes);
        });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.with(|state, _| state.has_room())
    }

    /// A message from the peer. It is dropped when nobody will take it.
    pub(crate) fn deliver(&self, message: Message) {
        let dropped = self.with(|state, wakes| {
            state.traffic.messages_received += 1;
            state.traffic.bytes_received += message.len() as u64;
            if state.discards() {
                return Some(message);
            }
            state.inbox.push(message);
            state.wakers.wake_recv(wakes);
            None
        });
        drop(dropped);
    }

    /// A ping from the peer: its pong is queued, or when too much is, stands in line as the newest.
    pub(crate) fn ping(&self, payload: Bytes) {
        self.with(|state, _| {
            if state.close.queued {
                return;
            }
            if state.queued() <= HIGH_WATER {
                // RFC 6455, 5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
                // response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the
                // most recently processed Ping frame."
                state.ping = None;
                state.outbox.push_frame(Opcode::Pong, payload);
            } else {
                state.ping = Some(payload);
            }
        });
    }

    pub(crate) fn peer_closed(&self, frame: Option<CloseFrame>) {
        self.with(|state, wakes| {
            let (code, reason) = match &frame {
                Some(frame) => (frame.code(), frame.reason().to_owned()),
                None => (CloseCode::NO_STATUS, String::new()),
            };
            state.close.first.get_or_insert((ClosedBy::Peer, code, reason));
            state.close.received = Some(frame);
            state.wakers.wake_recv(wakes);
        });
    }

    /// The peer broke the protocol: nothing more of it is taken, and it is told by a Close.
    pub(crate) fn refuse(&self, violation: Violation) {
        self.with(|state, wakes| {
            state.close.violation = Some(violation);
            state.request_close(violation.into(), false, wakes);
        });
    }

    /// The endpoint failed: Close 1011, unless the socket is closing for another reason; whether it was not.
    pub(crate) fn fail(&self) -> bool {
        self.with(|state, wakes| {
            let requested = &mut state.close.requested;
            if requested.as_ref().is_some_and(|request| request.tentative) {
                *requested = None;
            }
            let open = state.accepts_messages() && state.close.received.is_none();
            state.request_close(FAILED, false, wakes);
            open
        })
    }

    /// Moves what is queued into an empty `writing`, behind it the Close if one is due. `overdue`: the endpoint has
    /// had its time to see the peer's Close.
    pub(crate) fn collect(&self, writing: &mut Outbox, overdue: bool) -> Orders {
        self.with(|state, _| {
            state.wakers.poked = false;
            state.queue_close(overdue);
            if writing.is_empty() && !state.outbox.is_empty() {
                *writing = mem::take(&mut state.outbox);
                state.writing = writing.len();
            }
            Orders {
                abort: state.aborted,
                close_queued: state.close.queued,
                activity: state.traffic.messages_sent + state.inbox.taken,
            }
        })
    }

    /// `left` bytes of those collected are not written, or all are and not yet flushed; whether nothing is left at all.
    pub(crate) fn written(&self, left: usize, unflushed: bool) -> bool {
        self.with(|state, wakes| {
            state.writing = left;
            state.unflushed = unflushed;
            if state.queued() <= HIGH_WATER {
                if let Some(ping) = state.ping.take().filter(|_| !state.close.queued) {
                    state.outbox.push_frame(Opcode::Pong, ping);
                }
                state.wakers.wake_send(wakes);
            }
            state.wakers.poked |= left == 0 && !state.outbox.is_empty();
            state.is_drained()
        })
    }

    /// No connection came of the upgrade.
    pub(crate) fn upgrade_failed(&self, error: UpgradeFailed) {
        self.end(|_| Phase::Failed(Some(error)));
    }

    /// The connection is gone.
    pub(crate) fn ended(&self) {
        self.end(|state| match state.phase {
            Phase::Open { since } => Phase::Closed(state.closed(since, self.negotiated.clone())),
            _ => Phase::Failed(Some(UpgradeFailed::Dropped)),
        });
    }

    fn end(&self, phase: impl FnOnce(&mut State) -> Phase) {
        let dropped = self.with(|state, wakes| {
            state.phase = phase(state);
            state.writing = 0;
            state.wakers.running = false;
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
            wakes.wake.append(&mut state.wakers.closed);
            (mem::take(&mut state.outbox), state.wakers.driver.take())
        });
        drop(dropped);
    }
}

impl State {
    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Closed(_))
    }

    fn accepts_messages(&self) -> bool {
        !self.is_closed() && !self.close.queued && self.close.requested.is_none() && !self.aborted
    }

    fn queued(&self) -> usize {
        self.outbox.len() + self.writing
    }

    /// Whether all that was queued is written and flushed.
    fn is_drained(&self) -> bool {
        self.queued() == 0 && !self.unflushed
    }

    /// Whether what the peer still sends is of no use to anybody.
    fn discards(&self) -> bool {
        self.released || self.close.queued || self.close.requested.is_some()
    }

    fn has_room(&self) -> bool {
        self.discards() || self.inbox.has_room()
    }

    fn request_close(&mut self, frame: CloseFrame, tentative: bool, wakes: &mut Wakes) {
        if self.close.requested.is_none() && !self.close.queued {
            self.close.requested = Some(Request { frame, tentative });
        }
        self.wakers.wake_recv(wakes);
        self.wakers.wake_send(wakes);
        self.wakers.wake_driver(wakes);
    }

    fn queue_close(&mut self, overdue: bool) {
        if self.close.queued {
            return;
        }
        if let Some(received) = &self.close.received {
            let answered = self.queued() == 0 && self.wakers.send.is_none();
            let due = match self.close.seen {
                Seen::Yes => answered,
                Seen::ThisRun => {
                    self.close.seen = Seen::Yes;
                    self.wakers.endpoint_ready = true;
                    false
                }
                Seen::No => false,
            };
            if due || overdue || self.close.requested.is_some() {
                // RFC 6455, 5.5.1: "When sending a Close frame in response, the endpoint typically echos the status
                // code it received."
                self.outbox.push_close(received.as_ref().map(CloseFrame::reply).as_ref());
                self.close.queued = true;
            }
        } else if let Some(request) = &self.close.requested {
            self.outbox.push_close(Some(&request.frame));
            self.close.queued = true;
            let by = self.close.violation.map_or(ClosedBy::Endpoint, ClosedBy::Violation);
            let reason = request.frame.reason().to_owned();
            self.close.first = Some((by, request.frame.code(), reason));
        }
    }

    fn closed(&mut self, since: Instant, negotiated: Negotiated) -> Closed {
        let clean = self.close.queued && self.is_drained() && self.close.received.is_some();
        let (by, code, reason) = self.close.first.take().unwrap_or_else(|| {
            let by = if self.aborted {
                ClosedBy::Endpoint
            } else {
                ClosedBy::Transport
            };
            (by, CloseCode::ABNORMAL, String::new())
        });
        Closed {
            by,
            code,
            reason,
            clean,
            traffic: self.traffic,
            duration: since.elapsed(),
            negotiated,
        }
    }
}

impl Inbox {
    fn has_room(&self) -> bool {
        self.bytes < INBOX_BYTES && self.messages.len() < INBOX_MESSAGES
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        self.taken += 1;
        if self.messages.is_empty() {
            // An idle socket holds no buffer.
            self.messages = VecDeque::new();
        }
        Some(message)
    }
}

impl Close {
    /// `recv` gave its `None`. Outside of the driver's task nothing tells when the endpoint has run once more.
    fn saw_end(&mut self, in_driver: bool) {
        if in_driver && self.seen == Seen::No {
            self.seen = Seen::ThisRun;
        }
    }
}

impl Wakers {
    fn wake_driver(&mut self, wakes: &mut Wakes) {
        if self.running {
            self.poked = true;
        } else {
            wakes.wake.extend(self.driver.take());
        }
    }

    fn wake_recv(&mut self, wakes: &mut Wakes) {
        let waker = self.recv.take();
        self.wake_endpoint(waker, wakes);
    }

    fn wake_send(&mut self, wakes: &mut Wakes) {
        let waker = self.send.take();
        self.wake_endpoint(waker, wakes);
    }

    /// Saves the wake of an endpoint that the running driver polls anyway.
    fn wake_endpoint(&mut self, waker: Option<Waker>, wakes: &mut Wakes) {
        let Some(waker) = waker else { return };
        let same_task = self.driver.as_ref().is_some_and(|driver| driver.will_wake(&waker));
        if self.running && same_task {
            self.endpoint_ready = true;
        } else {
            wakes.wake.push(waker);
        }
    }
}

impl Wakes {
    fn register(&mut self, slot: &mut Option<Waker>, cx: &mut Context<'_>) {
        if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.replaced.extend(slot.replace(cx.waker().clone()));
        }
    }
}

