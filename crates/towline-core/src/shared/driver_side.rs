//! What the driver does with the state.

use std::mem;
use std::task::Context;

use bytes::Bytes;
use tokio::time::Instant;
use towline_protocol::{CloseCode, CloseFrame, Message, Opcode, Violation};

use super::close::Received;
use super::{FAILED, HIGH_WATER, Phase, Shared, State};
use crate::closed::ClosedBy;
use crate::error::UpgradeFailed;
use crate::outbox::Outbox;

/// What the driver has to do in its next write.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) abort: bool,
    /// Nothing is left to write.
    pub(crate) drained: bool,
    /// Our Close is queued, now or before.
    pub(crate) close_queued: bool,
    /// A count that moves while the endpoint takes and sends messages.
    pub(crate) activity: u64,
}

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
            let stay =
                state.wakers.poked || state.wakers.endpoint_ready || (reads && state.has_room());
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

    /// A message from the peer, dropped when nobody will take it; whether there is room for more.
    pub(crate) fn deliver(&self, message: Message) -> bool {
        let (room, _dropped) = self.with(|state, wakes| {
            state.traffic.messages_received += 1;
            state.traffic.bytes_received += message.len() as u64;
            if state.discards() {
                return (true, Some(message));
            }
            state.inbox.push(message);
            state.wakers.wake_recv(wakes);
            (state.inbox.has_room(), None)
        });
        room
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

    /// A pong from the peer, asked for or not.
    pub(crate) fn pong(&self, payload: &[u8]) {
        self.with(|state, wakes| {
            if state.pings.pong(payload, Instant::now) {
                state.wakers.wake_send(wakes);
            }
        });
    }

    /// The peer's Close. It is answered when the endpoint has seen what came before it.
    pub(crate) fn peer_closed(&self, frame: Option<&CloseFrame>) {
        let (code, reason) = match frame {
            Some(frame) => (frame.code(), frame.reason().to_owned()),
            None => (CloseCode::NO_STATUS, String::new()),
        };
        let received = Received {
            answer: frame.map(CloseFrame::reply),
            is_close: true,
        };
        self.input_ended(received, (ClosedBy::Peer, code, reason));
    }

    /// The peer broke the protocol. It is told by a Close when the endpoint has seen what came before that.
    pub(crate) fn refuse(&self, violation: Violation) {
        let answer = CloseFrame::from(violation);
        let reason = answer.reason().to_owned();
        let first = (ClosedBy::Violation(violation), answer.code(), reason);
        let received = Received {
            answer: Some(answer),
            is_close: false,
        };
        self.input_ended(received, first);
    }

    fn input_ended(&self, received: Received, first: (ClosedBy, CloseCode, String)) {
        self.with(|state, wakes| {
            state.close.first.get_or_insert(first);
            state.close.received = Some(received);
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
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
    /// had its time to see the end of the input.
    pub(crate) fn collect(&self, writing: &mut Outbox, overdue: bool) -> Orders {
        self.with(|state, _| {
            state.wakers.poked = false;
            if !state.close.queued {
                if let Some(ping) = state.pings.next(Instant::now) {
                    state.outbox.push_frame(Opcode::Ping, ping);
                }
            }
            state.queue_close(overdue);
            if writing.is_empty() && !state.outbox.is_empty() {
                *writing = mem::take(&mut state.outbox);
                state.writing = writing.len();
            }
            Orders {
                abort: state.aborted,
                drained: state.is_drained(),
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

    /// The socket has closed, whatever becomes of its connection.
    pub(crate) fn ended(&self) {
        self.end(|state| match state.phase {
            Phase::Open { since } => Phase::Closed(state.closed(since, self.negotiated.clone())),
            _ => Phase::Failed(Some(UpgradeFailed::Dropped)),
        });
    }

    /// The driver is gone.
    pub(crate) fn abandon(&self) {
        self.ended();
        let driver = self.with(|state, _| state.wakers.driver.take());
        drop(driver);
    }

    fn end(&self, phase: impl FnOnce(&mut State) -> Phase) {
        let dropped = self.with(|state, wakes| {
            if state.is_closed() {
                return None;
            }
            state.phase = phase(state);
            state.writing = 0;
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
            state.wakers.wake_closed(wakes);
            Some(mem::take(&mut state.outbox))
        });
        drop(dropped);
    }
}
