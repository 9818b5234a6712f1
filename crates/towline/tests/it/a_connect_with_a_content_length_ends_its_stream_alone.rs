//! hyper ends the whole connection, with every socket on it: `docs/upstream/hyper-connect-content-length.md`.

use tower::Layer;
use towline::{EchoService, UpgradeLayer};
use towline_testing::http2::Connection;
use towline_testing::{Http, Server, app, serve, within};

/// RFC 9113, 8.1.1: "Malformed requests or responses that are detected MUST be treated as a stream error (Section 5.4.2) of
/// type PROTOCOL_ERROR."
#[tokio::test]
#[ignore = "faults item 11: hyper 1.12 ends the connection before any service is called"]
async fn and_the_sockets_beside_it_stay_open() {
    for server in [Server::Hyper, Server::Axum] {
        let app = app(UpgradeLayer::new().layer(EchoService::new()));
        let mut connection = Connection::open(serve(server, Http::Two, app).await).await;
        let mut socket = connection.socket().await;
        socket.echo("hello").await;
        let (response, _stream) = connection.request_with(&[("content-length", "5")]).await;
        if let Ok(response) = within(response).await {
            assert_eq!(response.status(), 400);
        }
        socket.echo("still here").await;
    }
}
