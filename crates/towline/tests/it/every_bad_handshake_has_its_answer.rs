//! The table of refused handshakes on the wire: status, headers and one line of text, at the echo service.

use axum::Router;
use axum::routing::any;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use towline::{AcceptError, Closed, EchoService, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{
    App, Http, Server, app, extended_connect_request, http2_request, serve, serve_axum, within,
};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

/// A good handshake in lines; each row of the table spoils it.
fn good() -> Vec<String> {
    let lines = [
        "GET /ws HTTP/1.1",
        "Host: example.com",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        KEY,
    ];
    lines.map(str::to_owned).to_vec()
}

fn without(start: &str) -> Vec<String> {
    good()
        .into_iter()
        .filter(|line| !line.starts_with(start))
        .collect()
}

fn with(line: &str) -> Vec<String> {
    let mut lines = good();
    lines.push(line.to_owned());
    lines
}

fn instead(start: &str, line: &str) -> Vec<String> {
    let replace = |old: String| match old.starts_with(start) {
        true => line.to_owned(),
        false => old,
    };
    good().into_iter().map(replace).collect()
}

#[tokio::test]
async fn over_http1() {
    let upgrade = [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
    ]
    .as_slice();
    let allow = ["allow: get"].as_slice();
    let none = [].as_slice();
    let plain = vec![
        "GET /ws HTTP/1.1".to_owned(),
        "Host: example.com".to_owned(),
    ];
    #[rustfmt::skip]
    let table: Vec<(Vec<String>, u16, &[&str])> = vec![
        (plain, 426, upgrade),
        (instead("GET", "GET /ws HTTP/1.0"), 426, upgrade),
        (instead("GET", "POST /ws HTTP/1.1"), 405, allow),
        (without("Sec-WebSocket-Version"), 426, upgrade),
        (instead("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426, upgrade),
        (with("Sec-WebSocket-Version: 8"), 426, upgrade),
        (without("Connection"), 400, none),
        (instead("Connection", "Connection: x-upgraded"), 400, none),
        (without("Upgrade"), 400, none),
        (instead("Upgrade", "Upgrade: h2c"), 400, none),
        (without("Sec-WebSocket-Key"), 400, none),
        (with(KEY), 400, none),
        (instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="), 400, none),
        (instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: not base64 at all !!!!!!"), 400, none),
        (with("Content-Length: 1"), 400, none),
        (with("Transfer-Encoding: chunked"), 400, none),
        (without("Host"), 400, none),
        (with("Host: example.org"), 400, none),
        (with("Sec-WebSocket-Protocol: caf\u{e9}"), 400, none),
        (with("Sec-WebSocket-Protocol: a, a"), 400, none),
        (with("Sec-WebSocket-Extensions: permessage-deflate; ="), 400, none),
        (with("Sec-WebSocket-Extensions: \u{e9}"), 400, none),
    ];
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::One, echo()).await;
        for (lines, status, headers) in &table {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("{}\r\n\r\n", lines.join("\r\n"));
            stream.write_all(request.as_bytes()).await.unwrap();
            let (head, body) = answer(&mut stream).await;

            let row = format!("{server:?}: {request}{head}");
            assert_eq!(head.split(' ').nth(1), Some(&*status.to_string()), "{row}");
            for header in *headers {
                // On HTTP/1.0 hyper adds `keep-alive` to `Connection`.
                assert!(head.lines().any(|line| line.starts_with(header)), "{row}");
            }
            assert!(!body.is_empty() && body.lines().count() == 1, "{row}{body}");
        }
    }
}

/// The head of a response in lower case, and its body.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| length == body.len().to_string()) {
                return (head, body.to_owned());
            }
        }
        assert_ne!(
            within(stream.read_buf(&mut bytes)).await.unwrap(),
            0,
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn over_http2() {
    type Spoil = fn(&mut Request<Empty<bytes::Bytes>>);
    let table: [(&str, u16, Spoil); 7] = [
        ("no attempt", 400, |request| {
            *request.method_mut() = Method::GET;
            request.extensions_mut().remove::<Protocol>();
            request.headers_mut().clear();
        }),
        ("another method", 400, |request| {
            *request.method_mut() = Method::GET;
            request.extensions_mut().remove::<Protocol>();
        }),
        ("another version", 400, |request| {
            let eight = http::HeaderValue::from_static("8");
            request.headers_mut().insert("sec-websocket-version", eight);
        }),
        // RFC 9220, 3: of a ":protocol" "value that is unknown or is not supported, the server SHOULD respond to the request
        // with a 501 (Not Implemented) status code".
        ("another protocol", 501, |request| {
            let other = Protocol::from_static("webtransport");
            request.extensions_mut().insert(other);
        }),
        ("another protocol without a version", 501, |request| {
            let other = Protocol::from_static("connect-udp");
            request.extensions_mut().insert(other);
            request.headers_mut().clear();
        }),
        ("a bad sub-protocol", 400, |request| {
            let bad = http::HeaderValue::from_static("a b");
            request.headers_mut().insert("sec-websocket-protocol", bad);
        }),
        ("a bad extension", 400, |request| {
            let bad = http::HeaderValue::from_static(";");
            request
                .headers_mut()
                .insert("sec-websocket-extensions", bad);
        }),
    ];
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::Two, echo()).await;
        for (name, status, spoil) in table {
            let mut request = Request::builder()
                .method(Method::CONNECT)
                .uri(format!("http://{address}/ws"))
                .extension(Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .body(Empty::new())
                .unwrap();
            spoil(&mut request);
            let response = within(http2_request(address, request)).await;
            assert_eq!(response.status(), status, "{server:?} {name}");
            assert!(!response.headers().contains_key("upgrade"), "{name}");
            assert!(!response.headers().contains_key("connection"), "{name}");
            let body = within(response.into_body().collect())
                .await
                .unwrap()
                .to_bytes();
            assert!(
                !body.is_empty() && !body.contains(&b'\n'),
                "{server:?} {name}"
            );
        }
    }
}

#[tokio::test]
async fn another_protocol_gets_501_from_the_extractor() {
    async fn endpoint(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
        upgrade.serve(async |_| {}).await
    }
    let bare = Router::new().route("/ws", any(endpoint));
    for router in [bare.clone(), bare.layer(UpgradeLayer::new())] {
        let address = serve_axum(router).await;
        let mut request = extended_connect_request(address);
        let other = Protocol::from_static("connect-udp");
        request.extensions_mut().insert(other);
        let response = within(http2_request(address, request)).await;
        assert_eq!(response.status(), 501);
    }
}
