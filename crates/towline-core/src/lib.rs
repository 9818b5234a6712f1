//! The WebSocket as an endpoint sees it, and the driver that keeps it alive.
//!
//! An upgrade layer puts a [`WebSocketUpgrade`] into the request's extensions. The endpoint accepts it, talks over
//! the [`WebSocket`], and ends with [`Closed`], which is its response:
//!
//! ```
//! use http::{Request, Response};
//! use towline_core::{SendError, WebSocket, WebSocketUpgrade};
//!
//! async fn endpoint(request: Request<()>) -> Response<String> {
//!     let upgrade = match WebSocketUpgrade::of(&request) {
//!         Ok(upgrade) => upgrade,
//!         Err(error) => return error.into(), // 426, 400, …: what the request lacks
//!     };
//!     drop(request);
//!     match upgrade.serve(echo).await {
//!         Ok(closed) => closed.into(), // after the socket closed
//!         Err(error) => error.into(),
//!     }
//! }
//!
//! async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
//!     while let Some(message) = socket.recv().await {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//! # let response = futures_util::FutureExt::now_or_never(endpoint(Request::new(()))).unwrap();
//! # assert_eq!(response.status(), 426);
//! ```
//!
//! - [`WebSocketUpgrade`] decides, before any 101: sub-protocol, headers, limits;
//! - [`WebSocket`] is a handle. A *driver* owns the connection: it answers pings, runs the close handshake and writes
//!   what was queued whatever the endpoint is doing. Driver and endpoint share one task;
//! - [`RawConnection`] takes its place where another WebSocket library is to read and write the frames;
//! - [`Closed`] tells how the socket ended: code, reason, who closed, what was sent and received;
//! - [`pipeline`] is what an upgrade layer is built on.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `axum` | `WebSocketUpgrade` as an axum extractor; `Closed` and the errors as axum responses |
//! | `deflate` | compression of messages by permessage-deflate (RFC 7692): `WebSocketUpgrade::compression` |
//! | `test-util` | `test_util`: a tungstenite client for any tower service, in memory |
//! | `tracing` | an event when an upgrade fails or an endpoint does |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod control;
mod raw;
mod receiver;
mod sender;
mod upgrade;
mod websocket;

mod policies;
mod policy;

mod closed;
mod error;
mod handshake_error;

pub mod pipeline;

mod connection;
mod deadline;
#[cfg(feature = "deflate")]
mod deflating;
mod driver;
mod io;
mod outbox;
mod pool;
mod shared;
mod sync;
mod timer;

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test_util;
mod trace;

#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub use towline_protocol::deflate::{Compression, InvalidCompression, PerMessageDeflate};
pub use towline_protocol::handshake;
pub use towline_protocol::handshake::{InvalidHandshake, ProtocolNotOffered};
pub use towline_protocol::{
    CloseCode, CloseFrame, InvalidClose, Limits, Message, Opcode, Text, Violation,
};

pub use self::closed::{Closed, ClosedBy, RoundTrip};
pub use self::control::{Control, WaitClosed, WaitDraining};
pub use self::deadline::deadline_after;
pub use self::error::{AcceptError, PingError, SendError, TrySendError, UpgradeFailed};
pub use self::handshake_error::{HandshakeError, HandshakeErrorKind};
pub use self::policies::{Offered, PolicyFactory};
pub use self::policy::{Action, Event, SocketPolicy, SocketState};
pub use self::raw::RawConnection;
pub use self::receiver::Receiver;
pub use self::sender::{SendOptions, Sender};
pub use self::upgrade::{Accept, Outcome, WebSocketUpgrade};
pub use self::websocket::WebSocket;
