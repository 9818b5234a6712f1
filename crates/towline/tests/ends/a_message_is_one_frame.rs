//! Each message that this server sends is one frame, whatever its size: Safari and URLSessionWebSocketTask fail on
//! compressed messages in more than one (RFC 7692 section 6 allows both).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, service_fn};
use towline::{Compression, Message, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_protocol::Event;
use towline_testing::deflate::{Client, OFFER, RSV1, noise};
use towline_testing::{
    App, BINARY, Http, NoBody, PING, PONG, Server, TEXT, Wire, app, frame, serve, within,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const BOTH: [Http; 2] = [Http::One, Http::Two];

/// Sends what the client asks for: "text" or "noise", and how much.
async fn obey(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        let asked = String::from_utf8(message.as_bytes().to_vec()).unwrap();
        let reply = match asked.split_once(' ') {
            Some(("text", len)) => text(len.parse().unwrap()),
            Some(("noise", len)) => noise(len.parse().unwrap()).into(),
            _ => message,
        };
        socket.send(reply).await.unwrap();
    }
}

fn text(len: usize) -> Message {
    "again and again, "
        .chars()
        .cycle()
        .take(len)
        .collect::<String>()
        .into()
}

fn serving(compression: Compression) -> App {
    let endpoint = service_fn(move |request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let served = upgrade.compression(compression).serve(obey).await;
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.unwrap()))
    });
    app(UpgradeLayer::new().layer(endpoint))
}

#[tokio::test]
async fn a_compressed_message_of_any_size_is_one_frame() {
    let takeover = Compression::new();
    let fresh = Compression::new().server_no_context_takeover(true);
    for http in BOTH {
        for settings in [takeover, fresh] {
            let address = serve(Server::Hyper, http, serving(settings)).await;
            let mut client = Client::open(http, address, OFFER, settings).await;
            for len in [1000, 64 * KIB, 64 * KIB + 1, 100_000, 300_000, MIB] {
                for (kind, expected, first) in [
                    ("text", text(len), TEXT),
                    ("noise", noise(len).into(), BINARY),
                ] {
                    let ask = client.text(&format!("{kind} {len}"));
                    client.wire.write(ask).await;
                    let (begun, message) = client.message().await;
                    assert!(message == expected, "{http:?} {kind} {len}");
                    // FIN in the first frame: there is no other.
                    assert_eq!(begun, first | RSV1, "{http:?} {kind} {len}");
                }
            }
        }
    }
}

/// RFC 6455, 5.4: a pong may stand between messages, and before the header of one that is being compressed, but never
/// within a frame. It is not lost either.
#[tokio::test]
async fn a_ping_beside_a_long_message_is_answered_before_or_after_its_frame() {
    let settings = Compression::new();
    for http in BOTH {
        let address = serve(Server::Hyper, http, serving(settings)).await;
        let mut client = Client::open(http, address, OFFER, settings).await;
        for _ in 0..10 {
            let ask = client.text(&format!("noise {MIB}"));
            client
                .wire
                .write([ask, frame(PING, "beside")].concat())
                .await;
            let (mut pongs, mut messages) = (0, 0);
            while pongs + messages < 2 {
                match client.next().await.unwrap() {
                    (first, Event::Message(message)) => {
                        assert_eq!(first, BINARY | RSV1, "{http:?}");
                        assert!(message == noise(MIB).into());
                        messages += 1;
                    }
                    (first, Event::Pong(payload)) => {
                        assert_eq!((first, &payload[..]), (PONG, &b"beside"[..]));
                        pongs += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((pongs, messages), (1, 1));
        }
    }
}

/// All share one thread: while a long message is compressed, another socket echoes.
#[tokio::test]
async fn other_sockets_have_their_turns_while_a_long_message_is_compressed() {
    /// In pieces of 64 KiB, 512 of them; an echo takes two turns of the thread.
    const LONG: usize = 32 * MIB;
    const TURNS: usize = 100;

    let settings = Compression::new();
    let address = serve(Server::Hyper, Http::One, serving(settings)).await;
    let mut beside = Wire::open(Http::One, address).await;
    beside.echo("beside").await;
    let echoes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&echoes);
    let echoing = tokio::spawn(async move {
        loop {
            beside.echo("beside").await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut client = Client::open(Http::One, address, OFFER, settings).await;
    let ask = client.text(&format!("text {LONG}"));
    client.wire.write(ask).await;
    let before = echoes.load(Ordering::Relaxed);
    // So regular a text is but some 100 KiB on the wire: nearly all of the time is that of compressing.
    let (first, payload) = within(client.wire.frame()).await.unwrap();
    let turns = echoes.load(Ordering::Relaxed) - before;
    echoing.abort();
    assert_eq!(first, TEXT | RSV1, "a frame of {} bytes", payload.len());
    assert!(turns >= TURNS, "{turns} echoes beside it");
}
