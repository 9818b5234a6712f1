//! What a handle and its driver share: plain state under one lock.
//!
//! Nothing here does IO. Whoever changes the state wakes the other side only after unlocking ([`Wakes`]), and
//! messages and buffers are dropped outside of the lock.

mod close;
mod draining;
mod inbox;
mod loan;
mod pings;
mod policy_side;
mod waiter;
mod wakers;

mod driver_side;
mod handle_side;

#[cfg(feature = "deflate")]
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;
#[cfg(feature = "deflate")]
use towline_protocol::deflate::Compression;
use towline_protocol::{CloseCode, CloseFrame, Decoder, Limits, Message, Role};

use self::close::{Close, Request, Seen};
pub(crate) use self::driver_side::{Orders, Written};
use self::inbox::Inbox;
pub(crate) use self::inbox::{Batch, Room, release};
pub(crate) use self::loan::{Direction, Returned};
use self::pings::Pings;
#[cfg(test)]
pub(crate) use self::policy_side::Signals;
pub(crate) use self::policy_side::{Messages, News, SentPing};
pub(crate) use self::waiter::Waiter;
pub(crate) use self::wakers::List;
use self::wakers::{Caller, EndpointCall, Wakers, Wakes};
use crate::closed::{Closed, ClosedBy, Negotiated, Traffic};
#[cfg(feature = "deflate")]
use crate::deflating::{Deflating, Queue};
use crate::error::{SendError, UpgradeFailed};
use crate::outbox::Outbox;
use crate::sender::SendOptions;
use crate::sync::{AtomicUsize, Mutex};

/// Above this many queued bytes, `send` waits.
const HIGH_WATER: usize = 64 * 1024;

/// The Close of an endpoint that returned.
pub(crate) const DONE: CloseFrame = CloseFrame::from_static(CloseCode::NORMAL, "");

/// The Close of an endpoint that failed: what went wrong is the server's own business.
pub(crate) const FAILED: CloseFrame = CloseFrame::from_static(CloseCode::INTERNAL_ERROR, "");

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// How many of the messages that left the inbox the receiver has not handed on.
    at_hand: AtomicUsize,
    pub(crate) negotiated: Negotiated,
    pub(crate) limits: Limits,
    #[cfg(feature = "deflate")]
    compression: Option<Compression>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    inbox: Inbox,
    outbox: Outbox,
    /// What is to be compressed, and whatever has its place among that; where compression was negotiated.
    #[cfg(feature = "deflate")]
    to_compress: Option<Box<Queue>>,
    /// Bytes that the driver took from the outbox and has not written.
    writing: usize,
    flush: Flush,
    /// The newest ping that no pong was queued for, for want of room.
    ping: Option<Bytes>,
    pings: Pings,
    /// How many futures of `send` wait for room.
    sends_waiting: usize,
    /// The `Sink` waited for room, and was not used since.
    sink_waits: bool,
    close: Close,
    /// Nobody takes messages any more.
    discarding: bool,
    /// Nobody sends any more: our Close is asked for, or the socket has ended.
    shut: bool,
    aborted: bool,
    /// All sockets of the server are being drained.
    draining: bool,
    /// The drain's time was up before the socket's.
    cut: bool,
    traffic: Traffic,
    watched: policy_side::Watched,
    wakers: Wakers,
    loan: loan::Loan,
}

/// The state of the transport's flush, as the driver last reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// All that was written is flushed.
    Done,
    /// The transport has more to do with it.
    Pending,
    /// The driver was about to write and flush all there was. It tells how that went only if it is woken.
    Untold,
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

