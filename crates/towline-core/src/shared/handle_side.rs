//! What a handle does with the state.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use towline_protocol::{CloseFrame, Message};

use super::{List, Phase, Shared, State};
use crate::closed::{Closed, ClosedBy};
use crate::error::{PingError, SendError, UpgradeFailed};
use crate::sender::SendOptions;

impl Shared {
    /// Ready when the connection is the socket's.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<(), UpgradeFailed>> {
        self.with(|state, wakes| match &mut state.phase {
            Phase::Upgrading => {
                state.wakers.wait_recv(self.caller(), cx, wakes);
                Poll::Pending
            }
            Phase::Failed(error) => {
                Poll::Ready(Err(error.take().unwrap_or(UpgradeFailed::Dropped)))
            }
            Phase::Open { .. } | Phase::Closed(_) => Poll::Ready(Ok(())),
        })
    }

    /// The next message, with more of them in `at_hand`, which must be empty; `None` behind the last one.
    pub(crate) fn poll_recv(
        &self,
        at_hand: &mut VecDeque<Message>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Message>> {
        self.with(|state, wakes| {
            if let Some(message) = state.inbox.take(at_hand) {
                self.note_at_hand(at_hand);
                state.wakers.wake_driver_for_messages(wakes);
                return Poll::Ready(Some(message));
            }
            if state.wakers.attention && state.recv_is_over(self.caller(), wakes) {
                return Poll::Ready(None);
            }
            state.wakers.wait_recv(self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// What is left of the messages that the receiver took at once: they are not taken until it hands them on.
    #[inline]
    pub(crate) fn note_at_hand(&self, at_hand: &VecDeque<Message>) {
        self.at_hand.store(at_hand.len(), Ordering::Relaxed);
    }

    pub(crate) fn accepts_messages(&self) -> bool {
        self.with(|state, _| !state.shut)
    }

    /// Ready while no more than the high-water mark is queued.
    pub(crate) fn poll_sink_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if state.room_to_send()? {
                return Poll::Ready(Ok(()));
            }
            state.sink_waits = true;
            state
                .wakers
                .wait_in_sink(List::Send, self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// Queues a message, whatever is queued already.
    pub(crate) fn push(&self, mut message: Message) -> Result<(), SendError> {
        self.with(|state, wakes| {
            state.room_to_send()?;
            state.sink_waits = false;
            state.push(&mut message, SendOptions::new(), wakes);
            Ok(())
        })
    }

    /// Queues the message if it can; what is left of it then is of no use. Pending while more than the high-water mark is
    /// queued, without a waker.
    #[inline]
    pub(crate) fn poll_push(
        &self,
        message: &mut Message,
        options: SendOptions,
    ) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if !state.room_to_send()? {
                return Poll::Pending;
            }
            state.push(message, options, wakes);
            Poll::Ready(Ok(()))
        })
    }

    /// As [`poll_push`](Self::poll_push), for a future that waits until it is ready.
    pub(crate) fn poll_send(
        &self,
        message: &mut Message,
        options: SendOptions,
        waits: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            let room = state.room_to_send();
            if matches!(room, Ok(false)) {
                state.sends_waiting += usize::from(!*waits);
                state
                    .wakers
                    .wait(List::Send, waits, self.caller(), cx, wakes);
                return Poll::Pending;
            }
            if mem::take(waits) {
                state.send_no_more(wakes);
            }
            room?;
            state.push(message, options, wakes);
            Poll::Ready(Ok(()))
        })
    }

    /// A future of `send` waits no longer.
    #[cold]
    pub(crate) fn send_no_more(&self) {
        self.with(State::send_no_more);
    }

    /// Another future waits no longer.
    #[cold]
    pub(super) fn leave(&self, list: List) {
        self.with(|state, wakes| state.wakers.leave(list, wakes));
    }

    /// Ready when all that was queued is written and flushed.
    pub(crate) fn poll_flushed(
        &self,
        waits: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if let Some(flushed) = state.flushed(wakes) {
                return Poll::Ready(flushed);
            }
            state
                .wakers
                .wait(List::Send, waits, self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// As [`poll_flushed`](Self::poll_flushed).
    pub(crate) fn poll_sink_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.with(|state, wakes| {
            if let Some(flushed) = state.flushed(wakes) {
                return Poll::Ready(flushed);
            }
            state
                .wakers
                .wait_in_sink(List::Send, self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// Asks for a ping of the peer, and gives the number of its turn.
    pub(crate) fn ask_ping(&self) -> Result<u64, PingError> {
        self.with(|state, wakes| {
            if state.shut || state.close.received.is_some() {
                return Err(PingError::Closed);
            }
            let turn = state.pings.ask();
            state.wakers.wake_driver(wakes);
            Ok(turn)
        })
    }

    /// Ready with the round-trip time when the ping of this turn was answered.
    pub(crate) fn poll_pong(
        &self,
        turn: u64,
        waits: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Duration, PingError>> {
        self.with(|state, wakes| {
            if let Some(round_trip) = state.pings.answered(turn) {
                return Poll::Ready(Ok(round_trip));
            }
            if state.is_closed() || state.close.received.is_some() {
                return Poll::Ready(Err(PingError::Closed));
            }
            state
                .wakers
                .wait(List::Pong, waits, self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// From here on data is dropped as it comes.
    pub(crate) fn discard(&self) {
        let dropped = self.with(|state, wakes| {
            state.discarding = true;
            state.wakers.wake_driver(wakes);
            state.inbox.clear()
        });
        drop(dropped);
    }

    /// Asks for a Close behind what is queued. The first one stands.
    pub(crate) fn close(&self, frame: CloseFrame) {
        self.with(|state, wakes| state.request_close(frame, false, wakes));
    }

    /// The owning handle is gone: the socket closes with `frame`, and what it would still have received is dropped.
    pub(crate) fn release(&self, frame: CloseFrame) {
        let dropped = self.with(|state, wakes| {
            state.discarding = true;
            state.sink_waits = false;
            state.request_close(frame, true, wakes);
            state.inbox.clear()
        });
        drop(dropped);
    }

    pub(crate) fn abort(&self) {
        self.with(|state, wakes| state.abort_by(ClosedBy::Endpoint, "", wakes));
    }

    pub(crate) fn poll_closed(&self, waits: &mut bool, cx: &mut Context<'_>) -> Poll<Closed> {
        self.with(|state, wakes| match &state.phase {
            Phase::Closed(closed) => Poll::Ready(closed.clone()),
            // Nobody was given a handle to a socket whose upgrade failed.
            Phase::Upgrading | Phase::Failed(_) => Poll::Pending,
            Phase::Open { .. } => {
                state
                    .wakers
                    .wait(List::Closed, waits, self.caller(), cx, wakes);
                Poll::Pending
            }
        })
    }

    /// Asks for a Close, and is ready at the end of the socket.
    pub(crate) fn poll_sink_closed(&self, frame: CloseFrame, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|state, wakes| {
            if state.is_closed() {
                return Poll::Ready(());
            }
            state.request_close(frame, false, wakes);
            state
                .wakers
                .wait_in_sink(List::Closed, self.caller(), cx, wakes);
            Poll::Pending
        })
    }
}
