//! A Close is the last frame of a socket, whatever was queued before it and in whichever order the transport took it, and
//! with compression too.
//!
//! RFC 6455, 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame." This server sends
//! no frame at all after it.

use std::future::pending;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::time::sleep;
use tower::Layer;
use towline::{
    Action, CloseCode, Compression, Drain, Event, PolicyFactory, SendOptions, SocketPolicy,
    SocketState, Sockets, UpgradeLayer, WebSocket, WebSocketUpgrade,
};
use towline_testing::deflate::OFFER;
use towline_testing::memory::{App, endpoint_with, upgraded};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{CLOSE, Http, KIB, PING, PONG, TEXT, frame, secs, settle};

/// The transport is full at the end of a frame: it takes this many of the endpoint's messages, of 1 KiB with their header,
/// and not a byte of the next.
const TAKEN: usize = 16;
const ROOM: usize = TAKEN * KIB;
const HEADER: usize = 4;

/// A control frame that is queued before the Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// The answer to the peer's ping.
    Pong,
    /// The endpoint's ping.
    Ping,
    /// A policy's pong, which answers nothing.
    Unsolicited,
}

/// The cause of the Close that is queued after it.
#[derive(Clone, Copy, Debug)]
enum By {
    Endpoint,
    Drop,
    Policy,
    Drain,
    Peer,
    Violation,
}

/// Sends a pong when it is poked, then closes.
#[derive(Default)]
struct PongThenClose(bool);

impl SocketPolicy for PongThenClose {
    fn on_event(&mut self, _: Instant, event: Event, _: &SocketState) -> Action {
        match event {
            Event::Poked if !self.0 => {
                self.0 = true;
                Action::UnsolicitedPong
            }
            Event::Poked => Action::close(CloseCode::POLICY, ""),
            _ => Action::None,
        }
    }
}

/// Fills the transport, and then does as the peer says.
async fn obey(mut socket: WebSocket) {
    // More than the transport takes, also with hyper's buffers, and less than the high-water mark, so that pongs are
    // queued after it. They go out one by one, and no message is compressed.
    let plain = SendOptions::new().compress(false);
    for _ in 0..3 * TAKEN {
        let message = vec![7; KIB - HEADER];
        socket.send_with(message, plain).await.unwrap();
        settle().await;
    }
    let mut poked = false;
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"ping" => assert!(socket.ping().now_or_never().is_none()),
            b"poke" => {
                poked = true;
                socket.control().poke();
            }
            b"close" => drop(socket.close(4000, "").await),
            b"policy" => {
                if !poked {
                    socket.control().poke();
                    settle().await;
                }
                socket.control().poke();
            }
            b"drop" => return,
            other => panic!("{other:?}"),
        }
    }
    pending::<()>().await;
}

fn app(compression: bool, sockets: &Sockets) -> App {
    let (app, _ends) = endpoint_with(obey, move |upgrade: WebSocketUpgrade| {
        let policy = PolicyFactory::new(|_| Some(PongThenClose::default()));
        let compression = compression.then(Compression::new);
        upgrade.compression(compression).policy(policy)
    });
    upgraded(UpgradeLayer::new().sockets(sockets).layer(app))
}

async fn assert_nothing_follows(http: Http, compression: bool, control: Control, by: By) {
    let row = format!("{http:?} {control:?} {by:?}");
    let sockets = Sockets::new();
    let offer = [("sec-websocket-extensions", OFFER)];
    let offer = if compression { &offer[..] } else { &[] };
    let mut peer = Peer::offering(http, app(compression, &sockets), ROOM, offer).await;
    sleep(secs(1)).await;
    match control {
        Control::Pong => peer.send(PING, "before").await,
        Control::Ping => peer.send(TEXT, "ping").await,
        Control::Unsolicited => peer.send(TEXT, "poke").await,
    }
    settle().await;
    match by {
        By::Endpoint => peer.send(TEXT, "close").await,
        By::Drop => peer.send(TEXT, "drop").await,
        By::Policy => peer.send(TEXT, "policy").await,
        By::Drain => {
            let sockets = sockets.clone();
            tokio::spawn(async move { sockets.drain(Drain::new()).await });
        }
        By::Peer => peer.close(4000, "").await,
        By::Violation => peer.send(TEXT, b"\xff").await,
    }
    settle().await;
    let mut kinds = Vec::new();
    let mut answered = false;
    while let Some((first, payload)) = peer.frame().await {
        if kinds.last() != Some(&first) {
            kinds.push(first);
        }
        if first == CLOSE && !answered && !matches!(by, By::Peer) {
            answered = true;
            let _ = peer.try_write(frame(CLOSE, payload)).await;
        }
    }
    let close = kinds.iter().position(|first| *first == CLOSE);
    let close = close.unwrap_or_else(|| panic!("no Close, {row}: {kinds:x?}"));
    assert_eq!(kinds[close + 1..], [], "after the Close, {row}: {kinds:x?}");
    // RFC 6455, 5.5.2: "an endpoint MUST send a Pong frame in response, unless it already received a Close frame."
    let expected = if control == Control::Ping { PING } else { PONG };
    assert!(
        kinds.contains(&expected),
        "no {control:?}, {row}: {kinds:x?}"
    );
}

const CONTROLS: [Control; 3] = [Control::Pong, Control::Ping, Control::Unsolicited];

const CLOSERS: [By; 6] = [
    By::Endpoint,
    By::Drop,
    By::Policy,
    By::Drain,
    By::Peer,
    By::Violation,
];

#[tokio::test(start_paused = true)]
async fn without_compression() {
    for http in BOTH {
        for control in CONTROLS {
            for by in CLOSERS {
                assert_nothing_follows(http, false, control, by).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_compression_a_pong() {
    for http in BOTH {
        for by in CLOSERS {
            assert_nothing_follows(http, true, Control::Pong, by).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_compression_a_ping() {
    for http in BOTH {
        for by in CLOSERS {
            assert_nothing_follows(http, true, Control::Ping, by).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_compression_an_unsolicited_pong() {
    for http in BOTH {
        for by in CLOSERS {
            assert_nothing_follows(http, true, Control::Unsolicited, by).await;
        }
    }
}
