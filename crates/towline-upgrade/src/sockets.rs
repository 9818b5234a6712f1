//! Many sockets: how many there are, and their drain before the server stops.

mod drain;
mod registry;

use std::sync::Arc;

pub use self::drain::{Drain, Drained, InvalidDrain};
pub(crate) use self::registry::Member;
use self::registry::Registry;

/// The sockets of one or more upgrade layers, which [`UpgradeLayer::sockets`](crate::UpgradeLayer::sockets) gives to it.
///
/// Clones are of one set. It keeps no socket open, and an idle one costs it some 24 bytes.
///
/// ```
/// use std::time::Duration;
/// use towline_upgrade::{Drain, InvalidDrain, Sockets, UpgradeLayer};
///
/// # async fn shut_down() -> Result<(), InvalidDrain> {
/// let sockets = Sockets::new();
/// let layer = UpgradeLayer::new().sockets(&sockets);
/// // … and when the server is to stop:
/// let drain = Drain::new()
///     .reason("restarting")
///     .grace(Duration::from_secs(5))
///     .spread(Duration::from_secs(10));
/// let drained = sockets.drain(drain).await?;
/// println!("{} sockets closed, {} aborted", drained.closed, drained.aborted);
/// # Ok(())
/// # }
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # rt.block_on(shut_down()).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    registry: Arc<Registry>,
}

impl Sockets {
    /// No sockets yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are: from the response that accepts a socket, until that has closed and its endpoint has returned. Its
    /// transport may last some seconds longer, and a drain waits for that as well.
    #[must_use]
    pub fn active(&self) -> usize {
        self.registry.sockets()
    }

    /// Whether a drain has begun. It never ends: no socket is opened any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.registry.is_draining()
    }

    /// Ends all sockets in good order, and tells what became of them. Requests that are no handshakes flow on.
    ///
    /// 1. From the first poll on new handshakes get a 503, over HTTP/1.1 with `Connection: close`. An endpoint that has not
    ///    accepted yet cannot any more: [`AcceptError::Draining`](towline_core::AcceptError::Draining).
    /// 2. [`WebSocket::draining`](towline_core::WebSocket::draining) is ready, and policies get an
    ///    [`Event::Draining`](towline_core::Event::Draining). Endpoints may finish by themselves within the *grace*.
    /// 3. Then each socket gets a Close frame after what is queued, one after the other over the *spread*. Only raw
    ///    connections get none: their endpoints may watch [`draining`](towline_core::RawConnection::draining) and close.
    /// 4. When all have closed and all endpoints have returned, it is done. *Within* its time at the latest: whatever is
    ///    left is dropped then, sockets and endpoints. Handshakes that no endpoint has decided on get their 503.
    ///
    /// An endpoint that blocks its thread cannot be dropped. It is waited for a second more, and left.
    ///
    /// A second drain adds to the first: each socket is closed by whichever comes to it first, and the earlier deadline is
    /// that of both. Each counts the sockets that ended since it began.
    ///
    /// # Errors
    ///
    /// [`InvalidDrain`], before anything has happened.
    ///
    /// # Cancel safety
    ///
    /// It works while it is polled. Dropped, it leaves the sockets as they are: told of the drain, some of them closing, and
    /// without a deadline. A further drain goes on from there.
    pub async fn drain(&self, drain: Drain) -> Result<Drained, InvalidDrain> {
        drain.run(&self.registry).await
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}
