//! Messages that a peer sends before it has seen our Close are delivered to an endpoint that goes on receiving, until the
//! peer's own Close or the close timeout. Sends fail, since nothing follows a Close. The delivered messages are always a
//! prefix of those sent.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower::util::BoxCloneService;
use towline::keepalive::KeepAlive;
use towline::{Closed, ClosedBy, Control, Drain, Message, Sockets, UpgradeLayer, WebSocket};
use towline_testing::memory::{App, Ends, endpoint, under, upgraded};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{
    BINARY, CLOSE, Clock, KIB, MIB, TEXT, close_body, frame, next, secs, settle,
};

const ROOM: usize = 64 * KIB;

/// As many messages as wait for an endpoint.
const FULL: usize = 64;

/// A close that is not the owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Drain,
    Lifetime,
    Idle,
    /// By a `Control` elsewhere.
    Kick,
}

const ALL: [By; 4] = [By::Drain, By::Lifetime, By::Idle, By::Kick];

/// A report of the endpoint.
#[derive(Debug, PartialEq)]
enum Told {
    /// It has received this; whether it could send.
    Received(Message, bool),
    /// There is no more, so long after the socket was opened.
    Over(Duration),
}

/// An endpoint that receives, with a pause after each message, and the means to end it and to watch it.
struct Receiving {
    app: App,
    ends: Ends,
    sockets: Sockets,
    controls: mpsc::UnboundedReceiver<Control>,
    told: mpsc::UnboundedReceiver<Told>,
}

fn receiving(by: By, pause: impl Fn(usize) -> Duration + Clone + Send + 'static) -> Receiving {
    let (control, controls) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let (app, ends) = endpoint(move |mut socket: WebSocket| {
        let (control, tell, pause) = (control.clone(), tell.clone(), pause.clone());
        async move {
            let opened = Instant::now();
            control.send(socket.control()).unwrap();
            let mut count = 0;
            while let Some(message) = socket.recv().await {
                let sent = socket.try_send("an answer").is_ok();
                tell.send(Told::Received(message, sent)).unwrap();
                let pause = pause(count);
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                count += 1;
            }
            tell.send(Told::Over(opened.elapsed())).unwrap();
        }
    });
    let keep_alive = match by {
        By::Lifetime => Some(KeepAlive::new().max_lifetime(secs(5))),
        By::Idle => Some(KeepAlive::new().idle_timeout(secs(5))),
        By::Drain | By::Kick => None,
    };
    let app = match keep_alive {
        Some(keep_alive) => BoxCloneService::new(keep_alive.layer().unwrap().layer(app)),
        None => app,
    };
    let sockets = Sockets::new();
    Receiving {
        app: upgraded(UpgradeLayer::new().sockets(&sockets).layer(app)),
        ends,
        sockets,
        controls,
        told,
    }
}

impl Receiving {
    /// Our Close is queued when this returns, and written if the peer takes it.
    async fn close(&mut self, by: By) {
        match by {
            By::Drain => {
                let sockets = self.sockets.clone();
                tokio::spawn(async move { sockets.drain(Drain::new()).await });
            }
            By::Kick => {
                let control = next(&mut self.controls).await;
                control.close(4001, "kicked").unwrap();
            }
            // Up to a tenth earlier for the lifetime.
            By::Lifetime | By::Idle => sleep(secs(6)).await,
        }
        settle().await;
    }
}

fn code(by: By) -> u16 {
    match by {
        By::Drain | By::Lifetime | By::Idle => 1001,
        By::Kick => 4001,
    }
}

fn assert_clean(closed: &Closed, by: By, row: &str) {
    let closed_by = match by {
        By::Drain => ClosedBy::Drain,
        By::Lifetime | By::Idle => ClosedBy::Policy,
        By::Kick => ClosedBy::Endpoint,
    };
    let summary = (closed.by(), closed.code().into(), closed.is_clean());
    assert_eq!(summary, (closed_by, code(by), true), "{row}");
}

fn numbered(number: usize) -> Vec<u8> {
    frame(TEXT, number.to_string())
}

fn all_numbered(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(numbered).collect()
}

