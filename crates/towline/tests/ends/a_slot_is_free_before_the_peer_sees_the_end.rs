//! The end of a socket comes in order: `Closed` is recorded, the endpoint polled once, layers and permits released; then
//! the peer sees the end of our output, and the transport lingers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::time::sleep;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};
use towline::{Closed, Drain, Sockets, UpgradeLayer, WebSocket};
use towline_testing::memory::{App, endpoint, upgraded};
use towline_testing::watched::{BOTH, DROPPED, Peer, SHUT_DOWN};
use towline_testing::{Clock, Http, KIB, TEXT, secs, settle, soon};

/// Writes down what happens.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A layer's guard.
struct Released(Log);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.write("layers released");
    }
}

/// One socket at a time, whose endpoint echoes; it and its layers tell when they are through.
fn logging(log: &Log, sockets: &Sockets, lasts: Duration) -> App {
    let log = log.clone();
    let (echo, _ends) = endpoint(|mut socket: WebSocket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
    });
    let inner = service_fn(move |request: Request<Incoming>| {
        let released = Released(log.clone());
        let (log, echo) = (log.clone(), echo.clone());
        async move {
            let _released = released;
            let response = echo.oneshot(request).await?;
            if response.extensions().get::<Closed>().is_some() {
                log.write("endpoint returned with `Closed`");
            }
            sleep(lasts).await;
            Ok::<_, Infallible>(response)
        }
    });
    let layer = UpgradeLayer::new().sockets(sockets).max_sockets(1);
    upgraded(layer.layer(BoxCloneService::new(inner)))
}

#[tokio::test(start_paused = true)]
async fn the_order_is_endpoint_layers_permit_fin_linger() {
    let log = Log::default();
    let sockets = Sockets::new();
    let (told, counts) = (log.clone(), sockets.clone());
    let app = logging(&log, &sockets, Duration::ZERO);
    let mut peer = Peer::watching(Http::One, app, 64 * KIB, &[], move |event| {
        told.write(format!("{event}, {} active", counts.active()));
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close_code(1000).await;
    peer.expect_end().await;
    let clock = Clock::start();
    peer.dropped().await;
    // The linger, since the client keeps the connection.
    clock.assert(secs(1)..=secs(1));
    let expected = [
        "endpoint returned with `Closed`".to_owned(),
        "layers released".to_owned(),
        format!("{SHUT_DOWN}, 0 active"),
        format!("{DROPPED}, 0 active"),
    ];
    assert_eq!(log.lines(), expected);
}

/// The client looks as soon as it sees FIN or END_STREAM.
#[tokio::test(start_paused = true)]
async fn at_the_end_of_our_output_nothing_is_held_but_the_transport() {
    for http in BOTH {
        let log = Log::default();
        let sockets = Sockets::new();
        let app = logging(&log, &sockets, Duration::ZERO);
        let mut peer = Peer::open(http, app.clone(), 64 * KIB).await;
        assert_eq!(sockets.active(), 1);
        peer.close(1000, "").await;
        peer.expect_close_code(1000).await;
        peer.expect_end().await;
        let seen = (sockets.active(), log.lines().len());
        assert_eq!(seen, (0, 2), "{http:?}: {:?}", log.lines());
        // Its permit is free: the next one opens, and is the only one.
        let mut second = Peer::open(http, app, 64 * KIB).await;
        assert_eq!(sockets.active(), 1);
        second.close(1000, "").await;
        second.expect_close_code(1000).await;
        second.expect_end().await;
    }
}

/// The registry goes on counting it, so that a drain waits for the transport.
#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_transport_whose_socket_is_not_active_any_more() {
    for http in BOTH {
        let sockets = Sockets::new();
        let app = logging(&Log::default(), &sockets, Duration::ZERO);
        let mut peer = Peer::open(http, app, 64 * KIB).await;
        peer.close(1000, "").await;
        peer.expect_close_code(1000).await;
        peer.expect_end().await;
        assert_eq!(sockets.active(), 0, "{http:?}");
        let clock = Clock::start();
        let drained = soon(sockets.drain(Drain::new())).await.unwrap();
        clock.assert(secs(1)..=secs(1));
        assert_eq!((drained.closed, drained.aborted), (1, 0), "{http:?}");
        peer.dropped().await;
        clock.assert(secs(1)..=secs(1));
    }
}

/// The end does not wait for an endpoint that goes on, and that keeps its permit until it returns.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_still_runs_keeps_its_slot_and_holds_nothing_up() {
    for http in BOTH {
        let sockets = Sockets::new();
        let app = logging(&Log::default(), &sockets, secs(5));
        let mut peer = Peer::open(http, app, 64 * KIB).await;
        let clock = Clock::start();
        peer.close(1000, "").await;
        peer.expect_close_code(1000).await;
        peer.expect_end().await;
        clock.assert(Duration::ZERO..=Duration::ZERO);
        peer.dropped().await;
        clock.assert(secs(1)..=secs(1));
        sleep(Duration::from_millis(3900)).await;
        assert_eq!(sockets.active(), 1, "{http:?}");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(sockets.active(), 0, "{http:?}");
    }
}

/// By a violation and by an endpoint's close as well.
#[tokio::test(start_paused = true)]
async fn whatever_ends_the_socket() {
    for http in BOTH {
        let sockets = Sockets::new();
        let app = logging(&Log::default(), &sockets, Duration::ZERO);
        let mut peer = Peer::open(http, app, 64 * KIB).await;
        peer.send(TEXT, b"\xff").await;
        peer.expect_close_code(1007).await;
        peer.expect_end().await;
        assert_eq!(sockets.active(), 0, "{http:?}");
    }
}

/// Over HTTP/2 a peer without window keeps END_STREAM from going out. The socket has ended all the same; its transport is
/// dropped 10 s later.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_end_holds_only_the_transport_and_for_10_s() {
    const WINDOW: usize = 16 * KIB;
    const HEADER: usize = 4;

    let (inner, mut ends) = endpoint(|mut socket: WebSocket| async move {
        // The window is used up by the message. hyper takes the Close, which counts as written.
        socket.send(vec![7; WINDOW - HEADER]).await.unwrap();
        socket.close(4000, "").await.unwrap();
    });
    let sockets = Sockets::new();
    let app = upgraded(UpgradeLayer::new().sockets(&sockets).layer(inner));
    let mut peer = Peer::open(Http::Two, app, WINDOW).await;
    settle().await;
    peer.close(4000, "").await;
    let clock = Clock::start();
    let closed = ends.next().await;
    assert!(closed.is_clean());
    clock.assert(Duration::ZERO..=Duration::ZERO);
    settle().await;
    assert_eq!(sockets.active(), 0);
    soon(sockets.drain(Drain::new())).await.unwrap();
    clock.assert(secs(10)..=secs(10));
}
