//! What the driver does with the state.

use std::mem;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use towline_protocol::{CloseCode, CloseFrame, Opcode, Violation};

use super::close::Received;
use super::policy_side::SentPing;
use super::wakers::Wakes;
use super::{Batch, FAILED, HIGH_WATER, Phase, Room, Shared, State, pings};
use crate::closed::ClosedBy;
#[cfg(feature = "deflate")]
use crate::deflating::Deflating;
use crate::error::UpgradeFailed;
use crate::outbox::Outbox;

/// What the driver has to do in its next write besides writing messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    pub(crate) abort: bool,
    /// Our Close is queued, now or before.
    pub(crate) close_queued: bool,
    /// How many messages the endpoint has taken and sent.
    pub(crate) taken: u64,
    pub(crate) sent: u64,
    /// There is something to tell the policies.
    pub(crate) news: bool,
}

/// What became of the bytes that were collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// How many are not written.
    pub(crate) left: usize,
    /// All are, but the transport has more to do with them.
    pub(crate) unflushed: bool,
}

impl Shared {
    /// Gives the endpoint what has arrived; whether one in the driver's own task has something new to see. From here to
    /// [`finish`](Self::finish) nobody wakes the driver.
    #[inline]
    pub(crate) fn deliver(&self, arrived: &mut Batch, cx: &mut Context<'_>) -> bool {
        let endpoint_ready = self.with(|state, wakes| {
            state.wakers.running = true;
            state.wakers.woken = false;
            // In another task the timer is to be armed anew.
            state.wakers.attention |= wakes.register(&mut state.wakers.driver, cx);
            if state.wakers.attention {
                state.wakers.note_thread();
            }
            state.take_in(arrived, wakes);
            mem::take(&mut state.wakers.endpoint_ready)
        });
        arrived.clear();
        endpoint_ready
    }

    /// Lets a driver without a connection return if nothing changed since it last looked; whether it may.
    pub(crate) fn rest(&self) -> bool {
        self.with(|state, _| {
            state.wakers.running = state.wakers.poked || state.wakers.endpoint_ready;
            !state.wakers.running
        })
    }

    /// Lets the driver return if nothing changed since it last looked and, unless `reads` or `writes`, there is nothing to
    /// read or to write; how much may be read, and whether the driver may return.
    #[inline]
    pub(crate) fn finish(
        &self,
        written: Option<Written>,
        reads: bool,
        writes: bool,
    ) -> (Room, bool) {
        self.with(|state, wakes| {
            if let Some(written) = written {
                state.written(written, wakes);
                state.wakers.poked |= written.left == 0 && state.writes_on();
            }
            let room = state.room();
            let stay = state.wakers.poked
                | state.wakers.endpoint_ready
                | writes
                | (reads && !room.is_none());
            state.wakers.running = stay;
            (room, !stay)
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
        self.with(|state, _| !state.room().is_none())
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
                state.outbox.push_control(Opcode::Pong, &payload);
            } else {
                state.ping = Some(payload);
            }
        });
    }

    /// A pong from the peer, asked for or not; if it answers the newest ping, that one's number and the round-trip time.
    pub(crate) fn pong(&self, payload: &[u8]) -> Option<(u64, Duration)> {
        self.with(|state, wakes| {
            let answered = state.pings.pong(payload, Instant::now)?;
            state.wakers.wake_send(wakes);
            Some(answered)
        })
    }

    /// The peer's Close. It is answered when the endpoint has seen what came before it.
    pub(crate) fn peer_closed(&self, arrived: &mut Batch, frame: Option<&CloseFrame>) {
        let (code, reason) = match frame {
            Some(frame) => (frame.code(), frame.reason().to_owned()),
            None => (CloseCode::NO_STATUS, String::new()),
        };
        let received = Received {
            answer: frame.map(CloseFrame::reply),
            is_close: true,
        };
        self.input_ended(arrived, received, (ClosedBy::Peer, code, reason));
    }

    /// The peer broke the protocol. It is told by a Close when the endpoint has seen what came before that.
    pub(crate) fn refuse(&self, arrived: &mut Batch, violation: Violation) {
        let answer = CloseFrame::from(violation);
        let reason = answer.reason().to_owned();
        let first = (ClosedBy::Violation(violation), answer.code(), reason);
        let received = Received {
            answer: Some(answer),
            is_close: false,
        };
        self.input_ended(arrived, received, first);
    }

    fn input_ended(
        &self,
        arrived: &mut Batch,
        received: Received,
        first: (ClosedBy, CloseCode, String),
    ) {
        self.with(|state, wakes| {
            state.take_in(arrived, wakes);
            state.close.first.get_or_insert(first);
            state.close.received = Some(received);
            state.wakers.attention = true;
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
        });
        arrived.clear();
    }

    /// The endpoint failed: Close 1011, unless the socket is closing for another reason; whether it was not.
    pub(crate) fn fail(&self) -> bool {
        self.with(|state, wakes| {
            let requested = &mut state.close.requested;
            if requested.as_ref().is_some_and(|request| request.tentative) {
                *requested = None;
            }
            let close = &state.close;
            let open = !(state.is_closed() || state.aborted || close.queued)
                && close.requested.is_none()
                && close.received.is_none();
            state.request_close(FAILED, false, wakes);
            open
        })
    }

    /// Without a connection, what was asked of the driver waits; all but an abort, which this tells of.
    pub(crate) fn put_off(&self) -> bool {
        self.with(|state, _| {
            state.wakers.poked = false;
            state.aborted
        })
    }

    /// Moves what is queued into an empty `writing`, behind it the Close if one is due. `overdue`: the endpoint has
    /// had its time to see the end of the input.
    #[inline]
    pub(crate) fn collect(
        &self,
        writing: &mut Outbox,
        #[cfg(feature = "deflate")] deflating: Option<&mut Deflating>,
        overdue: bool,
    ) -> Option<Orders> {
        self.with(|state, _| {
            state.wakers.poked = false;
            let orders = state.wakers.attention.then(|| state.attend(overdue));
            if writing.is_empty() && !state.outbox.is_empty() {
                mem::swap(writing, &mut state.outbox);
                state.writing = writing.len();
            }
            #[cfg(feature = "deflate")]
            if let (Some(deflating), Some(queue)) = (deflating, &mut state.to_compress) {
                deflating.take(queue);
                state.writing = writing.len() + deflating.bytes();
            }
            orders
        })
    }

    /// Notes what was written; whether nothing is left of all that was queued.
    pub(crate) fn written(&self, written: Written) -> bool {
        self.with(|state, wakes| {
            state.written(written, wakes);
            state.is_drained()
        })
    }

    /// No connection came of the upgrade.
    pub(crate) fn upgrade_failed(&self, error: UpgradeFailed) {
        self.end(|_| Phase::Failed(Some(error)));
    }

    /// The connection is gone, behind what has arrived.
    pub(crate) fn gone(&self, arrived: &mut Batch) {
        self.with(|state, wakes| state.take_in(arrived, wakes));
        self.ended();
    }

    /// The socket has closed, whatever becomes of its connection.
    pub(crate) fn ended(&self) {
        self.end(|state| match state.phase {
            Phase::Open { since } => Phase::Closed(state.closed(since, self.negotiated.clone())),
            _ => Phase::Failed(Some(UpgradeFailed::Dropped)),
        });
    }

    /// The driver is gone, and with it the wakers of its task: a handle that is left elsewhere would keep that.
    pub(crate) fn abandon(&self) {
        self.ended();
        let wakers = self.with(|state, _| (state.wakers.driver.take(), state.wakers.recv.take()));
        drop(wakers);
    }

    fn end(&self, phase: impl FnOnce(&mut State) -> Phase) {
        let dropped = self.with(|state, wakes| {
            if state.is_closed() {
                return None;
            }
            state.phase = phase(state);
            state.shut = true;
            state.wakers.attention = true;
            state.writing = 0;
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
            state.wakers.wake_closed(wakes);
            #[cfg(feature = "deflate")]
            let queue = state.to_compress.take();
            #[cfg(not(feature = "deflate"))]
            let queue = ();
            Some((mem::take(&mut state.outbox), queue))
        });
        drop(dropped);
    }
}

