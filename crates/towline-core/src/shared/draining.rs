//! What the drain of all sockets does with one of them.

use std::mem;
use std::task::{Context, Poll};

use towline_protocol::CloseFrame;

use super::{List, Shared};
use crate::closed::ClosedBy;

impl Shared {
    /// The drain has begun.
    pub(crate) fn drain(&self) {
        self.with(|state, wakes| {
            if mem::replace(&mut state.draining, true) {
                return;
            }
            state.watched.signals.draining = true;
            state.wakers.wake_all(List::Closed, wakes);
            state.wakers.wake_driver(wakes);
        });
    }

    /// Ready when the drain has begun or the socket has ended.
    pub(crate) fn poll_draining(&self, waits: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|state, wakes| {
            if state.draining || state.is_closed() {
                return Poll::Ready(());
            }
            state
                .wakers
                .wait(List::Closed, waits, self.caller(), cx, wakes);
            Poll::Pending
        })
    }

    /// It is this socket's turn to close.
    pub(crate) fn close_drained(&self, frame: CloseFrame) {
        self.with(|state, wakes| {
            // The endpoint may be in the middle of a frame.
            if state.loan.is_out() {
                return;
            }
            state.request_close_by(ClosedBy::Drain, frame, false, wakes);
        });
    }

    /// The time of the drain is up.
    pub(crate) fn abort_drained(&self) {
        self.with(|state, wakes| {
            state.cut |= !state.is_closed();
            state.abort_by(ClosedBy::Drain, "", wakes);
        });
    }

    /// Whether the drain's time was up before the socket's.
    pub(crate) fn is_cut(&self) -> bool {
        self.with(|state, _| state.cut)
    }
}
