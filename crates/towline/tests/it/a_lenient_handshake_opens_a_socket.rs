//! A handshake that is unusual, but that says what it wants, opens a socket.

use http::{HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use towline::{Compression, EchoService, UpgradeLayer};
use towline_testing::{
    HANDSHAKE, Http, Server, Wire, app, extended_connect_request, http2_request, serve, within,
};

/// A header, and a value that stands in place of the usual one.
const UNUSUAL: [(&str, &str); 12] = [
    // RFC 6455, 4.1: an example of a key, with bits after the sixteenth octet.
    ("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEC=="),
    // RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
    ("connection", ",Upgrade,"),
    ("upgrade", ", websocket"),
    ("sec-websocket-version", "13,"),
    ("sec-websocket-version", "13, 13"),
    ("sec-websocket-protocol", "a,"),
    ("sec-websocket-protocol", ""),
    ("sec-websocket-protocol", " , "),
    ("sec-websocket-extensions", ""),
    ("sec-websocket-extensions", "permessage-deflate,"),
    ("sec-websocket-extensions", ", permessage-deflate"),
    ("sec-websocket-extensions", "x-a,, permessage-deflate"),
];

#[tokio::test]
async fn over_http1_and_http2() {
    for compression in [None, Some(Compression::new())] {
        let layer = UpgradeLayer::new().compression(compression);
        let layers = ServiceBuilder::new().layer(layer);
        let echo = app(layers.service(EchoService::new()));
        for server in [Server::Hyper, Server::Axum] {
            let one = serve(server, Http::One, echo.clone()).await;
            let two = serve(server, Http::Two, echo.clone()).await;
            for (name, value) in UNUSUAL {
                let row = format!("{server:?} {compression:?} {name}: {value}");
                let others: String = HANDSHAKE
                    .split_inclusive("\r\n")
                    .filter(|line| *line != "\r\n" && !line.to_lowercase().starts_with(name))
                    .collect();
                let mut wire = Wire::over(TcpStream::connect(one).await.unwrap());
                wire.write(format!("{others}{name}: {value}\r\n\r\n")).await;
                assert_eq!(wire.head().await, 101, "{row}");
                wire.echo("over HTTP/1.1").await;

                // HTTP/2 forbids these.
                if ["connection", "upgrade"].contains(&name) {
                    continue;
                }
                let mut request = extended_connect_request(two);
                let name = HeaderName::from_static(name);
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
                let response = within(http2_request(two, request)).await;
                assert_eq!(response.status(), 200, "{row}");
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                Wire::over(TokioIo::new(upgraded)).echo("over HTTP/2").await;
            }
        }
    }
}
