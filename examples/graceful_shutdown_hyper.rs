//! Graceful shutdown on hyper-util, HTTP/1.1 and HTTP/2: `cargo run -p examples --bin graceful-shutdown-hyper`.
//!
//! Ctrl-C tells the clients that the server stops, by GOAWAY over HTTP/2, and closes all sockets with 1001. Then the server
//! waits for the requests that are left. It also closes connections that are idle, which `axum::serve` does not: axum's
//! `Router` can take the place of the service here.

#[path = "echo-server/src/connections.rs"]
mod connections;
#[path = "echo-server/src/listen.rs"]
mod listen;

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline::{Drain, EchoService, OriginLayer, Sockets, UpgradeLayer};
use towline::{origin::OriginBody, upgrade::Drained, upgrade::UpgradeBody};

use crate::connections::{Busy, CLOSING, Connection, Connections, IDLE};
use crate::listen::listen;

type App = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;
type Body = OriginBody<UpgradeBody<Full<Bytes>>>;

/// One WebSocket over HTTP/2 may send so much ahead of its endpoint, and hyper holds as much of its output. The connection's
/// window has room for all of its sockets, so that one whose endpoint does not read does not stop the others.
const STREAM_WINDOW: u32 = 64 * 1024;
const STREAMS: u32 = 1000;

fn app(sockets: &Sockets) -> App {
    let layers = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .layer(UpgradeLayer::new().sockets(sockets).max_sockets(1000));
    BoxCloneSyncService::new(layers.service(service_fn(echo)))
}

async fn echo(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // Held until the socket has ended: a connection with a socket is not idle.
    let _busy = request.extensions_mut().remove::<Busy>();
    EchoService::new().oneshot(request).await
}

/// Serves until `stop` is ready, and then until the sockets and the other requests are gone.
async fn serve(listener: TcpListener, stop: impl Future) -> io::Result<Drained> {
    let sockets = Sockets::new();
    let app = app(&sockets);
    let connections = Connections::new(IDLE, CLOSING);
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve_connection(stream, app.clone(), connections.open()));
        }
    };
    tokio::select! {
        stopped = accept => return stopped,
        _ = stop => {}
    }
    // First, so that a page that has lost its socket does not try again on the same HTTP/2 connection.
    connections.stop();
    drop(listener);
    let drain = Drain::new()
        .grace(Duration::from_millis(100)) // the connections' tasks write GOAWAY meanwhile
        .spread(Duration::from_secs(5))
        .within(Duration::from_secs(20));
    let drained = sockets.drain(drain).await.map_err(io::Error::other)?;
    let rest = Duration::from_secs(5);
    let _ = tokio::time::timeout(rest, connections.closed()).await;
    Ok(drained)
}

async fn serve_connection(stream: TcpStream, app: App, connection: Connection) {
    let mut builder = Builder::new(TokioExecutor::new());
    // Without a timer hyper's own bound on a request head, 30 s, does nothing.
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS);
    let busy = connection.requests();
    let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(busy());
        app.clone().oneshot(request)
    });
    let stream = TokioIo::new(stream);
    connection
        .serve(builder.serve_connection_with_upgrades(stream, service))
        .await;
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 5000).into())?;
    let drained = serve(listener, tokio::signal::ctrl_c()).await?;
    let Drained {
        closed, aborted, ..
    } = drained;
    writeln!(io::stdout(), "{closed} sockets closed, {aborted} aborted")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{SinkExt, StreamExt};
    use http::{HeaderValue, Method};
    use http_body_util::Empty;
    use hyper::client::conn::http2::{self, SendRequest};
    use hyper::ext::Protocol;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{WebSocketStream, connect_async};

    use super::*;

    async fn start() -> (String, oneshot::Sender<()>, JoinHandle<io::Result<Drained>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        (url, stop, tokio::spawn(serve(listener, stopped)))
    }

    #[tokio::test]
    async fn it_stops_when_its_sockets_are_closed() {
        let (url, stop, served) = start().await;
        let (mut client, _) = connect_async(&url).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        let echo = client.next().await.unwrap().unwrap();
        assert_eq!(echo, Message::text("hello"));
        stop.send(()).unwrap();
        let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else {
            panic!("no Close");
        };
        assert_eq!(u16::from(close.code), 1001);
        assert!(client.next().await.is_none());
        drop(client);
        let drained = served.await.unwrap().unwrap();
        assert_eq!((drained.closed, drained.aborted), (1, 0));
        assert!(connect_async(&url).await.is_err(), "nobody listens");
    }

    async fn open(
        requests: &mut SendRequest<Empty<Bytes>>,
        url: &str,
    ) -> hyper::Result<Response<Incoming>> {
        let handshake = Request::builder()
            .method(Method::CONNECT)
            .uri(url.replacen("ws", "http", 1))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::new())
            .unwrap();
        requests.send_request(handshake).await
    }

    #[tokio::test]
    async fn an_http2_connection_takes_no_new_streams_once_the_drain_has_begun() {
        let (url, stop, served) = start().await;
        let address = url.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let handshake = http2::handshake(TokioExecutor::new(), stream);
        let (mut requests, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let response = open(&mut requests, &url).await.unwrap();
        let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        stop.send(()).unwrap();
        // The Close is not answered yet, so the drain goes on.
        let close = poll_fn(|cx| socket.poll_next_unpin(cx)).await;
        assert!(close.unwrap().unwrap().is_close());
        let error = open(&mut requests, &url).await.unwrap_err();
        assert!(error.is_canceled(), "{error:?}");
        assert!(socket.next().await.is_none());
        drop(socket);
        let drained = served.await.unwrap().unwrap();
        assert_eq!((drained.closed, drained.aborted), (1, 0));
    }

    // While nothing happens, the clock jumps to the next timer, also over TCP.
    #[tokio::test(start_paused = true)]
    async fn connections_without_a_request_end() {
        let (url, _stop, _served) = start().await;
        let address = url.trim_start_matches("ws://").trim_end_matches('/');
        for bytes in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nHost: a\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(bytes).await.unwrap();
            let end = timeout(2 * IDLE, client.read(&mut [0])).await;
            assert_eq!(end.expect("it waits for ever").unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused() {
        let (url, _stop, _served) = start().await;
        let mut request = url.into_client_request().unwrap();
        let evil = HeaderValue::from_static("http://evil.example");
        request.headers_mut().insert("origin", evil);
        let Err(Error::Http(response)) = connect_async(request).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 403);
    }
}
