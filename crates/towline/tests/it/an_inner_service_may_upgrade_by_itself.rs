//! axum's own `WebSocketUpgrade` goes on working inside of the upgrade layer.

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use tower::ServiceExt;
use towline::UpgradeLayer;
use towline_testing::{EVERYWHERE, NoBody, Server, connect, serve_axum, serve_hyper};

async fn endpoint(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let router = Router::new()
            .route("/ws", any(endpoint))
            .layer(UpgradeLayer::new());
        let address = match server {
            Server::Axum => serve_axum(router).await,
            Server::Hyper => {
                let with_body = |request: http::Request<NoBody>| request.map(axum::body::Body::new);
                serve_hyper(http, router.map_request(with_body)).await
            }
        };
        let mut client = connect(http, address).await;
        // How it closes is axum's affair.
        client.echo("through axum's own upgrade").await;
        client.echo("and again").await;
    }
}