impl State {
    /// Sees to what is not a message.
    #[inline(never)]
    fn attend(&mut self, overdue: bool) -> Orders {
        if self.pings.is_due() {
            self.queue_ping();
        }
        self.queue_close(overdue);
        let news = self.watched.any();
        // The rest is seen to at once: an abort, and what the policies are told.
        self.wakers.attention =
            self.pings.is_asked() || self.close.is_under_way() || self.watched.watches_sent();
        Orders {
            abort: self.aborted,
            close_queued: self.close.queued,
            taken: self.inbox.taken,
            sent: self.traffic.messages_sent,
            news,
        }
    }

    #[cold]
    fn queue_ping(&mut self) {
        if self.close.queued {
            return;
        }
        let Some(token) = self.pings.next(Instant::now) else {
            return;
        };
        let payload = pings::payload(token);
        self.outbox.push_control(Opcode::Ping, &payload);
        let ahead = self.queued();
        self.watched.ping = Some(SentPing { token, ahead });
    }

    /// Leaves in `arrived` what nobody will take, to be dropped outside of the lock.
    #[inline]
    fn take_in(&mut self, arrived: &mut Batch, wakes: &mut Wakes) {
        if arrived.messages() == 0 {
            return;
        }
        self.traffic.messages_received += arrived.messages() as u64;
        self.traffic.bytes_received += arrived.bytes() as u64;
        if !self.discards() {
            self.inbox.append(arrived);
            self.wakers.wake_recv(wakes);
        }
    }

    #[inline]
    fn written(&mut self, written: Written, wakes: &mut Wakes) {
        self.writing = written.left;
        self.unflushed = written.unflushed;
        if (self.ping.is_some() || !self.wakers.send.is_empty()) && self.queued() <= HIGH_WATER {
            self.room_again(wakes);
        }
    }

    /// Whether there is more to write, or an answer to the peer's Close that waited for the last of it.
    #[inline]
    fn writes_on(&self) -> bool {
        self.queued() > 0 || (self.close.received.is_some() && !self.close.queued)
    }

    #[inline(never)]
    fn room_again(&mut self, wakes: &mut Wakes) {
        if let Some(ping) = self.ping.take().filter(|_| !self.close.queued) {
            self.outbox.push_control(Opcode::Pong, &ping);
        }
        self.wakers.wake_send(wakes);
    }
}
