//! What the policies of a socket do with the state.

use towline_protocol::{CloseCode, Message, Opcode};

use super::{HIGH_WATER, Shared};
use crate::closed::{ClosedBy, RoundTrip};
use crate::policy::{Decision, End, Event};

/// What policies are to be told of the handles.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The messages sent, if a policy watches them.
    sent: Option<Vec<Event>>,
    /// A handle has something to say to them.
    pub(super) poked: bool,
}

impl Watched {
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
        self.with(|state, _| state.watched.sent = Some(Vec::new()));
    }

    /// The messages sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<Event> {
        self.with(|state, _| {
            let sent = state.watched.sent.as_mut();
            sent.map(std::mem::take).unwrap_or_default()
        })
    }

    /// Does what the policies ask for, in the next round of the driver.
    pub(crate) fn obey(&self, decision: Decision) {
        let Decision { ping, pong, end } = decision;
        if !ping && !pong && end.is_none() {
            return;
        }
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
                    let first = (ClosedBy::Policy, CloseCode::ABNORMAL, reason.to_owned());
                    state.close.first.get_or_insert(first);
                    state.aborted = true;
                    state.shut = true;
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
            state.watched.poked = true;
            state.wakers.wake_driver(wakes);
        });
    }

    pub(crate) fn round_trip(&self) -> Option<RoundTrip> {
        self.with(|state, _| state.pings.round_trip())
    }
}
