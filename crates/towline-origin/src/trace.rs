//! The event of a refusal, if feature `tracing` is on.

use http::request::Parts;

use crate::error::OriginRejectionKind;

/// A handshake is refused. What does not fit shows here: the page's origin, and the host that the request names.
pub(crate) fn refused(kind: OriginRejectionKind, request: &Parts) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        reason = %kind,
        origin = ?request.headers.get(http::header::ORIGIN),
        host = ?request.headers.get(http::header::HOST),
        authority = ?request.uri.authority(),
        "WebSocket handshake refused"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (kind, request);
}
