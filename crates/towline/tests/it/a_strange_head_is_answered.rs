//! A handshake of bytes that nobody would send gets a status, over HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{
    App, HANDSHAKE, Http, NoBody, Server, Wire, app, extended_connect_request, http2_request,
    serve, try_http2_request, within,
};

/// No text in any encoding that HTTP knows of.
const OPAQUE: &[u8] = b"\xff\xfe\x80";

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

/// [`HANDSHAKE`] with these lines behind the others.
fn handshake_with(lines: &[u8]) -> Vec<u8> {
    let head = HANDSHAKE.as_bytes().strip_suffix(b"\r\n").unwrap();
    [head, lines, b"\r\n"].concat()
}

#[tokio::test]
async fn opaque_bytes_in_a_header_of_ours() {
    // The header, whether what it says is instead of the good one, and the status over HTTP/1.1 and HTTP/2. HTTP/2 asks for
    // no key.
    let table = [
        ("sec-websocket-key", true, 400, 200),
        ("sec-websocket-key", false, 400, 200),
        ("sec-websocket-version", true, 426, 400),
        ("sec-websocket-version", false, 426, 400),
        ("sec-websocket-protocol", false, 400, 400),
        ("sec-websocket-extensions", false, 400, 400),
        // Not for a client to send, and nothing to us.
        ("sec-websocket-accept", false, 101, 200),
        ("sec-websocket-anything", false, 101, 200),
    ];
    for server in [Server::Hyper, Server::Axum] {
        let one = serve(server, Http::One, echo()).await;
        let two = serve(server, Http::Two, echo()).await;
        for (name, instead, over_http1, over_http2) in table {
            let row = format!("{server:?} {name} {instead}");

            let line = [name.as_bytes(), b": ", OPAQUE, b"\r\n"].concat();
            let mut head = handshake_with(&line);
            if instead {
                let kept = |line: &&str| !line.to_lowercase().starts_with(name);
                let lines: String = HANDSHAKE.split_inclusive('\n').filter(kept).collect();
                let lines = lines.strip_suffix("\r\n").unwrap().as_bytes();
                head = [lines, &line, b"\r\n"].concat();
            }
            let mut wire = Wire::over(TcpStream::connect(one).await.unwrap());
            wire.write(head).await;
            assert_eq!(wire.head().await, over_http1, "{row}");

            let mut request = extended_connect_request(two);
            let name = HeaderName::from_static(name);
            let value = HeaderValue::from_bytes(OPAQUE).unwrap();
            if instead {
                request.headers_mut().insert(name, value);
            } else {
                request.headers_mut().append(name, value);
            }
            let response = within(http2_request(two, request)).await;
            assert_eq!(response.status(), over_http2, "{row}");
        }
    }
}

#[tokio::test]
async fn two_thousand_headers() {
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::One, echo()).await;
        let lines: String = (0..2000).map(|index| format!("x-{index}: y\r\n")).collect();
        let mut wire = Wire::over(TcpStream::connect(address).await.unwrap());
        wire.write(handshake_with(lines.as_bytes())).await;
        assert_eq!(wire.head().await, 431, "{server:?}");

        let address = serve(server, Http::Two, echo()).await;
        let response = within(http2_request(address, with_headers(address, 500))).await;
        assert_eq!(response.status(), 431, "{server:?}");
        // h2 gives up a connection over a list of four times its limit of 16 KiB.
        let error = within(try_http2_request(address, with_headers(address, 2000))).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("http2 error"), "{server:?}: {error}");
    }
}

fn with_headers(address: SocketAddr, count: usize) -> Request<NoBody> {
    let mut request = extended_connect_request(address);
    for index in 0..count {
        let name = HeaderName::try_from(format!("x-{index}")).unwrap();
        let value = HeaderValue::from_static("y");
        request.headers_mut().insert(name, value);
    }
    request
}

/// Our rules look at a head once, when it is whole; hyper looks for its end as it comes.
#[tokio::test]
async fn a_long_header_byte_by_byte() {
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::One, echo()).await;
        let line = [
            b"Sec-WebSocket-Protocol: ",
            &b"a".repeat(16 * 1024)[..],
            b"\r\n",
        ]
        .concat();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in handshake_with(&line) {
            within(stream.write_u8(byte)).await.unwrap();
            // The server reads it meanwhile.
            yield_now().await;
        }
        assert_eq!(Wire::over(stream).head().await, 101, "{server:?}");
    }
}
