//! Ending a socket from elsewhere, and waiting for its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use towline_protocol::{CloseCode, CloseFrame, InvalidClose};

use crate::closed::Closed;
use crate::shared::{List, Shared, Waiter};

/// Ends a WebSocket from outside of its endpoint: a token was revoked, an operator wants it gone.
///
/// It may be cloned, and it owns nothing: it keeps no socket open, and does nothing to one that has ended.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Closes the socket with `code` and `reason` behind what is queued. The first close of a socket stands.
    ///
    /// # Errors
    ///
    /// [`InvalidClose`], as for [`WebSocket::close`](crate::WebSocket::close); nothing is queued then.
    pub fn close(
        &self,
        code: impl Into<CloseCode>,
        reason: impl Into<String>,
    ) -> Result<(), InvalidClose> {
        let frame = CloseFrame::new(code.into(), reason)?;
        self.shared.close(frame);
        Ok(())
    }

    /// Drops the connection at once: no Close, and nothing that is queued goes out.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// Tells the socket's policies, by [`Event::Poked`](crate::Event::Poked), that something has changed which they know
    /// of: a token was revoked, a limit raised.
    pub fn poke(&self) {
        self.shared.poke();
    }

    /// Waits for the drain of all sockets; see [`WebSocket::draining`](crate::WebSocket::draining).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn draining(&self) -> WaitDraining {
        WaitDraining::new(Arc::clone(&self.shared))
    }

    /// Waits for the end of the socket.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn closed(&self) -> WaitClosed {
        WaitClosed::new(Arc::clone(&self.shared))
    }
}

/// The future of [`WebSocket::closed`](crate::WebSocket::closed). It keeps nothing open.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct WaitClosed {
    waiter: Waiter<Arc<Shared>>,
}

impl WaitClosed {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let waiter = Waiter::new(shared, List::Closed);
        Self { waiter }
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.waiter.shared()
    }
}

impl Future for WaitClosed {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.waiter
            .poll(|shared, waits| shared.poll_closed(waits, cx))
    }
}

/// The future of [`WebSocket::draining`](crate::WebSocket::draining). It keeps nothing open.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct WaitDraining {
    waiter: Waiter<Arc<Shared>>,
}

impl WaitDraining {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let waiter = Waiter::new(shared, List::Closed);
        Self { waiter }
    }
}

impl Future for WaitDraining {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiter
            .poll(|shared, waits| shared.poll_draining(waits, cx))
    }
}
