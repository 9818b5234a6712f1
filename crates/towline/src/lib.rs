//! Tower middleware for WebSockets: the request pipeline stays alive until the socket closes.
//!
//! In a stack of tower layers a WebSocket is usually gone from sight at its 101: the middleware unwinds, and the socket
//! lives on in a detached task. Limits do not count it, spans lose it, shutdown forgets it. Inside of an
//! [`UpgradeLayer`] the middleware stays until the socket has closed:
//!
//! ```text
//!       HTTP request                                  socket closed
//!            │                                              ▲
//!   ┌────────▼──────────────────────────────────────────────┴───┐
//!   │ hyper, axum::serve        see 101 or 200, then are done   │
//!   │ layers outside            see the handshake               │
//!   │ ┌─ UpgradeLayer ────────────────────────────────────────┐ │
//!   │ │ layers inside           live until the socket closes  │ │
//!   │ │ ┌─ endpoint: upgrade.serve(|socket| …).await ───────┐ │ │
//!   │ │ └───────────────────────────────────────────────────┘ │ │
//!   │ └───────────────────────────────────────────────────────┘ │
//!   └───────────────────────────────────────────────────────────┘
//! ```
//!
//! # A whole server
//!
//! No foreign pages, a limit of a thousand *open sockets*, a span that lasts as long as its socket, and a line when it ends:
//! all of it is middleware, and the last three are not even ours.
//!
#![cfg_attr(
    all(feature = "axum", feature = "origin", feature = "upgrade"),
    doc = r##"
```no_run
use axum::{Router, extract::Request, middleware, response::Response, routing::any};
use towline::{AcceptError, Closed, OriginLayer, SendError, UpgradeLayer, WebSocket, WebSocketUpgrade};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};
use tower_http::trace::TraceLayer;

async fn endpoint(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
    upgrade.protocols(["chat.v2", "chat.v1"]).serve(echo).await
}

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

async fn report(request: Request, next: middleware::Next) -> Response {
    let response = next.run(request).await;
    // Here the socket has closed.
    if let Some(closed) = response.extensions().get::<Closed>() {
        println!("{closed} after {:?}", closed.duration());
    }
    response
}

fn app() -> Router {
    let layers = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .layer(UpgradeLayer::new()) // outermost of those that are to live
        .layer(GlobalConcurrencyLimitLayer::new(1000))
        .layer(TraceLayer::new_for_http())
        .layer(middleware::from_fn(report));
    // `any`: a handshake is a GET over HTTP/1.1 and a CONNECT over HTTP/2.
    Router::new().route("/ws", any(endpoint)).layer(layers)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(!cfg!(windows))?;
    socket.bind(([127, 0, 0, 1], 5000).into())?;
    let listener = socket.listen(u32::MAX)?; // the longest backlog there is; `TcpListener::bind` has one of 128
    axum::serve(listener, app()).await
}
```
"##
)]
//!
//! # The pieces
//!
//! - [`UpgradeLayer`] checks the handshake, offers the endpoint a [`WebSocketUpgrade`], answers 101 (200 on HTTP/2) when
//!   that is accepted, and keeps the pipeline alive in a task of its own.
//! - [`WebSocketUpgrade`] is what an endpoint finds: in axum as an extractor, in any tower service by
//!   [`WebSocketUpgrade::of`]. What can be refused is refused before the 101.
//! - [`WebSocket`] is a handle. The driver behind it answers pings, runs the close handshake and writes what is queued,
//!   whatever the endpoint is doing.
//! - [`RawConnection`] takes its place where another WebSocket library is to read and write the frames:
//!   [`WebSocketUpgrade::accept_raw`].
//! - [`Closed`] tells how the socket ended. It is the endpoint's response, and it rides in that response's extensions for
//!   the layers to read.
//! - [`OriginLayer`] refuses the handshakes of foreign pages, which CORS does not.
//! - [`KeepAliveLayer`] notices peers that vanished, and ends sockets that are idle or open for too long. A layer of your
//!   own can act on open sockets in the same way: [`SocketPolicy`].
//! - [`Sockets`] counts the sockets of one or more layers and drains them before the server stops;
//!   [`UpgradeLayer::max_sockets`] limits them.
//! - [`EchoService`] is the smallest endpoint there is.
//!
//! An endpoint may hand its socket to another task and await [`WebSocket::closed`]: the layers live until then.
//!
//! # The server around it
//!
//! Until a request is complete, only the server can limit a client. The defaults of hyper and axum are not for the open
//! internet:
//!
//! - **Half a request head.** hyper's `header_read_timeout` of 30 s does nothing unless the HTTP/1 builder has a timer:
//!   `http1().timer(TokioTimer::new())`. The same timeout ends connections that are idle between two requests.
//! - **Half a choice of the version.** hyper-util's `auto::Builder` waits without a bound for the bytes by which it tells HTTP/1.1
//!   and HTTP/2 apart, and rustls for a TLS handshake.
//! - **An HTTP/2 connection without streams** has no timeout.
//! - **`keep_alive_interval`** of hyper's HTTP/2 builder ends a connection, and every socket on it, when the answer to a ping
//!   is late because a slow peer is still reading data before it. Leave it off; [`KeepAliveLayer`] detects dead peers.
//! - **`axum::serve`** cannot be configured, so none of these bounds can be set there, nor can windows and streams of HTTP/2.
//!   Put a proxy with such timeouts in front of it, or serve axum's `Router` by hyper-util.
//! - **The backlog** of `TcpListener::bind` is 128. When more clients connect at once, some are a second late. `TcpSocket::listen`
//!   takes another; the kernel cuts it at what the system allows.
//! - **The log.** `h2` warns of each connection that it ends because of what its peer did, so a peer can fill a log of all
//!   warnings. Log the warnings of towline and of the application, and the errors of other crates:
//!   `RUST_LOG=error,towline=warn,my_app=warn`.
//!
//! In the repository the example `graceful-shutdown-hyper` and the echo application do all of this, with two files that are
//! made to be copied: `connections.rs` has the bounds of a connection, `listen.rs` the backlog.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `axum` | no | [`WebSocketUpgrade`] as an axum extractor, [`Closed`] and the errors as axum responses |
//! | `deflate` | yes | compression by permessage-deflate (RFC 7692): `UpgradeLayer::compression`, off until it is set |
//! | `echo` | yes | [`EchoService`] |
//! | `keepalive` | yes | [`KeepAliveLayer`]: keep-alive, idle timeout and lifetime of sockets |
//! | `origin` | yes | [`OriginLayer`] |
//! | `test-util` | no | `test_util`: a tungstenite client for any stack, in memory, to test with |
//! | `tracing` | yes | the request's span stays with the pipeline; events for what goes wrong |
//! | `upgrade` | yes | [`UpgradeLayer`] |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use towline_core::*;

