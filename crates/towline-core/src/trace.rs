//! The events of a socket, if feature `tracing` is on.

use std::fmt;

use crate::error::UpgradeFailed;

/// A server that serves no upgrades is a fault of the set-up; a peer that vanished is nobody's.
pub(crate) fn upgrade_failed(error: &UpgradeFailed) {
    #[cfg(feature = "tracing")]
    match error {
        UpgradeFailed::NotServed(_) | UpgradeFailed::TimedOut => {
            tracing::error!(%error, "WebSocket upgrade failed");
        }
        UpgradeFailed::Disconnected(_) | UpgradeFailed::Dropped => {
            tracing::debug!(%error, "WebSocket upgrade failed");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}

/// The endpoint's closure gave an error.
pub(crate) fn endpoint_failed(error: &dyn fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(%error, "WebSocket endpoint failed");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
