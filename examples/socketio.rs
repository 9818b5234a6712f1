//! socket.io beside a WebSocket endpoint: `cargo run -p examples --bin socketio [ADDRESS:PORT]`.
//!
//! Both live inside of one upgrade layer. socketioxide upgrades its requests by itself, with hyper's `OnUpgrade`, which
//! the layer leaves where it was; `/ws` takes the layer's offer. The origin layer guards the sockets of both; socket.io's
//! polling is CORS's.

use std::env;
use std::io::{self, Write};

use axum::Router;
use rmpv::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;
use towline::{EchoService, OriginLayer, UpgradeLayer};

fn app() -> Router {
    let (socketio, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        // A `Value` may be text, binary, or an object with either in it.
        socket.on("message", async |socket: SocketRef, Data::<Value>(data)| {
            if let Err(error) = socket.emit("message-back", &data) {
                eprintln!("cannot answer: {error}");
            }
        });
        socket.on(
            "message-with-ack",
            async |Data::<Value>(data), ack: AckSender| {
                if let Err(error) = ack.send(&data) {
                    eprintln!("cannot acknowledge: {error}");
                }
            },
        );
    });
    Router::new()
        .route_service("/ws", EchoService::new())
        .layer(socketio)
        .layer(UpgradeLayer::new())
        .layer(OriginLayer::same_origin())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let argument = env::args().nth(1);
    let listener = TcpListener::bind(argument.as_deref().unwrap_or("127.0.0.1:5000")).await?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::{SinkExt, StreamExt};
    use http::HeaderValue;
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

    use super::*;

    type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

    async fn serve() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app()).await });
        address
    }

    async fn receive(client: &mut Client) -> String {
        loop {
            let message = client.next().await.unwrap().unwrap();
            match message.into_text().unwrap().as_str() {
                "2" => {} // a ping of engine.io's own
                text => return text.to_owned(),
            }
        }
    }

    #[tokio::test]
    async fn socketio_upgrades_by_itself() {
        let url = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket",
            serve().await
        );
        let (mut client, _) = connect_async(url).await.unwrap();
        assert!(receive(&mut client).await.starts_with("0{"));
        client.send(Message::text("40")).await.unwrap();
        assert!(receive(&mut client).await.starts_with("40{"));

        client
            .send(Message::text(r#"42["message","hello"]"#))
            .await
            .unwrap();
        assert_eq!(receive(&mut client).await, r#"42["message-back","hello"]"#);
        client
            .send(Message::text(r#"421["message-with-ack","hello"]"#))
            .await
            .unwrap();
        assert_eq!(receive(&mut client).await, r#"431["hello"]"#);
    }

    #[tokio::test]
    async fn the_endpoint_beside_it_echoes() {
        let url = format!("ws://{}/ws", serve().await);
        let (mut client, _) = connect_async(url).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        assert_eq!(receive(&mut client).await, "hello");
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused_by_both() {
        let address = serve().await;
        for path in ["/ws", "/socket.io/?EIO=4&transport=websocket"] {
            let url = format!("ws://{address}{path}");
            let mut request = url.into_client_request().unwrap();
            let evil = HeaderValue::from_static("http://evil.example");
            request.headers_mut().insert("origin", evil);
            let Err(Error::Http(response)) = connect_async(request).await else {
                panic!("it got a socket");
            };
            assert_eq!(response.status(), 403);
        }
    }
}
