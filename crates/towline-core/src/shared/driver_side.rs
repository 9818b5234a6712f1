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
use super::{Batch, FAILED, Flush, HIGH_WATER, List, Phase, Room, Shared, State, pings};
use crate::closed::ClosedBy;
#[cfg(feature = "deflate")]
use crate::deflating::Deflating;
use crate::error::UpgradeFailed;
use crate::outbox::Outbox;

/// What came of a look at all there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collected {
    /// There are [`Orders`].
    pub(crate) attention: bool,
    pub(crate) room: Room,
    /// When what was collected is written, there is nothing more to do.
    pub(crate) is_last: bool,
}

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
    /// [`finish`](Self::finish), or to the last [`collect`](Self::collect), nobody wakes the driver.
    #[inline]
    pub(crate) fn deliver(&self, arrived: &mut Batch, cx: &mut Context<'_>) -> bool {
        let endpoint_ready = self.with(|state, wakes| {
            state.wakers.running = true;
            state.wakers.woken = false;
            // In another task the timer is to be armed anew.
            state.wakers.attention |= wakes.register(&mut state.wakers.driver, cx);
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
            state.wakers.wake_all(List::Pong, wakes);
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
            state.wakers.wake_all(List::Pong, wakes);
        });
        arrived.clear();
    }

    /// Returns `true` if the peer broke the protocol.
    pub(crate) fn is_violated(&self) -> bool {
        self.with(|state, _| {
            let received = state.close.received.as_ref();
            received.is_some_and(|received| !received.is_close)
        })
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
    /// had its time to see the end of the input; `reads`: there may be something to read.
    ///
    /// If that is the last there is to do, the driver is woken from here on as if it had returned, and may return without
    /// [`finish`](Self::finish) when all is written and flushed.
    #[inline]
    pub(crate) fn collect(
        &self,
        writing: &mut Outbox,
        #[cfg(feature = "deflate")] deflating: Option<&mut Deflating>,
        overdue: bool,
        reads: bool,
    ) -> Collected {
        self.with(|state, _| {
            state.wakers.poked = false;
            let attention = state.wakers.attention;
            if attention {
                state.attend(overdue);
            }
            if writing.is_empty() {
                mem::swap(writing, &mut state.outbox);
            }
            let room = state.room();
            let is_last = !(attention | reads | room.is_none()) && state.is_at_rest();
            if is_last {
                state.wakers.running = false;
                if !writing.is_empty() || state.flush == Flush::Pending {
                    state.flush = Flush::Untold;
                }
            } else {
                state.writing = writing.len();
                #[cfg(feature = "deflate")]
                if let (Some(deflating), Some(queue)) = (deflating, &mut state.to_compress) {
                    deflating.take(queue);
                    state.writing += deflating.bytes();
                }
            }
            Collected {
                attention,
                room,
                is_last,
            }
        })
    }

    /// What there is to do besides writing messages.
    pub(crate) fn orders(&self) -> Orders {
        self.with(|state, _| Orders {
            abort: state.aborted,
            close_queued: state.close.queued,
            taken: self.taken(state),
            sent: state.traffic.messages_sent,
            news: state.watched.any(),
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

    /// What has arrived before the connection was gone.
    pub(crate) fn take_last(&self, arrived: &mut Batch) {
        self.with(|state, wakes| state.take_in(arrived, wakes));
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
        let wakers = self.with(|state, _| {
            (
                state.wakers.driver.take(),
                mem::take(&mut state.wakers.recv),
            )
        });
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
            // The endpoint is polled once more, whatever it waits for.
            state.wakers.endpoint_ready = true;
            // What is lost is never flushed.
            if !state.is_drained() {
                state.flush = Flush::Pending;
            }
            state.writing = 0;
            state.wakers.wake_recv(wakes);
            state.wakers.wake_send(wakes);
            state.wakers.wake_all(List::Pong, wakes);
            state.wakers.wake_all(List::Closed, wakes);
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
    fn attend(&mut self, overdue: bool) {
        if self.pings.is_due() {
            self.queue_ping();
        }
        self.queue_close(overdue);
        // The rest is seen to at once: an abort, and what the policies are told.
        self.wakers.attention =
            self.pings.is_asked() || self.close.is_under_way() || self.watched.watches_sent();
    }

    /// Whether nobody waits for anything, and nothing is left of what was collected before.
    #[inline]
    fn is_at_rest(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.to_compress.is_some() {
            return false;
        }
        !self.wakers.endpoint_ready
            && self.wakers.send.is_empty()
            && self.ping.is_none()
            && self.writing == 0
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
        let Written { left, unflushed } = written;
        let flush = if unflushed {
            Flush::Pending
        } else {
            Flush::Done
        };
        let changed = (self.writing, self.flush) != (left, flush);
        (self.writing, self.flush) = (left, flush);
        // Only progress wakes the waiting futures.
        if changed
            && (self.ping.is_some() || !self.wakers.send.is_empty())
            && self.queued() <= HIGH_WATER
        {
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
        if !self.wakers.send.is_empty() {
            self.close.woke_senders();
            self.wakers.wake_all(List::Send, wakes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;
    use crate::sender::SendOptions;

    /// A driver that reads nothing and writes all, or nothing.
    struct Driver {
        shared: Arc<Shared>,
        waker: Waker,
        wakes: Arc<Wakes>,
        reads: bool,
        writing: Outbox,
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Driver {
        /// Behind its first round, in which there is always more to do.
        fn new() -> Self {
            let wakes = Arc::new(Wakes::default());
            let mut driver = Self {
                shared: Shared::bare(),
                waker: Waker::from(Arc::clone(&wakes)),
                wakes,
                reads: false,
                writing: Outbox::default(),
            };
            assert!(!driver.is_last(|_| {}));
            driver
        }

        fn deliver(&self, arrived: &mut Batch) {
            let mut cx = Context::from_waker(&self.waker);
            self.shared.deliver(arrived, &mut cx);
        }

        fn collect(&mut self) -> bool {
            let collected = self.shared.collect(
                &mut self.writing,
                #[cfg(feature = "deflate")]
                None,
                false,
                self.reads,
            );
            collected.is_last
        }

        /// Whether a round is the last in which the endpoint does this.
        fn is_last(&mut self, endpoint: impl FnOnce(&Shared)) -> bool {
            self.deliver(&mut Batch::default());
            endpoint(&self.shared);
            self.collect()
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }
    }

    fn send(shared: &Shared, len: usize) {
        shared.push(vec![0; len].into()).unwrap();
    }

    fn flush(shared: &Shared) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(shared.poll_flushed(&mut false, &mut cx).is_pending());
    }

    #[test]
    fn a_round_is_the_last_if_it_leaves_nothing() {
        assert!(Driver::new().is_last(|_| {}));
        assert!(Driver::new().is_last(|shared| send(shared, 1)));

        let mut driver = Driver::new();
        driver.reads = true;
        assert!(!driver.is_last(|_| {}), "more to read");

        let mut driver = Driver::new();
        assert!(driver.is_last(|shared| send(shared, 1)));
        let left = driver.writing.len();
        let unflushed = false;
        let written = Written { left, unflushed };
        driver.shared.finish(Some(written), false, false);
        assert!(!driver.is_last(|_| {}), "nothing of that was written");

        let mut driver = Driver::new();
        let mut arrived = Batch::default();
        while arrived.fits(Room::EMPTY) {
            arrived.push("x".into());
        }
        driver.deliver(&mut arrived);
        assert!(!driver.collect(), "no room to read");
    }

    #[test]
    fn a_round_is_not_the_last_if_somebody_waits_for_it() {
        // What goes on asks for a look in each round.
        let mut driver = Driver::new();
        assert!(!driver.is_last(|shared| shared.close(FAILED)));
        driver.writing = Outbox::default();
        assert!(!driver.is_last(|_| {}));

        let flushed = |shared: &Shared| {
            send(shared, 1);
            flush(shared);
        };
        assert!(!Driver::new().is_last(flushed));

        let full = |shared: &Shared| {
            send(shared, HIGH_WATER + 1);
            let mut cx = Context::from_waker(Waker::noop());
            let push = shared.poll_send(&mut "x".into(), SendOptions::new(), &mut false, &mut cx);
            assert!(push.is_pending());
        };
        assert!(!Driver::new().is_last(full));

        let pinged = |shared: &Shared| {
            send(shared, HIGH_WATER + 1);
            shared.ping(Bytes::from_static(b"for want of room"));
        };
        assert!(!Driver::new().is_last(pinged));
    }

    #[test]
    fn a_ping_that_is_not_answered_is_nothing_to_do() {
        let mut driver = Driver::new();
        let ping = |shared: &Shared| {
            let turn = shared.ask_ping().unwrap();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(shared.poll_pong(turn, &mut false, &mut cx).is_pending());
        };
        assert!(!driver.is_last(ping), "it is to be sent");
        driver.writing = Outbox::default();
        let (left, unflushed) = (0, false);
        let written = Written { left, unflushed };
        driver.shared.finish(Some(written), false, false);
        assert!(driver.is_last(|shared| send(shared, 1)));
    }

    #[test]
    fn from_the_last_look_on_the_driver_is_woken() {
        type Handle = fn(&Shared);
        let handles: [Handle; 3] = [|shared| send(shared, 1), flush, Shared::abort];
        for handle in handles {
            let mut driver = Driver::new();
            assert!(driver.is_last(|shared| send(shared, 1)));
            handle(&driver.shared);
            handle(&driver.shared);
            assert_eq!(driver.wakes(), 1);
            driver.deliver(&mut Batch::default());
            handle(&driver.shared);
            assert_eq!(driver.wakes(), 1, "it runs");
        }
    }
}
