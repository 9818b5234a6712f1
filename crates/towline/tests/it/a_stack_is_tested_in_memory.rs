//! `test_util` opens a socket to any tower service without a port.

use axum::Router;
use axum::routing::any_service;
use futures_util::{SinkExt, StreamExt};
use http::Version;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceBuilder;
use towline::test_util::{connect, http1, http2};
use towline::{EchoService, UpgradeLayer};

#[tokio::test(start_paused = true)]
async fn over_both_versions_of_http() {
    for request in [http1("/ws"), http2("/ws")] {
        let version = request.version();
        let app = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .service(EchoService::new());
        let (mut client, head) = connect(app, request).await.unwrap();
        assert_eq!(head.version(), version);

        client.send(Message::text("hello")).await.unwrap();
        let echo = client.next().await.unwrap().unwrap();
        assert_eq!(echo, Message::text("hello"));
        client.close(None).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_close());
    }
}

#[tokio::test]
async fn a_refusal_is_given_whole() {
    let app = Router::new()
        .route("/ws", any_service(EchoService::new()))
        .layer(UpgradeLayer::new());
    let mut request = http1("/ws");
    request.headers_mut().remove("sec-websocket-key");
    let refused = connect(app.clone(), request).await.unwrap_err();
    assert_eq!(
        (refused.status().as_u16(), refused.version()),
        (400, Version::HTTP_11)
    );
    assert!(
        refused
            .body()
            .starts_with(b"there must be one sec-websocket-key")
    );

    let missing = connect(app, http2("/nowhere")).await.unwrap_err();
    assert_eq!(
        (missing.status().as_u16(), missing.version()),
        (404, Version::HTTP_2)
    );
}
