//! A whole server on axum: `cargo run -p examples --bin with-axum`.

use axum::{Router, routing::any};
use tokio::net::TcpListener;
use towline::{AcceptError, Closed, SendError, UpgradeLayer, WebSocketUpgrade};

fn app() -> Router {
    // `any`: a handshake is a GET over HTTP/1.1 and a CONNECT over HTTP/2.
    let routes = Router::new().route("/ws", any(echo));
    // Layers added above this line live until the socket closes.
    routes.layer(UpgradeLayer::new())
}

async fn echo(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
    let served = upgrade.serve(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, SendError>(())
    });
    served.await
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    axum::serve(TcpListener::bind("127.0.0.1:5000").await?, app()).await
}
