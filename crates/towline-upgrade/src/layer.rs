//! The layer and its settings.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tower_layer::Layer;
#[cfg(feature = "deflate")]
use towline_core::Compression;
use towline_core::Limits;

use crate::admission::Admission;
use crate::service::Upgrade;
use crate::sockets::Sockets;

/// Offers a WebSocket to the inner service for every valid handshake, and keeps the request's pipeline alive until that
/// socket closes.
///
/// See the [crate documentation](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct UpgradeLayer<E = TokioExecutor> {
    executor: E,
    settings: Settings,
    admission: Admission,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Compression>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) endpoint_grace: Option<Duration>,
}

impl UpgradeLayer {
    /// A layer with the default settings, whose pipelines run as tokio tasks.
    pub fn new() -> Self {
        let settings = Settings {
            limits: Limits::default(),
            #[cfg(feature = "deflate")]
            compression: None,
            handshake_timeout: Duration::from_secs(10),
            endpoint_grace: Some(Duration::from_secs(30)),
        };
        Self {
            executor: TokioExecutor::new(),
            settings,
            admission: Admission::default(),
        }
    }
}

impl<E> UpgradeLayer<E> {
    /// Runs pipelines on `executor`, an [`hyper::rt::Executor`] of [`Pipeline`](crate::Pipeline). Default: tokio's.
    pub fn executor<T>(self, executor: T) -> UpgradeLayer<T> {
        UpgradeLayer {
            executor,
            settings: self.settings,
            admission: self.admission,
        }
    }

    /// The largest message that a socket receives, in bytes, inclusive; a larger one closes it with 1009. An endpoint
    /// may set its own. Default: 1 MiB.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.limits.max_message_size = bytes;
        self
    }

    /// Compresses messages by permessage-deflate (RFC 7692) where the client offers that acceptably. An endpoint may choose
    /// otherwise. Default: `None`.
    ///
    /// Read what [`Compression`] says of secrets.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.settings.compression = compression.into();
        self
    }

    /// Counts the sockets of this layer among `sockets`, by which they are drained before the server stops. Several layers
    /// may share one set. Default: none, and nothing is kept track of.
    pub fn sockets(mut self, sockets: &Sockets) -> Self {
        self.admission.sockets = Some(sockets.clone());
        self
    }

    /// How many sockets there may be at a time. A handshake above that gets a 503 with `Retry-After: 10`. Default: `None`,
    /// without a limit.
    ///
    /// A slot is taken at the handshake, before the inner service is called. It is given back when that answers without
    /// accepting, or else when the socket has closed and the endpoint has returned. The limit is that of this layer, with
    /// its clones and the services that it is applied to; layers that share their [`Sockets`] have a limit each. An inner
    /// service that upgrades by itself gives its slot back at the 101.
    pub fn max_sockets(mut self, max: impl Into<Option<usize>>) -> Self {
        let slots = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        self.admission.slots = max.into().map(slots);
        self
    }

    /// How long the server may take, once an endpoint has accepted, to write the response and hand over the connection.
    /// After it `accept` fails. Default: 10 s. [`Duration::MAX`]: for ever.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// How long the inner service may go on after its socket has closed, before its future is dropped. `None`: for
    /// ever. Default: 30 s.
    ///
    /// It bounds how long an endpoint that waits for something else holds the permits of the layers around it.
    pub fn endpoint_grace(mut self, grace: impl Into<Option<Duration>>) -> Self {
        self.settings.endpoint_grace = grace.into();
        self
    }
}

impl Default for UpgradeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, E> Layer<S> for UpgradeLayer<E>
where
    E: Clone,
{
    type Service = Upgrade<S, E>;

    fn layer(&self, inner: S) -> Self::Service {
        let admission = self.admission.clone();
        Upgrade::new(inner, self.executor.clone(), self.settings, admission)
    }
}