#[cfg(feature = "echo")]
#[cfg_attr(docsrs, doc(cfg(feature = "echo")))]
#[doc(inline)]
pub use towline_echo::EchoService;

/// The keep-alive layer and what it is made of.
#[cfg(feature = "keepalive")]
#[cfg_attr(docsrs, doc(cfg(feature = "keepalive")))]
pub mod keepalive {
    #[doc(inline)]
    pub use towline_keepalive::*;
}

#[cfg(feature = "keepalive")]
#[cfg_attr(docsrs, doc(cfg(feature = "keepalive")))]
#[doc(inline)]
pub use towline_keepalive::{KeepAlive, KeepAliveLayer};

/// The origin layer and what it is made of.
#[cfg(feature = "origin")]
#[cfg_attr(docsrs, doc(cfg(feature = "origin")))]
pub mod origin {
    #[doc(inline)]
    pub use towline_origin::*;
}

#[cfg(feature = "origin")]
#[cfg_attr(docsrs, doc(cfg(feature = "origin")))]
#[doc(inline)]
pub use towline_origin::OriginLayer;

/// The upgrade layer and what it is made of.
#[cfg(feature = "upgrade")]
#[cfg_attr(docsrs, doc(cfg(feature = "upgrade")))]
pub mod upgrade {
    #[doc(inline)]
    pub use towline_upgrade::*;
}

#[cfg(feature = "upgrade")]
#[cfg_attr(docsrs, doc(cfg(feature = "upgrade")))]
#[doc(inline)]
pub use towline_upgrade::{Drain, Sockets, UpgradeLayer};
