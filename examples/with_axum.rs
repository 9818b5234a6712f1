//! A whole server on axum, under its own `serve`: `cargo run -p examples --bin with-axum`.

use axum::{Router, routing::any};
use tokio::net::TcpListener;
use tower::limit::GlobalConcurrencyLimitLayer;
use towline::{AcceptError, Closed, SendError, UpgradeLayer, WebSocket, WebSocketUpgrade};

fn app() -> Router {
    Router::new()
        .route("/ws", any(endpoint)) // a GET over HTTP/1.1, a CONNECT over HTTP/2
        .layer(GlobalConcurrencyLimitLayer::new(1000)) // open sockets, not handshakes
        .layer(UpgradeLayer::new())
}

async fn endpoint(upgrade: WebSocketUpgrade) -> Result<Closed, AcceptError> {
    upgrade.serve(echo).await
}

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    axum::serve(TcpListener::bind("127.0.0.1:5000").await?, app()).await
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::{connect_async, tungstenite::Message};

    use super::*;

    #[tokio::test]
    async fn messages_come_back_as_they_went() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app()).await });

        let (mut client, _) = connect_async(url).await.unwrap();
        for message in [
            Message::text("Grüße"),
            Message::binary([0, 0xff].as_slice()),
        ] {
            client.send(message.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
        client.close(None).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_close());
        assert!(client.next().await.is_none());
    }
}
