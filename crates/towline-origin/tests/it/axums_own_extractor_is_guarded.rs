//! In front of axum's own `WebSocketUpgrade`, with nothing else of towline.

use axum::extract::WebSocketUpgrade;
use axum::{Router, body::Body, routing::any};
use http::{HeaderName, HeaderValue};
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::duplex;
use towline_origin::OriginLayer;

use crate::support::request_from;

#[tokio::test]
async fn only_a_page_of_its_own_gets_a_socket() {
    let layer = OriginLayer::same_origin().hosts(["example.com"]).unwrap();
    let app = Router::new()
        .route(
            "/",
            any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async |_| {})),
        )
        .layer(layer);
    for (origin, status) in [("https://example.com", 101), ("https://evil.example", 403)] {
        let (client, server) = duplex(64 * 1024);
        let service = TowerToHyperService::new(app.clone());
        let served = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(served.with_upgrades());
        let (mut requests, connection) = handshake(TokioIo::new(client)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = request_from(origin).map(|()| Body::empty());
        for (name, value) in [
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            let name = HeaderName::from_static(name);
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        let response = requests.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{origin}");
    }
}