impl Shared {
    pub(crate) fn new(
        negotiated: Negotiated,
        limits: Limits,
        #[cfg(feature = "deflate")] compression: Option<Compression>,
    ) -> Arc<Self> {
        let state = State {
            phase: Phase::Upgrading,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            #[cfg(feature = "deflate")]
            to_compress: negotiated.compression.map(|_| Box::default()),
            writing: 0,
            flush: Flush::Done,
            ping: None,
            pings: Pings::default(),
            sends_waiting: 0,
            sink_waits: false,
            close: Close::default(),
            discarding: false,
            shut: false,
            aborted: false,
            draining: false,
            cut: false,
            traffic: Traffic::default(),
            watched: policy_side::Watched::default(),
            wakers: Wakers::default(),
            loan: loan::Loan::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            at_hand: AtomicUsize::new(0),
            negotiated,
            limits,
            #[cfg(feature = "deflate")]
            compression,
        })
    }

    /// That of a socket with nothing negotiated.
    #[cfg(test)]
    fn bare() -> Arc<Self> {
        let negotiated = Negotiated {
            version: http::Version::HTTP_11,
            protocol: None,
            #[cfg(feature = "deflate")]
            compression: None,
        };
        Self::new(
            negotiated,
            Limits::default(),
            #[cfg(feature = "deflate")]
            None,
        )
    }

    /// The decoder of what the peer sends.
    pub(crate) fn decoder(&self) -> Decoder {
        let decoder = Decoder::new(Role::Server, self.limits);
        #[cfg(feature = "deflate")]
        if let Some(agreed) = &self.negotiated.compression {
            return decoder.with_deflate(agreed);
        }
        decoder
    }

    /// What compresses messages, where that was negotiated.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflating(&self) -> Option<Box<Deflating>> {
        let (agreed, settings) = self.negotiated.compression.zip(self.compression)?;
        Some(Box::new(Deflating::new(&agreed, settings)))
    }

    /// How many messages the endpoint has taken.
    fn taken(&self, state: &State) -> u64 {
        state.inbox.taken - self.at_hand.load(Ordering::Relaxed) as u64
    }

    /// To be kept while the driver polls the endpoint.
    #[inline]
    pub(crate) fn endpoint_call(&self) -> EndpointCall {
        EndpointCall::begin(self.address())
    }

    /// From where this is called.
    #[inline]
    fn caller(&self) -> Caller {
        Caller::of(self.address())
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut State, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        let result = f(&mut state, &mut wakes);
        drop(state);
        wakes.wake();
        result
    }
}