/// The endpoint receives so many, in order, and cannot send; then it is over.
async fn assert_received(
    told: &mut mpsc::UnboundedReceiver<Told>,
    count: usize,
    row: &str,
) -> Duration {
    let mut received = 0;
    loop {
        match next(told).await {
            Told::Received(message, sent) => {
                assert_eq!(message, received.to_string().into(), "{row}");
                assert!(!sent, "a message went out after our Close, {row}");
                received += 1;
            }
            Told::Over(after) => {
                assert_eq!(received, count, "messages received, {row}");
                return after;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn to_an_endpoint_that_goes_on_receiving() {
    for http in BOTH {
        for by in ALL {
            let row = format!("{http:?} {by:?}");
            let mut server = receiving(by, |_| Duration::ZERO);
            let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
            server.close(by).await;
            // It has not read our Close.
            peer.write(all_numbered(0..5)).await;
            sleep(secs(1)).await;
            peer.write(all_numbered(5..10)).await;
            peer.expect_close_code(code(by)).await;
            peer.close(code(by), "").await;
            peer.expect_end().await;
            assert_received(&mut server.told, 10, &row).await;
            let closed = server.ends.next().await;
            assert_clean(&closed, by, &row);
            assert_eq!(closed.messages_received(), 10, "{row}");
            // `closed.messages_dropped()` is to be 0 here.
        }
    }
}

/// Also while our Close is queued and the peer takes nothing.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn while_our_close_is_not_written_yet() {
    for http in BOTH {
        let (controls, mut control) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let (app, mut ends) = endpoint(move |mut socket: WebSocket| {
            let (controls, tell) = (controls.clone(), tell.clone());
            async move {
                controls.send(socket.control()).unwrap();
                socket.send(vec![7; MIB]).await.unwrap();
                while let Some(message) = socket.recv().await {
                    tell.send(message).unwrap();
                }
            }
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        settle().await;
        next(&mut control).await.close(4001, "kicked").unwrap();
        settle().await;
        for number in 0..5 {
            peer.write(numbered(number)).await;
            settle().await;
            // At once, not when the peer has read.
            let received = told.try_recv();
            assert_eq!(received.ok(), Some(number.to_string().into()), "{http:?}");
        }
        peer.expect(BINARY, vec![7; MIB]).await;
        peer.expect_close_code(4001).await;
        peer.close(4001, "").await;
        peer.expect_end().await;
        assert_clean(&ends.next().await, By::Kick, &format!("{http:?}"));
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: receiving ends when our Close is queued"]
async fn receiving_ends_with_the_peers_close() {
    for http in BOTH {
        let mut server = receiving(By::Kick, |_| Duration::ZERO);
        let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
        server.close(By::Kick).await;
        peer.expect_close_code(4001).await;
        sleep(secs(5)).await;
        peer.close(4001, "").await;
        let after = assert_received(&mut server.told, 0, "").await;
        assert!((secs(5)..secs(6)).contains(&after), "{http:?}: {after:?}");
        assert_clean(&server.ends.next().await, By::Kick, "");
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: receiving ends when our Close is queued"]
async fn receiving_ends_with_the_close_timeout() {
    for http in BOTH {
        let mut server = receiving(By::Kick, |_| Duration::ZERO);
        let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
        let clock = Clock::start();
        server.close(By::Kick).await;
        peer.expect_close_code(4001).await;
        for number in 0..9 {
            sleep(secs(1)).await;
            peer.write(numbered(number)).await;
        }
        let after = assert_received(&mut server.told, 9, "").await;
        assert!((secs(10)..secs(11)).contains(&after), "{http:?}: {after:?}");
        clock.assert(secs(10)..=secs(10));
        assert!(!server.ends.next().await.is_clean());
    }
}

/// The peer's violation and the end of its input end only the receiving: our Close stands, and there is no second.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn a_violation_or_the_end_of_input_ends_only_the_receiving() {
    for http in BOTH {
        for violation in [true, false] {
            let row = format!("{http:?}, violation: {violation}");
            let mut server = receiving(By::Kick, |_| Duration::ZERO);
            let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
            server.close(By::Kick).await;
            let clock = Clock::start();
            if violation {
                peer.write([all_numbered(0..3), frame(TEXT, b"\xff")].concat())
                    .await;
            } else {
                peer.write(all_numbered(0..3)).await;
                peer.half_close().await;
            }
            peer.expect(CLOSE, close_body(4001, "kicked")).await;
            peer.expect_end().await;
            assert_received(&mut server.told, 3, &row).await;
            let closed = server.ends.next().await;
            clock.assert(Duration::ZERO..=Duration::ZERO);
            let summary = (closed.by(), closed.code().into(), closed.is_clean());
            assert_eq!(summary, (ClosedBy::Endpoint, 4001_u16, false), "{row}");
        }
    }
}

/// An endpoint that takes them one by one has as long as the peer's Close is not read; more than wait at a time stay
/// with the peer meanwhile.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn to_an_endpoint_that_takes_its_time() {
    for http in BOTH {
        let mut server = receiving(By::Drain, |_| Duration::from_millis(50));
        let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
        server.close(By::Drain).await;
        peer.write([all_numbered(0..150), frame(CLOSE, close_body(1001, ""))].concat())
            .await;
        assert_received(&mut server.told, 150, &format!("{http:?}")).await;
        assert_clean(&server.ends.next().await, By::Drain, "");
    }
}

/// A queue that is full, and of which nothing is taken for 1 s, ends the delivery: reading stops for no longer than that
/// before the peer's Close. The messages in the queue are still delivered, and none after a gap.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn a_full_queue_ends_delivery_after_1_s() {
    for http in BOTH {
        for by in [By::Drain, By::Kick] {
            let row = format!("{http:?} {by:?}");
            // The pause is after the first message, which comes before our Close.
            let first = |count| if count == 0 { secs(5) } else { Duration::ZERO };
            let mut server = receiving(by, first);
            let mut peer = Peer::open(http, server.app.clone(), ROOM).await;
            peer.send(TEXT, "first").await;
            let told = next(&mut server.told).await;
            assert_eq!(told, Told::Received("first".into(), true));
            server.close(by).await;
            peer.write([all_numbered(0..150), frame(CLOSE, close_body(code(by), ""))].concat())
                .await;
            let clock = Clock::start();
            let closed = server.ends.next().await;
            clock.assert(secs(1)..=secs(1));
            assert_clean(&closed, by, &row);
            // `closed.messages_dropped()` is to be `150 - FULL` here.
            assert_received(&mut server.told, FULL, &row).await;
        }
    }
}

/// Messages after the owner's drop are dropped, also when the socket was closing before.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped from the first message on"]
async fn until_the_owner_drops_the_socket() {
    for http in BOTH {
        let (controls, mut control) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let (app, mut ends) = endpoint(move |mut socket: WebSocket| {
            let (controls, tell) = (controls.clone(), tell.clone());
            async move {
                controls.send(socket.control()).unwrap();
                for _ in 0..3 {
                    tell.send(socket.recv().await).unwrap();
                }
            }
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        settle().await;
        next(&mut control).await.close(4001, "kicked").unwrap();
        settle().await;
        let clock = Clock::start();
        peer.write([all_numbered(0..150), frame(CLOSE, close_body(4001, ""))].concat())
            .await;
        for number in 0..3 {
            let expected = Some(Message::from(number.to_string()));
            assert_eq!(next(&mut told).await, expected, "{http:?}");
        }
        // `closed.messages_dropped()` is to be 147 here.
        assert_clean(&ends.next().await, By::Kick, &format!("{http:?}"));
        clock.assert(Duration::ZERO..=Duration::ZERO);
    }
}

/// An owner that has called its own `close` or `discard` gets nothing that comes after that.
#[tokio::test(start_paused = true)]
async fn not_to_an_owner_that_closes_or_discards() {
    for http in BOTH {
        for discards in [false, true] {
            let row = format!("{http:?}, discards: {discards}");
            let (tell, mut told) = mpsc::unbounded_channel();
            let (app, mut ends) = endpoint(move |mut socket: WebSocket| {
                let tell = tell.clone();
                async move {
                    assert_eq!(socket.recv().await, Some("0".into()));
                    let closed = socket.closed();
                    let mut receiver = if discards {
                        let (_, mut receiver) = socket.split();
                        assert!(receiver.discard().now_or_never().is_none());
                        receiver.control().close(4001, "").unwrap();
                        receiver
                    } else {
                        assert!(socket.close(4001, "").now_or_never().is_none());
                        socket.split().1
                    };
                    closed.await;
                    while let Some(message) = receiver.recv().await {
                        tell.send(Some(message)).unwrap();
                    }
                    tell.send(None).unwrap();
                }
            });
            let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
            peer.write(all_numbered(0..3)).await;
            peer.expect_close_code(4001).await;
            peer.write(all_numbered(3..150)).await;
            peer.close(4001, "").await;
            peer.expect_end().await;
            assert_clean(&ends.next().await, By::Kick, &row);
            let mut number = 1;
            while let Some(message) = next(&mut told).await {
                // Read ahead before the close, perhaps; still there after it.
                assert_eq!(message, number.to_string().into(), "{row}");
                assert!(number < 3 && !discards, "{row}");
                number += 1;
            }
        }
    }
}
