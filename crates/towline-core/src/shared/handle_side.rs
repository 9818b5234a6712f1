//! What a handle does with the state.

use std::mem;
use std::task::{Context, Poll};

use towline_protocol::{CloseFrame, Message, Opcode};

use super::{HIGH_WATER, Phase, Shared};
use crate::closed::Closed;
use crate::error::{SendError, UpgradeFailed};

impl Shared {
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
}
