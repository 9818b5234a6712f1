//! A client may send frames before it has its answer.

use bytes::Bytes;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer};

use crate::support::{App, HANDSHAKE, Http, Server, app, serve, tungstenite_echo, within};
use crate::wire::{BINARY, Wire, frame};

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
        let mut packet = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
        packet.extend_from_slice(HELLO);
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
            wire.write([HANDSHAKE, ahead].concat()).await;
            assert_eq!(wire.head().await, 101);
            wire.write(rest).await;
            for payload in [&b"one"[..], &[7; 300], b"three"] {
                let echoed = Some((BINARY, payload.to_vec()));
                assert_eq!(wire.frame().await, echoed, "{server:?} {end}");
            }
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
