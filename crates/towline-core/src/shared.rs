//! What a handle and its driver share: plain state under one lock.
//!
//! Nothing here does IO. Whoever changes the state wakes the other side only after unlocking ([`Wakes`]), and
//! messages and buffers are dropped outside of the lock.

mod close;
mod inbox;
#[cfg(feature = "tungstenite")]
mod loan;
mod pings;
mod policy_side;
mod wakers;

mod driver_side;
mod handle_side;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use towline_protocol::{CloseCode, CloseFrame, Limits, Message};

use self::close::{Close, Request, Seen};
pub(crate) use self::driver_side::{Orders, Written};
use self::inbox::Inbox;
pub(crate) use self::inbox::{Batch, Room, release};
#[cfg(feature = "tungstenite")]
pub(crate) use self::loan::{Direction, Returned};
use self::pings::Pings;
pub(crate) use self::policy_side::{News, SentPing};
use self::wakers::{Wakers, Wakes};
use crate::closed::{Closed, ClosedBy, Negotiated, Traffic};
use crate::error::{SendError, UpgradeFailed};
use crate::outbox::Outbox;

/// Above this many queued bytes, `send` waits.
const HIGH_WATER: usize = 64 * 1024;

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
    pings: Pings,
    /// How many futures of `send` wait for room.
    sends_waiting: usize,
    close: Close,
    /// Nobody takes messages any more.
    discarding: bool,
    /// Nobody sends any more: our Close is asked for, or the socket has ended.
    shut: bool,
    aborted: bool,
    traffic: Traffic,
    watched: policy_side::Watched,
    wakers: Wakers,
    #[cfg(feature = "tungstenite")]
    loan: loan::Loan,
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
    pub(crate) fn new(negotiated: Negotiated, limits: Limits) -> Arc<Self> {
        let state = State {
            phase: Phase::Upgrading,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            writing: 0,
            unflushed: false,
            ping: None,
            pings: Pings::default(),
            sends_waiting: 0,
            close: Close::default(),
            discarding: false,
            shut: false,
            aborted: false,
            traffic: Traffic::default(),
            watched: policy_side::Watched::default(),
            wakers: Wakers::default(),
            #[cfg(feature = "tungstenite")]
            loan: loan::Loan::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            negotiated,
            limits,
        })
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

    /// Whether a message may be queued now.
    #[inline]
    fn room_to_send(&self) -> Result<bool, SendError> {
        if self.shut {
            Err(SendError::Closed)
        } else {
            Ok(self.queued() <= HIGH_WATER)
        }
    }

    /// Queues the message; what is left of it is to be dropped outside of the lock.
    #[inline]
    fn push(&mut self, message: &mut Message, wakes: &mut Wakes) {
        self.traffic.messages_sent += 1;
        self.traffic.bytes_sent += message.len() as u64;
        self.watched.sent(message);
        self.outbox.push_message(message);
        self.wakers.wake_driver(wakes);
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
        if self.close.requested.is_some() || self.close.queued {
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

    fn queue_close(&mut self, overdue: bool) {
        if self.close.queued {
            return;
        }
        if let Some(received) = &self.close.received {
            let answered = self.queued() == 0 && self.sends_waiting == 0;
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
                self.outbox.push_close(received.answer.as_ref());
                self.close.queued = true;
                self.shut = true;
            }
        } else if let Some(request) = &self.close.requested {
            self.outbox.push_close(Some(&request.frame));
            self.close.queued = true;
            let reason = request.frame.reason().to_owned();
            self.close.first = Some((request.by, request.frame.code(), reason));
        }
    }

    fn closed(&mut self, since: Instant, negotiated: Negotiated) -> Closed {
        let answered = self.close.queued && self.is_drained();
        let received = self.close.received.as_ref();
        let clean = answered && received.is_some_and(|received| received.is_close);
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
            round_trip: self.pings.round_trip(),
            negotiated,
        }
    }
}
