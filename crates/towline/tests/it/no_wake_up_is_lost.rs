//! Driver and endpoint share a task, and neither sleeps while the other waits for it.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt};
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tower::{ServiceBuilder, service_fn};
use towline::{EchoService, Outcome, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{
    App, EVERYWHERE, HANDSHAKE, Http, NoBody, PING, PONG, Server, TEXT, Wire, app, connect, frame,
    serve, within,
};

/// An application whose endpoint is `endpoint`.
fn serving<F, R>(endpoint: fn(WebSocket) -> F) -> App
where
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
{
    let service = service_fn(move |request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let closed = upgrade.serve(endpoint).await.unwrap();
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(service))
}

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

/// The server's writes block, its endpoint waits for room, its reads stop: all three have to come back.
#[tokio::test]
async fn a_client_that_reads_a_second_late_gets_everything() {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo()).await;
        let client = connect(http, address).await;
        client.read_late(200, Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_sleeps_between_receives_gets_both_messages_of_a_packet() {
    async fn endpoint(mut socket: WebSocket) {
        while let Some(message) = socket.recv().await {
            sleep(Duration::from_millis(20)).await;
            socket.send(message).await.unwrap();
        }
    }
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, serving(endpoint)).await;
        let mut client = connect(http, address).await;
        for text in ["one", "two"] {
            client.socket.feed(Message::text(text)).await.unwrap();
        }
        client.socket.flush().await.unwrap();
        assert_eq!(client.recv().await, "one");
        assert_eq!(client.recv().await, "two");
        client.close().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_spins_on_receive_does_not_starve_the_writes() {
    async fn endpoint(mut socket: WebSocket) {
        let (sender, mut receiver) = {
            socket.send("spinning").await.unwrap();
            socket.split()
        };
        loop {
            match receiver.recv().now_or_never() {
                Some(Some(message)) => sender.send(message).await.unwrap(),
                Some(None) => return,
                // Ready again at once: the task never waits.
                None => yield_now().await,
            }
        }
    }
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, serving(endpoint)).await;
        let mut client = connect(http, address).await;
        assert_eq!(client.recv().await, "spinning");
        client.echo("still written").await;
        client.close().await;
    }
}

#[tokio::test]
async fn a_message_with_a_close_behind_it_is_answered_before_the_close() {
    /// "Hello", and Close 1000, both masked with the key of RFC 6455 section 5.7.
    const FRAMES: &[u8] =
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x82\x37\xfa\x21\x3d\x34\x12";

    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::One, echo()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut packet = HANDSHAKE.as_bytes().to_vec();
        packet.extend_from_slice(FRAMES);
        stream.write_all(&packet).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        assert!(
            answer.ends_with(b"\r\n\r\n\x81\x05Hello\x88\x02\x03\xe8"),
            "{answer:?}"
        );
    }
}

/// The driver leaves it to the next who asks to find out that all is written.
#[tokio::test]
async fn a_flush_of_what_was_written_before_ends() {
    async fn endpoint(mut socket: WebSocket) {
        while let Some(message) = socket.recv().await {
            socket.send(message).await.unwrap();
            // The client has that by now.
            if socket.recv().await.is_some() {
                socket.flush().await.unwrap();
                socket.send("flushed").await.unwrap();
            }
        }
    }
    async fn elsewhere(socket: WebSocket) {
        let (sender, mut receiver) = socket.split();
        while let Some(message) = receiver.recv().await {
            sender.send(message).await.unwrap();
            if receiver.recv().await.is_some() {
                let sender = sender.clone();
                let flush = async move {
                    sender.flush().await.unwrap();
                    sender.send("flushed").await.unwrap();
                };
                // In a task of its own, while the driver has nothing to do.
                tokio::spawn(flush);
            }
        }
    }
    for (server, http) in EVERYWHERE {
        for app in [serving(endpoint), serving(elsewhere)] {
            let address = serve(server, http, app).await;
            let mut client = connect(http, address).await;
            client.echo("written").await;
            client.send("flush").await;
            assert_eq!(client.recv().await, "flushed");
            client.close().await;
        }
    }
}

/// What woke the driver while nothing was to be read is read when there is room again, although nothing wakes it then.
#[tokio::test]
async fn a_ping_behind_a_full_inbox_is_answered_when_there_is_room() {
    /// As many as wait for the endpoint before the peer has to.
    const FULL: usize = 64;

    async fn endpoint(mut socket: WebSocket) {
        sleep(Duration::from_millis(200)).await;
        assert!(socket.recv().await.is_some());
        socket.closed().await;
    }
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, serving(endpoint)).await;
        let mut wire = Wire::open(http, address).await;
        wire.write(frame(TEXT, "x").repeat(FULL)).await;
        sleep(Duration::from_millis(100)).await;
        wire.write(frame(PING, "read?")).await;
        assert_eq!(wire.frame().await, Some((PONG, b"read?".to_vec())));
    }
}
