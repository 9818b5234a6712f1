//! `abort` and the deadline of a drain drop the transport at once, however far the socket's end has come.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tower::Layer;
use towline::upgrade::Drained;
use towline::{Control, Drain, Sockets, UpgradeLayer, WebSocket};
use towline_testing::memory::{App, endpoint, upgraded};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{Clock, Http, KIB, MIB, TEXT, next, secs, settle, soon};

const SOON: Duration = Duration::from_millis(10);

/// A stage of the socket's end.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Our Close is queued, and the peer takes nothing.
    Flush,
    /// Our Close is written, and the peer does not answer.
    Await,
    /// Both Closes are exchanged, and the peer keeps the connection.
    Linger,
    /// The same after a violation.
    LingerAfterViolation,
}

const STAGES: [Stage; 4] = [
    Stage::Flush,
    Stage::Await,
    Stage::Linger,
    Stage::LingerAfterViolation,
];

impl Stage {
    async fn reach(self, http: Http, app: App) -> Peer {
        let mut peer = Peer::open(http, app, 16 * KIB).await;
        match self {
            Self::Flush => peer.send(TEXT, "flood").await,
            Self::Await => {
                peer.send(TEXT, "close").await;
                peer.expect_close_code(4000).await;
            }
            Self::Linger => {
                peer.close(1000, "").await;
                peer.expect_close_code(1000).await;
                peer.expect_end().await;
            }
            Self::LingerAfterViolation => {
                peer.send(TEXT, b"\xff").await;
                peer.expect_close_code(1007).await;
                peer.expect_end().await;
            }
        }
        settle().await;
        peer
    }

    /// hyper resets a dropped stream only after the peer has taken the bytes that hyper holds of it.
    fn is_seen_dropped(self, http: Http) -> bool {
        http == Http::One || !matches!(self, Self::Flush)
    }
}

/// Closes as it is told, and gives its controls to the test.
fn closing(sockets: &Sockets) -> (App, mpsc::UnboundedReceiver<Control>) {
    let (controls, receiver) = mpsc::unbounded_channel();
    let (app, _ends) = endpoint(move |mut socket: WebSocket| {
        controls.send(socket.control()).unwrap();
        async move {
            let Some(message) = socket.recv().await else {
                return;
            };
            if message.as_bytes() == b"flood" {
                socket.send(vec![7; MIB]).await.unwrap();
            }
            socket.close(4000, "").await.unwrap();
        }
    });
    let layer = UpgradeLayer::new().sockets(sockets);
    (upgraded(layer.layer(app)), receiver)
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_the_transport_at_once() {
    for http in BOTH {
        for stage in STAGES {
            let sockets = Sockets::new();
            let (app, mut controls) = closing(&sockets);
            let mut peer = stage.reach(http, app).await;
            let control = next(&mut controls).await;
            let clock = Clock::start();
            sleep(secs(1) / 2).await;
            control.abort();
            // All that is registered has a transport.
            let drained = soon(sockets.drain(Drain::new())).await.unwrap();
            assert_eq!(
                (drained.closed, drained.aborted),
                (1, 0),
                "{http:?} {stage:?}"
            );
            if stage.is_seen_dropped(http) {
                peer.dropped().await;
            }
            clock.assert(secs(1) / 2..=secs(1) / 2 + SOON);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_drain_drops_the_transport() {
    for http in BOTH {
        for stage in STAGES {
            let sockets = Sockets::new();
            let (app, _controls) = closing(&sockets);
            let mut peer = stage.reach(http, app).await;
            let clock = Clock::start();
            let drain = Drain::new().within(secs(1) / 2);
            let drained = soon(sockets.drain(drain)).await.unwrap();
            if stage.is_seen_dropped(http) {
                peer.dropped().await;
            }
            clock.assert(secs(1) / 2..=secs(1) / 2 + SOON);
            let Drained {
                closed, aborted, ..
            } = drained;
            // The socket had closed; only its transport was left.
            let had_closed = matches!(stage, Stage::Linger | Stage::LingerAfterViolation);
            let expected = if had_closed { (1, 0) } else { (0, 1) };
            assert_eq!((closed, aborted), expected, "{http:?} {stage:?}");
        }
    }
}
