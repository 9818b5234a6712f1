//! A tower service that sends every WebSocket message back: the crate to read first.
//!
//! [`EchoService`] is an endpoint. It belongs inside of an upgrade layer, which offers it the sockets; any layer between
//! the two lives until the socket has closed.
//!
//! ```
//! use towline_echo::EchoService;
//! use towline_upgrade::UpgradeLayer;
//! use tower::ServiceBuilder;
//!
//! let app = ServiceBuilder::new()
//!     .layer(UpgradeLayer::new())
//!     .concurrency_limit(1000) // sockets, not handshakes
//!     .service(EchoService::new());
//! # let _: &dyn tower::Service<
//! #     http::Request<()>, Response = _, Error = std::convert::Infallible, Future = _,
//! # > = &app;
//! ```
//!
//! A request that is no valid handshake is answered with the status that says so: 426, 405, 501 or 400.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod service;

pub use self::service::EchoService;
