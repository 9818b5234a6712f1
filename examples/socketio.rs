//! socket.io beside a WebSocket endpoint: `cargo run -p examples --bin socketio [ADDRESS:PORT]`.
//!
//! Both live inside of one upgrade layer. socketioxide upgrades its requests by itself, with hyper's `OnUpgrade`, which
//! the layer leaves where it was; `/ws` takes the layer's offer. The origin layer guards the sockets of both; socket.io's
//! polling is CORS's.
//!
//! A browser with an HTTP/2 connection to a server that knows RFC 8441 opens its sockets there, by an extended CONNECT.
//! socketioxide takes a GET only, so that is what [`connect_as_get`] makes of it.

#[path = "echo-server/src/listen.rs"]
mod listen;

use std::env;
use std::io::{self, Write};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper::ext::Protocol;
use rmpv::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use towline::{EchoService, OriginLayer, UpgradeLayer};

use crate::listen::listen;

fn app() -> Router {
    let (socketio, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        // A `Value` may be text, binary, or an object with either in it.
        socket.on("message", async |socket: SocketRef, Data::<Value>(data)| {
            if let Err(error) = socket.emit("message-back", &data) {
                eprintln!("cannot answer: {error}");
            }
        });
        socket.on(
            "message-with-ack",
            async |Data::<Value>(data), ack: AckSender| {
                if let Err(error) = ack.send(&data) {
                    eprintln!("cannot acknowledge: {error}");
                }
            },
        );
    });
    Router::new()
        .route_service("/ws", EchoService::new())
        .layer(socketio)
        .layer(from_fn(connect_as_get))
        .layer(UpgradeLayer::new())
        .layer(OriginLayer::same_origin())
}

/// Socket.io over HTTP/2 as it is over HTTP/1.1. What hyper gives for the stream is the same.
async fn connect_as_get(mut request: Request, next: Next) -> Response {
    let is_socketio = request.uri().path().starts_with("/socket.io/");
    if !is_socketio || request.extensions().get::<Protocol>().is_none() {
        return next.run(request).await;
    }
    *request.method_mut() = Method::GET;
    // HTTP/2 has no use for the key nor for the answer to it, so any will do.
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, key);
    let mut response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 8441, 5: a 2xx it is, and none of the fields that HTTP/1.1 needs for the upgrade.
        *response.status_mut() = StatusCode::OK;
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove(name);
        }
    }
    response
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let argument = env::args().nth(1);
    let address = argument.as_deref().unwrap_or("127.0.0.1:5000");
    let listener = listen(address.parse().map_err(io::Error::other)?)?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use futures_util::{SinkExt, StreamExt};
    use http_body_util::Empty;
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::protocol::Role;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{WebSocketStream, connect_async};

    use super::*;

    async fn serve() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app()).await });
        address
    }

    async fn receive<S: AsyncRead + AsyncWrite + Unpin>(client: &mut WebSocketStream<S>) -> String {
        loop {
            let message = client.next().await.unwrap().unwrap();
            match message.into_text().unwrap().as_str() {
                "2" => {} // a ping of engine.io's own
                text => return text.to_owned(),
            }
        }
    }

    #[tokio::test]
    async fn socketio_upgrades_by_itself() {
        let url = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket",
            serve().await
        );
        let (client, _) = connect_async(url).await.unwrap();
        converse(client).await;
    }

    #[tokio::test]
    async fn over_http2_it_does_too() {
        let address = serve().await;
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut requests, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!(
                "http://{address}/socket.io/?EIO=4&transport=websocket"
            ))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = requests.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        for forbidden in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            assert!(!response.headers().contains_key(&forbidden), "{forbidden}");
        }
        let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        converse(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await).await;
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut client: WebSocketStream<S>) {
        assert!(receive(&mut client).await.starts_with("0{"));
        client.send(Message::text("40")).await.unwrap();
        assert!(receive(&mut client).await.starts_with("40{"));

        client
            .send(Message::text(r#"42["message","hello"]"#))
            .await
            .unwrap();
        assert_eq!(receive(&mut client).await, r#"42["message-back","hello"]"#);
        client
            .send(Message::text(r#"421["message-with-ack","hello"]"#))
            .await
            .unwrap();
        assert_eq!(receive(&mut client).await, r#"431["hello"]"#);
    }

    #[tokio::test]
    async fn the_endpoint_beside_it_echoes() {
        let url = format!("ws://{}/ws", serve().await);
        let (mut client, _) = connect_async(url).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        assert_eq!(receive(&mut client).await, "hello");
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused_by_both() {
        let address = serve().await;
        for path in ["/ws", "/socket.io/?EIO=4&transport=websocket"] {
            let url = format!("ws://{address}{path}");
            let mut request = url.into_client_request().unwrap();
            let evil = HeaderValue::from_static("http://evil.example");
            request.headers_mut().insert("origin", evil);
            let Err(Error::Http(response)) = connect_async(request).await else {
                panic!("it got a socket");
            };
            assert_eq!(response.status(), 403);
        }
    }
}
