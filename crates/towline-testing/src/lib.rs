//! Servers, peers and frame writers for the workspace's own tests. Not published.
//!
//! In the root: time limits and elapsed time, repeatable random numbers, frames by hand, hyper and axum on free ports,
//! clients and peers of these, and endpoints that several tests need. In modules:
//!
//! - [`memory`]: sockets over memory, mostly in virtual time;
//! - [`watched`]: a peer in memory, at a server's connection that tells how it ends;
//! - [`http2`]: the raw streams of one connection;
//! - [`deflate`]: a peer that compresses.
//!
//! Only integration tests use this crate. The unit tests of a crate below it, such as `towline-core`, would see the types
//! of that crate twice.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    reason = "not published; a test ends at the first surprise"
)]

mod client;
mod clock;
pub mod deflate;
mod endpoint;
mod frame;
pub mod http2;
pub mod memory;
mod peer;
mod random;
mod server;
pub mod watched;

use tokio::io::{AsyncRead, AsyncWrite};

pub use self::client::*;
pub use self::clock::*;
pub use self::endpoint::*;
pub use self::frame::*;
pub use self::peer::*;
pub use self::random::*;
pub use self::server::*;

/// A connection of any kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;
