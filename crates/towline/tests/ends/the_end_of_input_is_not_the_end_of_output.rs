//! A peer that has sent FIN or END_STREAM still reads. Queued messages and the endpoint's answers to earlier messages go
//! out, within bounds.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;
use towline::{Closed, ClosedBy, UpgradeLayer, WebSocket};
use towline_testing::memory::{endpoint, under};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{
    BINARY, CLOSE, Clock, Http, KIB, MIB, TEXT, close_body, frame, secs, settle,
};

const ROOM: usize = 16 * KIB;

/// RFC 6455, 7.1.5: "If _The WebSocket Connection is Closed_ and no Close control frame was received by the endpoint […],
/// _The WebSocket Connection Close Code_ is considered to be 1006." That holds whatever Close we still write.
fn assert_lost(closed: &Closed, http: Http) {
    let summary = (closed.by(), closed.code().into(), closed.is_clean());
    assert_eq!(summary, (ClosedBy::Transport, 1006_u16, false), "{http:?}");
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops what is queued for it"]
async fn queued_messages_go_out() {
    for http in BOTH {
        let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
            socket.send(vec![7; 4 * ROOM]).await.unwrap();
            socket.send("last").await.unwrap();
            while socket.recv().await.is_some() {}
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        settle().await;
        peer.half_close().await;
        sleep(secs(1) / 2).await;
        peer.expect(BINARY, vec![7; 4 * ROOM]).await;
        peer.expect(TEXT, "last").await;
        peer.expect(CLOSE, close_body(1000, "")).await;
        peer.expect_end().await;
        assert_lost(&ends.next().await, http);
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops what the endpoint answers to messages before it"]
async fn messages_from_before_it_are_answered() {
    for http in BOTH {
        let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
            while let Some(message) = socket.recv().await {
                // Longer than nothing at all, and each within a second of the last.
                sleep(Duration::from_millis(700)).await;
                socket.send(message).await.unwrap();
            }
            socket.send("summary").await.unwrap();
            socket.close(4000, "answered").await.unwrap();
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        let words = ["one", "two", "three", "four"];
        peer.write(words.map(|word| frame(TEXT, word)).concat())
            .await;
        peer.half_close().await;
        let clock = Clock::start();
        for word in words {
            peer.expect(TEXT, word).await;
        }
        peer.expect(TEXT, "summary").await;
        peer.expect(CLOSE, close_body(4000, "answered")).await;
        peer.expect_end().await;
        let end = Duration::from_millis(4 * 700);
        clock.assert(end..=end);
        assert_lost(&ends.next().await, http);
        clock.assert(end..=end);
    }
}

/// More of them than wait for an endpoint at a time: they are read as they are taken.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops what the endpoint answers to messages before it"]
async fn however_many_they_are() {
    const MANY: usize = 500;

    for http in BOTH {
        let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
            while let Some(message) = socket.recv().await {
                sleep(Duration::from_millis(10)).await;
                socket.send(message).await.unwrap();
            }
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        peer.write(frame(TEXT, "many").repeat(MANY)).await;
        peer.half_close().await;
        for _ in 0..MANY {
            peer.expect(TEXT, "many").await;
        }
        peer.expect(CLOSE, close_body(1000, "")).await;
        peer.expect_end().await;
        let closed = ends.next().await;
        assert_lost(&closed, http);
        assert_eq!(closed.messages_sent(), MANY as u64);
    }
}

/// An endpoint that does nothing more has 1 s; then we close with 1000 for it.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops the connection without a Close"]
async fn an_endpoint_that_does_nothing_has_1_s() {
    for http in BOTH {
        let (app, mut ends) = endpoint(|socket: WebSocket| async move {
            pending::<()>().await;
            drop(socket);
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        let clock = Clock::start();
        peer.half_close().await;
        peer.expect(CLOSE, close_body(1000, "")).await;
        clock.assert(secs(1)..=secs(1));
        peer.expect_end().await;
        assert_lost(&ends.next().await, http);
        // Nothing is left to wait for.
        if http == Http::One {
            peer.dropped().await;
        }
        clock.assert(secs(1)..=secs(1));
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops the connection without a Close"]
async fn an_endpoint_that_only_sends_has_10_s() {
    for http in BOTH {
        let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
            while socket.send("tick").await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        peer.expect(TEXT, "tick").await;
        let clock = Clock::start();
        peer.half_close().await;
        loop {
            match peer.frame().await {
                Some((TEXT, payload)) => assert_eq!(payload, b"tick"),
                other => break assert_eq!(other, Some((CLOSE, close_body(1000, "")))),
            }
        }
        clock.assert(secs(10)..=secs(10));
        assert_lost(&ends.next().await, http);
    }
}

/// A peer that reads slowly has 60 s for what is queued, and 60 s more for the Close.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6a: the end of the peer's input drops what is queued for it"]
async fn a_peer_that_reads_slowly_is_given_up_after_120_s() {
    let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
        socket.send(vec![7; MIB]).await.unwrap();
        pending::<()>().await;
    });
    let mut peer = Peer::open(Http::One, under(UpgradeLayer::new(), app), ROOM).await;
    settle().await;
    let clock = Clock::start();
    peer.half_close().await;
    let reading = tokio::spawn(async move { peer.trickle(1, Duration::from_millis(900)).await });
    let closed = tokio::time::timeout(secs(600), ends.next()).await;
    reading.abort();
    assert_lost(
        &closed.expect("the socket is still open after 600 s"),
        Http::One,
    );
    clock.assert(secs(120)..=secs(120));
}

/// With a Close before it, the end of the input changes nothing.
#[tokio::test(start_paused = true)]
async fn a_close_before_it_is_answered() {
    for http in BOTH {
        let (app, mut ends) = endpoint(|mut socket: WebSocket| async move {
            while let Some(message) = socket.recv().await {
                sleep(Duration::from_millis(700)).await;
                socket.send(message).await.unwrap();
            }
        });
        let mut peer = Peer::open(http, under(UpgradeLayer::new(), app), ROOM).await;
        let packet = [frame(TEXT, "last"), frame(CLOSE, close_body(4001, ""))];
        peer.write(packet.concat()).await;
        peer.half_close().await;
        peer.expect(TEXT, "last").await;
        peer.expect(CLOSE, close_body(4001, "")).await;
        peer.expect_end().await;
        let closed = ends.next().await;
        let summary = (closed.by(), closed.code().into(), closed.is_clean());
        assert_eq!(summary, (ClosedBy::Peer, 4001_u16, true), "{http:?}");
    }
}
