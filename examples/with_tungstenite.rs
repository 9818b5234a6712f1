//! A handler written for tokio-tungstenite, moved inside the upgrade layer:
//! `cargo run -p examples --bin with-tungstenite`.
//!
//! `handle` is as it was under `accept_async(tcp_stream)`. What changes is around it: the limit counts open sockets.

#[path = "echo-server/src/listen.rs"]
mod listen;

use axum::{Router, routing::any};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message, protocol::Role};
use tower::limit::GlobalConcurrencyLimitLayer;
use towline::{AcceptError, OriginLayer, UpgradeLayer, WebSocketUpgrade};

use crate::listen::listen;

fn app() -> Router {
    Router::new()
        .route("/ws", any(endpoint))
        .layer(GlobalConcurrencyLimitLayer::new(1000))
        .layer(UpgradeLayer::new())
        .layer(OriginLayer::same_origin())
}

async fn endpoint(upgrade: WebSocketUpgrade) -> Result<(), AcceptError> {
    let raw = upgrade.accept_raw().await?;
    let stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
    if let Err(error) = handle(stream).await {
        eprintln!("socket failed: {error}");
    }
    Ok(()) // for the layers; the client had its 101 long ago
}

/// Greets, and answers in capitals until the client closes.
async fn handle<S>(mut stream: WebSocketStream<S>) -> Result<(), tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.send(Message::text("who is there?")).await?;
    // tungstenite answers pings and the Close while it is read: to the end, then.
    while let Some(message) = stream.next().await {
        if let Message::Text(text) = message? {
            stream.send(Message::text(text.to_uppercase())).await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 5000).into())?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::net::TcpListener;
    use tokio_tungstenite::connect_async;
    use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};

    use super::*;

    async fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app()).await });
        url
    }

    #[tokio::test]
    async fn it_greets_and_answers_in_capitals() {
        let (mut client, _) = connect_async(serve().await).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::text("who is there?")
        );
        client.send(Message::text("it's me")).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::text("IT'S ME")
        );
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
