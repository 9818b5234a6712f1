//! The upgrade layer: a request pipeline that stays alive until its WebSocket closes.
//!
//! hyper answers a handshake with 101 and drops the response future there and then, and with it every middleware
//! around the endpoint, while the socket lives on in a task that no layer sees. [`UpgradeLayer`] moves the pipeline
//! instead: when the endpoint accepts, the layer answers 101 by itself, and what is left of the inner service's future
//! goes on in a task of its own, together with the driver of the socket.
//!
//! 1. A request that attempts no WebSocket handshake passes untouched.
//! 2. An invalid handshake passes with a [`HandshakeError`](towline_core::HandshakeError) in its extensions, for an
//!    endpoint that needs a socket to answer with.
//! 3. A valid one passes with a [`WebSocketUpgrade`](towline_core::WebSocketUpgrade) in its extensions. If the endpoint
//!    answers without accepting, its response is the response, and nothing was spawned. An inner service that
//!    upgrades by itself, such as axum's own extractor, finds hyper's `OnUpgrade` where it always was; its layers unwind
//!    at the 101, as they do without this one.
//! 4. When the endpoint accepts, the client gets its 101, on HTTP/2 its 200, at once, and every layer between this one
//!    and the endpoint stays alive until the socket has closed: permits are held, guards and spans live, and code behind
//!    `next` runs then.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use towline_core::{Closed, WebSocket, WebSocketUpgrade};
//! use towline_upgrade::UpgradeLayer;
//! use tower::ServiceBuilder;
//! # use tower::ServiceExt;
//!
//! async fn endpoint<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
//!     let upgrade = match WebSocketUpgrade::of(&request) {
//!         Ok(upgrade) => upgrade,
//!         Err(error) => return Ok(error.into()),
//!     };
//!     let served = upgrade.serve(listen).await;
//!     Ok(served.map_or_else(Response::from, Response::from))
//! }
//!
//! async fn listen(mut socket: WebSocket) {
//!     while let Some(message) = socket.recv().await {
//!         println!("{message:?}");
//!     }
//! }
//!
//! let app = ServiceBuilder::new()
//!     .layer(UpgradeLayer::new())
//!     // A layer here lives as long as the socket does, and can read how it ended.
//!     .map_response(|response: Response<String>| {
//!         if let Some(closed) = response.extensions().get::<Closed>() {
//!             println!("{closed}");
//!         }
//!         response
//!     })
//!     .service_fn(endpoint);
//! # let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let response = rt.block_on(app.oneshot(Request::new(()))).unwrap();
//! # assert_eq!(response.status(), 426);
//! ```
//!
//! # Where to put it
//!
//! Layers *outside* see the handshake only: the response is theirs at once, which is right for a request timeout. Layers
//! *inside* see the whole life of the socket: concurrency limits, spans, metrics, authentication with a guard. So the
//! upgrade layer is the outermost one that wants to live, and a timeout must stay outside of it.
//!
//! The server must serve upgrades: `axum::serve` does, on hyper it takes `with_upgrades()`, on hyper-util
//! `serve_connection_with_upgrades()`. For HTTP/2 it must also enable extended CONNECT (`enable_connect_protocol()`),
//! and a router must let the method CONNECT through: in axum that is `any(endpoint)` instead of `get(endpoint)`.
//!
//! # Shutdown
//!
//! A server that stops does not wait for its sockets: hyper is done with a connection once it is upgraded, and when `main`
//! returns they are dropped, without a Close. [`Sockets::drain`] ends them in good order and tells when they are gone:
//!
//! ```no_run
//! # use towline_upgrade::{Drain, InvalidDrain, Sockets, UpgradeLayer};
//! # use std::time::Duration;
//! # async fn stop() -> Result<(), InvalidDrain> {
//! let sockets = Sockets::new();
//! let layer = UpgradeLayer::new().sockets(&sockets); // and serve
//!
//! // When the signal comes:
//! let drain = Drain::new().reason("restarting").spread(Duration::from_secs(10));
//! let drained = sockets.drain(drain).await?;
//! # Ok(())
//! # }
//! ```
//!
//! New handshakes get a 503 meanwhile, other requests flow on. Endpoints may watch
//! [`WebSocket::draining`](towline_core::WebSocket::draining) and finish by themselves; the others get a Close 1001 behind what
//! they have queued; what is left at the deadline is dropped.
//!
//! Begin the server's own graceful shutdown together with the drain. Over HTTP/2 it sends GOAWAY, and a page that has lost its
//! socket opens a new connection. Without the GOAWAY the page tries again on the same connection, and gets a 503 until the
//! process ends. A connection is not done before its sockets are, so the shutdown waits for the drain; without a drain it
//! waits for ever. Over HTTP/1.1 a graceful shutdown closes idle connections at once, and the others after the answer to the
//! request under way; a connection that has been upgraded is not part of it.
//!
//! `axum::serve` does all of this when its `with_graceful_shutdown` resolves, and then also stops listening. hyper-util's
//! `GracefulShutdown` tells its connections only once, so a server that accepts connections during the drain needs another
//! one for them.
//!
//! The sockets of an inner service that upgrades by itself are not among them.
//!
//! [`UpgradeLayer::max_sockets`] limits how many there are at a time, by a 503 with `Retry-After`. A limit that queues, or
//! counts by user or by route, is a layer inside: tower's `ConcurrencyLimitLayer` waits for a place, with its `LoadShedLayer`
//! around it it refuses.
//!
//! # HTTP/2
//!
//! Sockets of one connection share its flow-control window. One whose endpoint takes nothing fills its stream's window; where
//! that is as large as the connection's, it starves its siblings. So set the connection's window to that of a stream times
//! the streams allowed, in hyper `initial_stream_window_size(64 KiB)` and `initial_connection_window_size(64 KiB × streams)`.
//! `axum::serve` lets neither be set, and hyper's default is 1 MiB for both: serve axum's router by hyper-util instead.
//! hyper allows 200 streams a connection, unless `max_concurrent_streams` says otherwise.
//! h2, which hyper speaks HTTP/2 with, also bounds the *small* frames that nobody has read, by half of the connection's
//! window: past it the whole connection is closed (`ENHANCE_YOUR_CALM`). Measured with windows of 1 MiB: after some 2200 unread
//! messages of up to 20 bytes each. An endpoint that wants nothing of its peer calls `discard`.
//!
//! `flush` means handed to hyper. A socket that is aborted may linger in hyper while its client's window is zero.
//!
//! A CONNECT with a `content-length` other than 0 ends the whole connection, with all of its sockets. hyper 1.12 does so
//! before it calls a service, so no server can prevent it. A proxy that speaks HTTP/1.1 to the server keeps such requests away.
//!
//! # Cancel safety
//!
//! Before the endpoint has accepted, dropping the response future, as hyper does when the client goes away, drops the
//! inner future. After it, the pipeline's task goes on by itself. A drain that is dropped stops where it is:
//! [`Sockets::drain`].
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `deflate` | `UpgradeLayer::compression`: permessage-deflate (RFC 7692) |
//! | `tracing` | the span that was current when the service was called stays with the pipeline; events for a panic, a failure, a dropped endpoint, a handshake that the layer refused and the end of a drain |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod layer;
mod service;
mod sockets;

mod admission;
mod body;
mod future;
mod pipeline;
mod trace;

pub use self::body::UpgradeBody;
pub use self::future::ResponseFuture;
pub use self::layer::UpgradeLayer;
pub use self::pipeline::Pipeline;
pub use self::service::Upgrade;
pub use self::sockets::{Drain, Drained, InvalidDrain, Sockets};
