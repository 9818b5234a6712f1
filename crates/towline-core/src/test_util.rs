//! A client for tests: any tower service, in memory, without a port.
//!
//! ```
//! # use towline_core::test_util::{connect, http1};
//! # use tokio_tungstenite::tungstenite::Message;
//! # use futures_util::{SinkExt, StreamExt};
//! # async fn test<S, B>(app: S) where
//! #     S: tower_service::Service<http::Request<hyper::body::Incoming>, Response = http::Response<B>>,
//! #     S: Clone + Send + 'static, S::Future: Send, S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
//! #     B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
//! #     B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
//! # {
//! let (mut client, _head) = connect(app, http1("/ws")).await.unwrap();
//! client.send(Message::text("hello")).await.unwrap();
//! assert_eq!(client.next().await.unwrap().unwrap(), Message::text("hello"));
//! # }
//! ```
//!
//! hyper serves the service over [`tokio::io::duplex`], so a test may pause tokio's clock.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower_service::Service;

/// The client's end of a socket.
pub type Client = WebSocketStream<TokioIo<Upgraded>>;

/// How much each direction holds before a write waits, in bytes.
const CAPACITY: usize = 64 * 1024;

/// A good handshake for `path` over HTTP/1.1. Headers may be added and spoiled.
///
/// # Panics
///
/// `path` is not the path of a URI.
#[must_use]
pub fn http1(path: &str) -> Request<()> {
    handshake(path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .expect("a valid path")
}

/// A good handshake for `path` over HTTP/2: an extended CONNECT. Headers may be added and spoiled.
///
/// # Panics
///
/// `path` is not the path of a URI.
#[must_use]
pub fn http2(path: &str) -> Request<()> {
    handshake(&format!("http://localhost{path}"))
        .version(Version::HTTP_2)
        .method(Method::CONNECT)
        .extension(Protocol::from_static("websocket"))
        .body(())
        .expect("a valid path")
}

fn handshake(uri: &str) -> http::request::Builder {
    let thirteen = HeaderValue::from_static("13");
    Request::builder()
        .uri(uri)
        .header(header::SEC_WEBSOCKET_VERSION, thirteen)
}

/// Opens a WebSocket to `service` by `request`, over the version of HTTP that this is of.
///
/// Gives the client's socket and the head of the response that accepted it.
///
/// # Errors
///
/// The whole response, if it does not accept the handshake.
///
/// # Panics
///
/// The server gave no response at all, as when the service fails or panics. Outside of a tokio runtime.
pub async fn connect<S, B>(
    service: S,
    request: Request<()>,
) -> Result<(Client, Response<()>), Response<Bytes>>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (client, server) = tokio::io::duplex(CAPACITY);
    tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let service = TowerToHyperService::new(service);
        let io = TokioIo::new(server);
        // A connection that breaks is seen at the client's end.
        let _ = builder.serve_connection_with_upgrades(io, service).await;
    });
    let mut response = send(client, request.map(|()| Empty::new()))
        .await
        .expect("the server gives a response");
    let accepted = match response.version() {
        Version::HTTP_2 => response.status().is_success(),
        _ => response.status() == http::StatusCode::SWITCHING_PROTOCOLS,
    };
    if !accepted {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        return Err(Response::from_parts(head, body));
    }
    let upgraded = hyper::upgrade::on(&mut response)
        .await
        .expect("an accepted handshake has a connection");
    let io = TokioIo::new(upgraded);
    let client = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    Ok((client, response.map(drop)))
}

async fn send(
    io: DuplexStream,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let io = TokioIo::new(io);
    if request.version() == Version::HTTP_2 {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = conn::http1::handshake(io).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    }
}
