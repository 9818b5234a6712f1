//! The span of the call, and the events of a pipeline, if feature `tracing` is on.

use towline_core::HandshakeError;
#[cfg(feature = "tracing")]
use tracing::{Span, span::Entered};

use crate::sockets::Drained;

/// The span that was current when the service was called.
#[derive(Debug)]
pub(crate) struct CallSpan {
    #[cfg(feature = "tracing")]
    span: Span,
}

#[cfg(feature = "tracing")]
impl CallSpan {
    pub(crate) fn current() -> Self {
        Self {
            span: Span::current(),
        }
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        self.span.enter()
    }
}

#[cfg(not(feature = "tracing"))]
impl CallSpan {
    pub(crate) fn current() -> Self {
        Self {}
    }

    pub(crate) fn enter(&self) -> Entered {
        Entered
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) struct Entered;

/// The inner service's future panicked.
pub(crate) fn panicked(message: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(panic = message, "WebSocket pipeline panicked");
    #[cfg(not(feature = "tracing"))]
    let _ = message;
}

/// A drain is over.
pub(crate) fn drained(drained: Drained) {
    #[cfg(feature = "tracing")]
    {
        let Drained { closed, aborted } = drained;
        if aborted == 0 {
            tracing::info!(closed, "WebSockets drained");
        } else {
            tracing::warn!(closed, aborted, "WebSockets drained, some of them aborted");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = drained;
}

/// A handshake got a 503.
pub(crate) fn refused(error: &HandshakeError) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%error, "WebSocket handshake refused");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// The endpoint did not return in time after its socket had closed.
pub(crate) fn overstayed() {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        "WebSocket endpoint dropped: it had not returned within the grace after its socket closed"
    );
}
