//! A whole server on axum, under its own `serve`: `cargo run -p examples --bin with-axum`.

use axum::{Router, routing::any};
use tokio::net::TcpSocket;
use tower::limit::GlobalConcurrencyLimitLayer;
use towline::{AcceptError, Closed, SendError, WebSocket, WebSocketUpgrade};
use towline::{OriginLayer, UpgradeLayer};

fn app() -> Router {
    Router::new()
        .route("/ws", any(endpoint)) // a GET over HTTP/1.1, a CONNECT over HTTP/2
        .layer(GlobalConcurrencyLimitLayer::new(1000)) // open sockets, not handshakes
        .layer(UpgradeLayer::new())
        .layer(OriginLayer::same_origin()) // no pages of other sites
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
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(!cfg!(windows))?;
    socket.bind(([127, 0, 0, 1], 5000).into())?;
    let listener = socket.listen(u32::MAX)?; // the longest backlog there is; `TcpListener::bind` has one of 128
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use http::HeaderValue;
    use tokio::net::TcpListener;
    use tokio_tungstenite::connect_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{Error, Message};

    use super::*;

    async fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app()).await });
        url
    }

    #[tokio::test]
    async fn messages_come_back_as_they_went() {
        let (mut client, _) = connect_async(serve().await).await.unwrap();
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

    #[tokio::test]
    async fn a_page_of_another_site_is_refused() {
        let mut request = serve().await.into_client_request().unwrap();
        let evil = HeaderValue::from_static("http://evil.example");
        request.headers_mut().insert("origin", evil);
        let Err(Error::Http(response)) = connect_async(request).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 403);
    }
}
