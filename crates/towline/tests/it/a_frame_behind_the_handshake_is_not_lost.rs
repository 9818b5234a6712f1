//! A client may send frames before it has its answer.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{
    App, BINARY, HANDSHAKE, Http, NoBody, Server, Wire, app, frame, serve, tungstenite_echo, within,
};

/// "Hello", masked: the example of RFC 6455 section 5.7.
const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

/// The same as a server sends it.
const ECHO: &[u8] = b"\x81\x05Hello";

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

fn tungstenite() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service_fn(tungstenite_echo))
}

/// What decodes: our driver, or tungstenite.
fn everything() -> impl Iterator<Item = (Server, App)> {
    [Server::Hyper, Server::Axum]
        .into_iter()
        .flat_map(|server| [(server, echo()), (server, tungstenite())])
}

#[tokio::test]
async fn in_the_same_packet() {
    for (server, app) in everything() {
        let address = serve(server, Http::One, app).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let packet = [HANDSHAKE.as_bytes(), HELLO].concat();
        stream.write_all(&packet).await.unwrap();

        let mut answer = Vec::new();
        while !answer.ends_with(ECHO) {
            assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0);
        }
        let head = String::from_utf8(answer[..answer.len() - ECHO.len()].to_vec()).unwrap();
        assert!(
            head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{head}"
        );
        assert!(
            head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{head}"
        );
    }
}

/// Three frames, of which the packet with the handshake ends within each byte in turn.
#[tokio::test]
async fn several_and_a_part_of_one() {
    let frames = [
        frame(BINARY, "one"),
        frame(BINARY, vec![7; 300]),
        frame(BINARY, "three"),
    ]
    .concat();
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::One, echo()).await;
        for end in 0..=frames.len() {
            let (ahead, rest) = frames.split_at(end);
            let mut wire = Wire::over(TcpStream::connect(address).await.unwrap());
            wire.write([HANDSHAKE.as_bytes(), ahead].concat()).await;
            assert_eq!(wire.head().await, 101);
            wire.write(rest).await;
            for payload in [&b"one"[..], &[7; 300], b"three"] {
                let echoed = Some((BINARY, payload.to_vec()));
                assert_eq!(wire.frame().await, echoed, "{server:?} {end}");
            }
        }
    }
}

/// A raw connection has bytes, not frames: those that came with the handshake come first, in pieces of any size.
#[tokio::test]
async fn by_a_raw_connection_that_is_read_byte_by_byte() {
    async fn endpoint(request: Request<NoBody>) -> Result<Response<NoBody>, Infallible> {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let mut raw = upgrade.accept_raw().await.unwrap();
        while let Ok(byte) = raw.read_u8().await {
            raw.write_u8(byte).await.unwrap();
        }
        Ok(Response::new(NoBody::new()))
    }
    for server in [Server::Hyper, Server::Axum] {
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(server, Http::One, app(layers.service_fn(endpoint))).await;
        for ahead in [0, 1, 5, 13] {
            let (ahead, rest) = b"not any frame".split_at(ahead);
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(&[HANDSHAKE.as_bytes(), ahead].concat())
                .await
                .unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(&[b"\r\n\r\n", ahead].concat()) {
                assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0);
            }
            stream.write_all(rest).await.unwrap();
            let mut echoed = vec![0; rest.len()];
            within(stream.read_exact(&mut echoed)).await.unwrap();
            assert_eq!(echoed, rest, "{server:?}");
        }
    }
}

#[tokio::test]
async fn before_the_answer_over_http2() {
    for (server, app) in everything() {
        let address = serve(server, Http::Two, app).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut sender = within(sender.ready()).await.unwrap();
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{address}/ws"))
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let (response, mut stream) = sender.send_request(request, false).unwrap();
        stream.send_data(Bytes::from_static(HELLO), false).unwrap();

        let response = within(response).await.unwrap();
        assert_eq!(response.status(), 200);
        let data = within(response.into_body().data()).await.unwrap().unwrap();
        assert_eq!(data, ECHO);
    }
}
