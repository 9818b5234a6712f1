//! RST_STREAM in every state of a socket ends that socket's endpoint, and no other of the connection.

use std::convert::Infallible;

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::{Layer, ServiceBuilder, service_fn};
use towline::{ClosedBy, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::http2::{Connection, Stream};
use towline_testing::{
    App, CLOSE, Http, NoBody, PING, PONG, Server, TEXT, app, close_body, frame, next, serve,
    undecided,
};

const REASONS: [Reason; 4] = [
    Reason::CANCEL,
    Reason::NO_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::STREAM_CLOSED,
];

/// Echoes; told to flood, it sends until it cannot, and told to close, it closes.
async fn obey(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"flood" => while socket.send(vec![7; 10_000]).await.is_ok() {},
            b"close" => drop(socket.close(4000, "").await),
            _ => drop(socket.send(message).await),
        }
    }
}

/// Reports how each socket ended.
fn obeying(ends: mpsc::UnboundedSender<ClosedBy>) -> App {
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let ends = ends.clone();
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let closed = upgrade.serve(obey).await.unwrap();
            ends.send(closed.by()).unwrap();
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
        }
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(endpoint))
}

/// Brings a socket into a state.
async fn reach(state: &str, stream: &mut Stream) {
    match state {
        "open" => {}
        "used" => stream.echo("used").await,
        "within a header" => stream.write(b"\x81"),
        "within a message" => stream.write(&frame(TEXT, [b'x'; 100])[..50]),
        "between fragments" => {
            stream.write(frame(0x01, "begun"));
            stream.write(frame(PING, ""));
            assert_eq!(stream.frame().await.unwrap(), Some((PONG, vec![])));
        }
        "written to" => stream.write(frame(TEXT, "flood")),
        "closed by the server" => {
            stream.write(frame(TEXT, "close"));
            let close = Some((CLOSE, close_body(4000, "")));
            assert_eq!(stream.frame().await.unwrap(), close);
        }
        "closed" => {
            stream.write(frame(CLOSE, close_body(1000, "")));
            let close = Some((CLOSE, close_body(1000, "")));
            assert_eq!(stream.frame().await.unwrap(), close);
        }
        _ => unreachable!("{state}"),
    }
}

#[tokio::test]
async fn in_every_state() {
    let states = [
        ("open", ClosedBy::Transport),
        ("used", ClosedBy::Transport),
        ("within a header", ClosedBy::Transport),
        ("within a message", ClosedBy::Transport),
        ("between fragments", ClosedBy::Transport),
        ("written to", ClosedBy::Transport),
        ("closed by the server", ClosedBy::Endpoint),
        ("closed", ClosedBy::Peer),
    ];
    for server in [Server::Hyper, Server::Axum] {
        let (ends, mut ended) = mpsc::unbounded_channel();
        let address = serve(server, Http::Two, obeying(ends)).await;
        let mut connection = Connection::open(address).await;
        let mut sibling = connection.socket().await;
        for reason in REASONS {
            for (state, by) in states {
                let mut stream = connection.socket().await;
                reach(state, &mut stream).await;
                sibling.echo("before").await;
                stream.send.send_reset(reason);
                let row = format!("{server:?} {state} {reason:?}");
                assert_eq!(next(&mut ended).await, by, "{row}");
                sibling.echo("after").await;
            }
        }
        assert!(!connection.task.is_finished());
    }
}

#[tokio::test]
async fn before_the_endpoint_accepts() {
    for server in [Server::Hyper, Server::Axum] {
        let (log, mut events) = mpsc::unbounded_channel();
        let address = serve(
            server,
            Http::Two,
            app(UpgradeLayer::new().layer(undecided(log))),
        )
        .await;
        let mut connection = Connection::open(address).await;
        for reason in REASONS {
            let (_response, mut stream) = connection.request().await;
            assert_eq!(next(&mut events).await, "called");
            stream.send_reset(reason);
            assert_eq!(next(&mut events).await, "dropped", "{server:?} {reason:?}");
        }
        assert!(!connection.task.is_finished());
    }
}
