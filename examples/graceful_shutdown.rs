//! Graceful shutdown on axum, and a limit that refuses: `cargo run -p examples --bin graceful-shutdown`.
//!
//! Ctrl-C closes all sockets with 1001, over five seconds so that their clients do not all reconnect at once. Then
//! `axum::serve` returns. Without the drain it would over HTTP/1.1 not wait for them, and over HTTP/2 for ever.
//!
//! `axum::serve` accepts no connections during its graceful shutdown. If a load balancer should get answers until the
//! sockets are closed, serve the router by hyper-util, as the echo application does.

#[path = "echo-server/src/listen.rs"]
mod listen;

use std::io::{self, Write};
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::{BoxError, Router, routing::any};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{ServiceBuilder, load_shed::LoadShedLayer};
use towline::upgrade::Drained;
use towline::{AcceptError, Closed, Drain, InvalidClose, OriginLayer, Sockets, UpgradeLayer};
use towline::{WebSocket, WebSocketUpgrade};

use crate::listen::listen;

fn app(sockets: &Sockets, most: usize) -> Router {
    let layers = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .layer(UpgradeLayer::new().sockets(sockets))
        // Tower's own limit, of open sockets. Without the load shedding handshakes would wait for a place.
        .layer(HandleErrorLayer::new(refuse))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(most));
    Router::new().route("/ws", any(endpoint).layer(layers))
}

async fn refuse(_: BoxError) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

async fn endpoint(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
    upgrade.serve(echo).await
}

/// Echoes, and has a last word. An endpoint that does not watch `draining` gets the drain's Close.
async fn echo(mut socket: WebSocket) -> Result<(), InvalidClose> {
    let mut draining = socket.draining();
    loop {
        tokio::select! {
            message = socket.recv() => {
                let Some(message) = message else { return Ok(()) };
                // That the socket has closed is for `recv` to tell.
                let _ = socket.send(message).await;
            }
            () = &mut draining => {
                socket.close(1001, "come back in a minute").await?;
                return Ok(());
            }
        }
    }
}

/// Serves until `stop` is ready, and then until the sockets are gone.
async fn serve(listener: TcpListener, stop: impl Future + Send + 'static) -> io::Result<Drained> {
    let sockets = Sockets::new();
    let app = app(&sockets, 1000);
    let (begin, begun) = oneshot::channel();
    let shutdown = async move {
        stop.await;
        let _ = begin.send(());
    };
    // Both begin when `stop` is ready. `axum::serve` sends GOAWAY at once then, so that a page that has lost its socket does
    // not try again on the same HTTP/2 connection. It also stops listening at once.
    let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown);
    let draining = async {
        begun.await.map_err(io::Error::other)?;
        let drain = Drain::new()
            .grace(Duration::from_secs(1))
            .spread(Duration::from_secs(5))
            .within(Duration::from_secs(20));
        sockets.drain(drain).await.map_err(io::Error::other)
    };
    let ((), drained) = tokio::try_join!(serving.into_future(), draining)?;
    Ok(drained)
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

    use axum::http::{HeaderValue, Method, Request, Response};
    use bytes::Bytes;
    use futures_util::{SinkExt, StreamExt};
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use hyper::client::conn::http2::{self, SendRequest};
    use hyper::ext::Protocol;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{WebSocketStream, connect_async};

    use super::*;

    async fn start() -> (String, oneshot::Sender<()>, JoinHandle<io::Result<Drained>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        (url, stop, tokio::spawn(serve(listener, stopped)))
    }

    #[tokio::test]
    async fn it_stops_when_its_sockets_are_closed() {
        let (url, stop, served) = start().await;
        let (mut client, _) = connect_async(url).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::text("hello")
        );
        stop.send(()).unwrap();
        let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else {
            panic!("no Close");
        };
        assert_eq!(
            (close.code.into(), &*close.reason),
            (1001_u16, "come back in a minute")
        );
        assert!(client.next().await.is_none());
        drop(client);
        let drained = served.await.unwrap().unwrap();
        assert_eq!((drained.closed, drained.aborted), (1, 0));
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
        let address = url.trim_start_matches("ws://").trim_end_matches("/ws");
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

    #[tokio::test]
    async fn above_the_limit_a_socket_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let app = app(&Sockets::new(), 1);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let (mut first, _) = connect_async(&url).await.unwrap();
        let Err(Error::Http(response)) = connect_async(&url).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 503);
        first.send(Message::text("still here")).await.unwrap();
        assert!(first.next().await.unwrap().unwrap().is_text());
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