impl State {
    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Closed(_))
    }

    /// Whether there is nothing more to take. While that is so, there is attention.
    fn recv_is_over(&mut self, caller: Caller, wakes: &mut Wakes) -> bool {
        if self.close.received.is_some() {
            self.close.saw_end(caller);
            self.wakers.wake_driver(wakes);
            return true;
        }
        self.is_closed() || self.close.queued || self.close.requested.is_some()
    }

    /// Whether a message may be queued now.
    #[inline]
    fn room_to_send(&self) -> Result<bool, SendError> {
        if self.shut {
            Err(SendError::Closed)
        } else {
            Ok(self.queued() <= HIGH_WATER)
        }
    }

    /// A future of `send` waits no longer, for which the answer to the peer's Close may have waited.
    fn send_no_more(&mut self, wakes: &mut Wakes) {
        self.sends_waiting -= 1;
        self.wakers.leave(List::Send, wakes);
        self.wakers.wake_driver(wakes);
    }

    /// Queues the message; what is left of it is to be dropped outside of the lock.
    #[inline]
    #[cfg_attr(
        not(feature = "deflate"),
        allow(unused_variables, reason = "they are all about compression")
    )]
    fn push(&mut self, message: &mut Message, options: SendOptions, wakes: &mut Wakes) {
        self.traffic.messages_sent += 1;
        self.traffic.bytes_sent += message.len() as u64;
        self.watched.sent(message);
        self.wakers.wake_driver_for_messages(wakes);
        #[cfg(feature = "deflate")]
        if let Some(queue) = &mut self.to_compress {
            queue.push(mem::take(message), options);
            return;
        }
        self.outbox.push_message(message);
    }

    fn push_close(&mut self, close: Option<&CloseFrame>) {
        #[cfg(feature = "deflate")]
        if let Some(queue) = &mut self.to_compress {
            return queue.push_close(&mut self.outbox, close);
        }
        self.outbox.push_close(close);
    }

    #[inline]
    fn queued(&self) -> usize {
        #[cfg(feature = "deflate")]
        let to_compress = self.to_compress.as_ref().map_or(0, |queue| queue.bytes());
        #[cfg(not(feature = "deflate"))]
        let to_compress = 0;
        self.outbox.len() + self.writing + to_compress
    }

    /// Whether all that was queued is written and flushed.
    fn is_drained(&self) -> bool {
        self.queued() == 0 && self.flush == Flush::Done
    }

    /// The result of a flush, or `None` while it is pending.
    fn flushed(&mut self, wakes: &mut Wakes) -> Option<Result<(), SendError>> {
        if self.is_drained() {
            return Some(Ok(()));
        }
        if self.is_closed() {
            return Some(Err(SendError::Closed));
        }
        // The driver is woken only if it has something to report. It may share its task with the caller: otherwise the two
        // would spin.
        if self.flush == Flush::Untold {
            self.wakers.wake_driver_for_messages(wakes);
        }
        None
    }

    /// Whether what the peer still sends is of no use to anybody.
    fn discards(&self) -> bool {
        self.discarding || self.shut
    }

    fn room(&self) -> Room {
        if self.discards() {
            Room::EMPTY
        } else {
            self.inbox.room()
        }
    }

    fn request_close(&mut self, frame: CloseFrame, tentative: bool, wakes: &mut Wakes) {
        self.request_close_by(ClosedBy::Endpoint, frame, tentative, wakes);
    }

    fn request_close_by(
        &mut self,
        by: ClosedBy,
        frame: CloseFrame,
        tentative: bool,
        wakes: &mut Wakes,
    ) {
        if self.close.requested.is_some() || self.close.queued || self.aborted {
            return;
        }
        self.close.requested = Some(Request {
            frame,
            by,
            tentative,
        });
        self.shut = true;
        self.wakers.wake_recv(wakes);
        self.wakers.wake_send(wakes);
        self.wakers.wake_driver(wakes);
    }

    /// Drops the connection in the next round of the driver. Unless a Close was queued or received before, this is how the
    /// socket ended.
    fn abort_by(&mut self, by: ClosedBy, reason: &str, wakes: &mut Wakes) {
        let first = (by, CloseCode::ABNORMAL, reason.to_owned());
        self.close.first.get_or_insert(first);
        self.aborted = true;
        self.shut = true;
        self.wakers.wake_driver(wakes);
    }

    fn queue_close(&mut self, overdue: bool) {
        // An abort drops the connection: no Close that is queued from here on leaves, and none is recorded.
        if self.close.queued || self.aborted {
            return;
        }
        if let Some(received) = &self.close.received {
            let sends = self.sends_waiting > 0 || self.sink_waits;
            let answered = self.is_drained() && !sends;
            let due = match self.close.seen {
                Seen::Yes => answered,
                Seen::ThisRun => {
                    self.close.seen = Seen::Yes;
                    self.wakers.endpoint_ready = true;
                    false
                }
                // Who drops what came before it answers none of that.
                Seen::No => self.discarding,
            };
            if due || overdue || self.close.requested.is_some() {
                let answer = received.answer.clone();
                self.push_close(answer.as_ref());
                self.close.queued = true;
                self.shut = true;
            }
        } else if let Some(request) = &self.close.requested {
            let (by, frame) = (request.by, request.frame.clone());
            self.push_close(Some(&frame));
            self.close.queued = true;
            let reason = frame.reason().to_owned();
            self.close.first = Some((by, frame.code(), reason));
        }
    }

    fn closed(&mut self, since: Instant, negotiated: Negotiated) -> Closed {
        let answered = self.close.queued && self.is_drained();
        let received = self.close.received.as_ref();
        let clean = answered && received.is_some_and(|received| received.is_close);
        let lost = || (ClosedBy::Transport, CloseCode::ABNORMAL, String::new());
        let (by, code, reason) = self.close.first.take().unwrap_or_else(lost);
        Closed {
            by,
            code,
            reason,
            clean,
            traffic: self.traffic,
            duration: since.elapsed(),
            round_trip: self.pings.round_trip(),
            negotiated,
        }
    }
}
