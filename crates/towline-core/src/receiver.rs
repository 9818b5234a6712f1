//! The receiving half of a socket, which owns it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use futures_core::Stream;
use towline_protocol::{CloseFrame, Message};

use crate::control::{Control, WaitClosed, WaitDraining};
use crate::shared::{DONE, FAILED, Shared, release};

/// Receives from a WebSocket and owns it; made by [`WebSocket::split`](crate::WebSocket::split).
///
/// When it is dropped, the socket closes with 1000, or while the thread panics with 1011. As a [`Stream`] it yields what
/// [`recv`](Self::recv) yields.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// What was taken from the inbox and not yet received.
    at_hand: VecDeque<Message>,
    /// What the drop of this handle closes the socket with.
    on_drop: CloseFrame,
}

impl Receiver {
    pub(crate) fn accepted(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            at_hand: VecDeque::new(),
            on_drop: FAILED,
        }
    }

    pub(crate) fn opened(&mut self) {
        self.on_drop = DONE;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The next message, or `None` when there will be no more; see [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken no message.
    pub fn recv(&mut self) -> impl Future<Output = Option<Message>> + Send + '_ {
        poll_fn(|cx| self.poll_recv(cx))
    }

    #[inline]
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if let Some(message) = self.at_hand.pop_front() {
            self.shared.note_at_hand(&self.at_hand);
            return Poll::Ready(Some(message));
        }
        release(&mut self.at_hand);
        self.shared.poll_recv(&mut self.at_hand, cx)
    }

    /// Drops every message that was and will be received, and waits for the end of the socket.
    ///
    /// For an endpoint that only sends: reading goes on, so that pings are answered, and a Close at once. The future
    /// borrows the receiver, which goes on owning the socket.
    ///
    /// # Cancel safety
    ///
    /// Messages are dropped from the first poll on, also after the future was dropped.
    pub async fn discard(&mut self) -> crate::Closed {
        self.at_hand = VecDeque::new();
        self.shared.note_at_hand(&self.at_hand);
        self.shared.discard();
        self.closed().await
    }

    /// Waits for the end of the socket; see [`WebSocket::closed`](crate::WebSocket::closed).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn closed(&self) -> WaitClosed {
        WaitClosed::new(Arc::clone(&self.shared))
    }

    /// Waits for the drain of all sockets; see [`WebSocket::draining`](crate::WebSocket::draining).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn draining(&self) -> WaitDraining {
        WaitDraining::new(Arc::clone(&self.shared))
    }

    /// A handle that ends the socket from elsewhere and keeps nothing open.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }
}

impl Stream for Receiver {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().poll_recv(cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let frame = if thread::panicking() {
            FAILED
        } else {
            self.on_drop.clone()
        };
        self.shared.release(frame);
    }
}
