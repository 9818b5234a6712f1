//! The span of the call, and the events of a pipeline, if feature `tracing` is on.

#[cfg(feature = "tracing")]
use tracing::{Span, span::Entered};

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

/// The endpoint did not return in time after its socket had closed.
pub(crate) fn overstayed() {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        "WebSocket endpoint dropped: it had not returned within the grace after its socket closed"
    );
}
