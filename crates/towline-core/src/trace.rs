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
        UpgradeFailed::Disconnected(_) | UpgradeFailed::Aborted | UpgradeFailed::Dropped => {
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

/// A policy was left in a request whose WebSocket does not know of it.
pub(crate) fn unclaimed(policy: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        policy,
        "WebSocket opened without a policy that a layer left for it: the policy's layer needs an upgrade layer, and an \
         endpoint that accepts by it"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = policy;
}
