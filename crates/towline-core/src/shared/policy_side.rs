//! What the policies of a socket do with the state.

use std::mem;

use towline_protocol::{Message, Opcode};

use super::{HIGH_WATER, Shared};
use crate::closed::{ClosedBy, RoundTrip};
use crate::policies::{Decision, End};
use crate::policy::Event;

/// What policies are to be told of the handles.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The messages sent, if a policy watches them.
    sent: Option<Vec<Event>>,
    /// The ping that was queued last.
    pub(super) ping: Option<SentPing>,
    pub(super) signals: Signals,
}

/// What policies are told once, however often it was said since they last were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    /// A handle has something to say to them.
    pub(crate) poked: bool,
    /// The drain of all sockets has begun.
    pub(crate) draining: bool,
}

/// What the handles did since the policies were last told.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) sent: Vec<Event>,
    pub(crate) ping: Option<SentPing>,
    pub(crate) signals: Signals,
}

/// How many messages there were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    /// From the peer.
    pub(crate) received: u64,
    /// Of those, by the endpoint.
    pub(crate) taken: u64,
    /// There is no room for more until the endpoint takes some.
    pub(crate) full: bool,
}

/// A ping in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentPing {
    pub(crate) token: u64,
    /// How many bytes are to be written until it has left.
    pub(crate) ahead: usize,
}

impl Watched {
    /// Whether there is something to tell.
    pub(super) fn any(&self) -> bool {
        self.signals != Signals::default()
            || self.ping.is_some()
            || self.sent.as_ref().is_some_and(|sent| !sent.is_empty())
    }

    pub(super) fn watches_sent(&self) -> bool {
        self.sent.is_some()
    }

    #[inline]
    pub(super) fn sent(&mut self, message: &Message) {
        if let Some(sent) = &mut self.sent {
            sent.push(Event::message_sent(message));
        }
    }
}

impl Shared {
    /// A policy watches the messages.
    pub(crate) fn watch_sent(&self) {
        self.with(|state, _| {
            state.watched.sent = Some(Vec::new());
            state.wakers.attention = true;
        });
    }

    /// What the handles did since the last call.
    pub(crate) fn take_news(&self) -> News {
        self.with(|state, _| {
            let watched = &mut state.watched;
            let sent = watched.sent.as_mut();
            News {
                sent: sent.map(mem::take).unwrap_or_default(),
                ping: watched.ping.take(),
                signals: mem::take(&mut watched.signals),
            }
        })
    }

    /// Whether the driver has taken all that was queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state, _| state.outbox.is_empty())
    }

    pub(crate) fn messages(&self) -> Messages {
        self.with(|state, _| Messages {
            received: state.traffic.messages_received,
            taken: self.taken(state),
            full: state.inbox.room().is_none(),
        })
    }

    /// Does what the policies ask for, in the next round of the driver.
    pub(crate) fn obey(&self, decision: Decision) {
        let Decision {
            ping, pong, end, ..
        } = decision;
        self.with(|state, wakes| {
            if ping {
                state.pings.supersede();
            }
            if pong && !state.close.queued && state.queued() <= HIGH_WATER {
                state.outbox.push_control(Opcode::Pong, &[]);
            }
            match end {
                Some(End::Close(frame) | End::Now(frame)) => {
                    state.request_close_by(ClosedBy::Policy, frame, false, wakes);
                }
                Some(End::Abort(reason)) => {
                    state.abort_by(ClosedBy::Policy, reason, wakes);
                }
                None => {}
            }
            state.wakers.wake_driver(wakes);
        });
    }

    /// The driver goes round once more.
    pub(crate) fn go_on(&self) {
        self.with(|state, wakes| state.wakers.wake_driver(wakes));
    }

    /// A handle has something to say to the policies.
    pub(crate) fn poke(&self) {
        self.with(|state, wakes| {
            state.watched.signals.poked = true;
            state.wakers.wake_driver(wakes);
        });
    }

    pub(crate) fn round_trip(&self) -> Option<RoundTrip> {
        self.with(|state, _| state.pings.round_trip())
    }
}
