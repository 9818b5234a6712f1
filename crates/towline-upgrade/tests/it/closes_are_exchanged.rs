//! The close handshake, and what `Closed` tells of it.

use std::time::Duration;

use http::Version;
use tower::Layer;
use towline_core::{Closed, ClosedBy, InvalidClose, Message, WebSocketUpgrade};
use towline_testing::{CLOSE, Clock, TEXT, close_body, frame, handshake_with, settle};
use towline_upgrade::UpgradeLayer;

use crate::support::{echo, once, open, open_served, respond, serve};

fn summary(closed: &Closed) -> (ClosedBy, u16, &str, bool) {
    let code = closed.code().into();
    (closed.by(), code, closed.reason(), closed.is_clean())
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_close_waits_for_its_answer() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        let closed = socket.close(4000, "bye").await.unwrap();
        assert_eq!(summary(&closed), (ClosedBy::Endpoint, 4000, "bye", true));
    })
    .await;
    let clock = Clock::start();
    peer.expect_close(4000, "bye").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    peer.close(4000, "").await;
    peer.expect_end().await;
    drop(peer);
    let closed = ended.closed().await;
    clock.assert_about(Duration::from_secs(3));
    assert_eq!(summary(&closed), (ClosedBy::Endpoint, 4000, "bye", true));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_close_is_an_error_and_sends_nothing() {
    let (mut peer, _ended) = open_served(|mut socket| async move {
        for code in [0, 999, 1004, 1005, 1006, 1010, 1015, 1016, 2999, 5000] {
            let error = socket.close(code, "").await.unwrap_err();
            assert_eq!(error, InvalidClose::Code(code.into()));
        }
        let error = socket.close(1000, "x".repeat(124)).await.unwrap_err();
        assert_eq!(error, InvalidClose::Reason("x".repeat(124)));
        socket.send("still open").await.unwrap();
        socket.close(1000, "x".repeat(123)).await.unwrap();
    })
    .await;
    peer.expect_text("still open").await;
    peer.expect_close(1000, &"x".repeat(123)).await;
}

#[tokio::test(start_paused = true)]
async fn the_peers_close_is_answered_with_its_code_and_no_reason() {
    for code in [1000, 1001, 1010, 3000, 4999] {
        let (mut peer, ended) = open_served(echo).await;
        peer.close(code, "of its own").await;
        peer.expect_close(code, "").await;
        peer.expect_end().await;
        let closed = ended.closed().await;
        assert_eq!(summary(&closed), (ClosedBy::Peer, code, "of its own", true));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_close_is_answered_with_an_empty_one() {
    let (mut peer, ended) = open_served(echo).await;
    peer.send(CLOSE, "").await;
    peer.expect(CLOSE, "").await;
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(summary(&closed), (ClosedBy::Peer, 1005, "", true));
}

#[tokio::test(start_paused = true)]
async fn a_message_before_the_close_in_one_packet_is_echoed() {
    let (mut peer, ended) = open_served(echo).await;
    let packet = [
        frame(TEXT, "last words"),
        frame(CLOSE, close_body(1000, "")),
    ]
    .concat();
    peer.write(packet).await;
    peer.expect_text("last words").await;
    peer.expect_close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_elsewhere_echoes_it_too() {
    let (mut peer, ended) = open(|upgrade| async {
        let socket = upgrade.accept().await.unwrap();
        let closed = socket.closed();
        tokio::spawn(echo(socket));
        closed.await.into()
    })
    .await;
    let packet = [
        frame(TEXT, "last words"),
        frame(CLOSE, close_body(1000, "")),
    ]
    .concat();
    peer.write(packet).await;
    peer.expect_text("last words").await;
    peer.expect_close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_behind_the_last_message_goes_out_before_the_answer() {
    let (mut peer, _ended) = open_served(|mut socket| async move {
        while socket.recv().await.is_some() {}
        socket.send("summary").await.unwrap();
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_text("summary").await;
    peer.expect_close(1000, "").await;
}

/// A close that waits for the last bytes to be written does not wait any longer.
#[tokio::test(start_paused = true)]
async fn the_answer_follows_what_the_peer_takes_late() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
        // It keeps its handle, which would close the socket at once.
        socket.closed().await;
    })
    .await;
    // More than the connection holds.
    let long = "x".repeat(100_000);
    peer.text(&long).await;
    peer.close(1000, "").await;
    settle().await;
    let clock = Clock::start();
    peer.expect_text(&long).await;
    peer.expect_close(1000, "").await;
    clock.assert_about(Duration::ZERO);
    drop(peer);
    assert!(ended.closed().await.is_clean());
}

/// The one half hands over to the other, which has to run once more before it can send.
#[tokio::test(start_paused = true)]
async fn halves_that_are_joined_answer_the_last_message() {
    let (mut peer, _ended) = open_served(|socket| async move {
        let (sender, mut receiver) = socket.split();
        let (inner, mut messages) = tokio::sync::mpsc::unbounded_channel();
        let write = async {
            while let Some(message) = messages.recv().await {
                sender.send(message).await.unwrap();
            }
        };
        let read = async move {
            while let Some(message) = receiver.recv().await {
                inner.send(message).unwrap();
            }
            receiver
        };
        futures_util::future::join(write, read).await;
    })
    .await;
    settle().await;
    let packet = [
        frame(TEXT, "last words"),
        frame(CLOSE, close_body(1000, "")),
    ]
    .concat();
    peer.write(packet).await;
    peer.expect_text("last words").await;
    peer.expect_close(1000, "").await;
}

#[tokio::test(start_paused = true)]
async fn messages_and_bytes_are_counted_each_way() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await.unwrap();
            socket.send(vec![0; 100]).await.unwrap();
        }
    })
    .await;
    for text in ["", "four", &"x".repeat(1000)] {
        peer.text(text).await;
        peer.expect_text(text).await;
        assert_eq!(peer.frame().await.unwrap().1.len(), 100);
    }
    peer.close(1000, "not counted").await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.messages_received(), closed.bytes_received()),
        (3, 1004)
    );
    assert_eq!((closed.messages_sent(), closed.bytes_sent()), (6, 1304));
}

#[tokio::test(start_paused = true)]
async fn the_duration_is_the_time_between_the_upgrade_and_the_end() {
    let (mut peer, ended) = open_served(echo).await;
    tokio::time::sleep(Duration::from_secs(42)).await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    let closed = ended.closed().await;
    assert_eq!(closed.duration().as_secs(), 42);
    assert_eq!(
        (closed.version(), closed.protocol()),
        (Version::HTTP_11, None)
    );
}

#[tokio::test(start_paused = true)]
async fn closed_tells_the_protocol() {
    let (service, ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?.protocols(["chat"]);
        Ok(respond(upgrade.serve(echo).await))
    });
    let request = handshake_with("sec-websocket-protocol: chat");
    let (_reply, mut peer) = serve(UpgradeLayer::new().layer(service))
        .request(request)
        .await;
    peer.close(1000, "").await;
    assert_eq!(ended.closed().await.protocol(), Some("chat"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_1006_by_the_transport() {
    let (mut peer, ended) = open_served(echo).await;
    peer.expect_echo().await;
    drop(peer);
    let closed = ended.closed().await;
    assert_eq!(summary(&closed), (ClosedBy::Transport, 1006, "", false));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_receive_learns_of_it_too() {
    let (peer, ended) = open(|upgrade| async {
        let socket = upgrade.accept().await.unwrap();
        socket.closed().await.into()
    })
    .await;
    drop(peer);
    assert_eq!(ended.closed().await.by(), ClosedBy::Transport);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_closes_with_1000_behind_what_is_queued() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        socket.send("one").await.unwrap();
        socket.send("two").await.unwrap();
    })
    .await;
    peer.expect_text("one").await;
    peer.expect_text("two").await;
    peer.expect_close(1000, "").await;
    peer.close(1000, "").await;
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(summary(&closed), (ClosedBy::Endpoint, 1000, "", true));
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_without_a_close() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        socket.recv().await;
        socket.send("never seen").await.unwrap();
        socket.abort();
        assert!(socket.send("neither").await.is_err());
        assert_eq!(socket.recv().await, None);
    })
    .await;
    peer.text("go").await;
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(summary(&closed), (ClosedBy::Endpoint, 1006, "", false));
}

#[tokio::test(start_paused = true)]
async fn the_first_close_of_an_endpoint_stands() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        let first = socket.close(4001, "first");
        // Queued by its first poll.
        tokio::select! { biased; _ = first => {}, () = std::future::ready(()) => {} }
        assert!(socket.send("too late").await.is_err());
        let closed = socket.close(4002, "second").await.unwrap();
        assert_eq!(summary(&closed), (ClosedBy::Endpoint, 4001, "first", true));
    })
    .await;
    peer.expect_close(4001, "first").await;
    peer.close(4001, "").await;
    peer.expect_end().await;
    assert_eq!(ended.closed().await.reason(), "first");
}

/// Each side closes before it sees the other's Close: what counts is our own, which went out first.
#[tokio::test(start_paused = true)]
async fn closes_may_cross() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        socket.close(4001, "ours").await.unwrap();
    })
    .await;
    peer.expect_close(4001, "ours").await;
    peer.text("on its way").await;
    peer.close(4002, "theirs").await;
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(summary(&closed), (ClosedBy::Endpoint, 4001, "ours", true));
}

/// RFC 6455, 5.5.1: the answer echoes the peer's code, whatever the endpoint closes with then.
#[tokio::test(start_paused = true)]
async fn a_close_behind_the_peers_is_its_answer() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        while socket.recv().await.is_some() {}
        let closed = socket.close(4001, "ours").await.unwrap();
        assert_eq!(summary(&closed), (ClosedBy::Peer, 4002, "theirs", true));
    })
    .await;
    peer.close(4002, "theirs").await;
    peer.expect_close(4002, "").await;
    peer.expect_end().await;
    assert_eq!(ended.closed().await.reason(), "theirs");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_ignores_the_peers_close_has_1_s() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(socket.recv().await, Some(Message::from("before")));
        assert_eq!(socket.recv().await, None);
        assert!(socket.send("too late").await.is_err());
    })
    .await;
    let clock = Clock::start();
    peer.text("before").await;
    peer.close(4000, "bye").await;
    peer.expect_close(4000, "").await;
    clock.assert_about(Duration::from_secs(1));
    peer.expect_end().await;
    let closed = ended.closed().await;
    clock.assert_about(Duration::from_secs(5));
    assert_eq!(summary(&closed), (ClosedBy::Peer, 4000, "bye", true));
}

/// Who drops what it receives answers nothing, however much it sends.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_discards_lets_the_peer_close_at_once() {
    let (mut peer, ended) = open_served(|socket| async move {
        let (sender, mut receiver) = socket.split();
        let tick = async {
            while sender.send("tick").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::join!(tick, receiver.discard());
    })
    .await;
    peer.expect_text("tick").await;
    let clock = Clock::start();
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    clock.assert_about(Duration::ZERO);
    drop(peer);
    assert!(ended.closed().await.is_clean());
}

/// Nor does who takes nothing and only sends, and the peer does not wait for ever.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_only_sends_lets_the_peer_close_in_time() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        while socket.send("tick").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    peer.expect_text("tick").await;
    let clock = Clock::start();
    peer.close(1000, "").await;
    loop {
        match peer.frame().await.expect("no Close") {
            (TEXT, payload) => assert_eq!(payload, b"tick"),
            (_, payload) => break assert_eq!(payload, 1000_u16.to_be_bytes()),
        }
    }
    clock.assert_about(Duration::from_secs(11));
    drop(peer);
    assert!(ended.closed().await.is_clean());
}

/// An endpoint that goes on answering what came before the Close has more time.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_its_messages_slowly_answers_them_all() {
    let (mut peer, _ended) = open_served(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            tokio::time::sleep(Duration::from_millis(700)).await;
            socket.send(message).await.unwrap();
        }
    })
    .await;
    let words = ["one", "two", "three", "four"];
    for word in words {
        peer.text(word).await;
    }
    peer.close(1000, "").await;
    for word in words {
        peer.expect_text(word).await;
    }
    peer.expect_close(1000, "").await;
}

/// After the end every handle knows: nothing is received, nothing is taken.
#[tokio::test(start_paused = true)]
async fn after_the_end_the_handle_gives_errors() {
    let (peer, ended) = open(|upgrade| async {
        let mut socket = upgrade.accept().await.unwrap();
        let closed = socket.closed().await;
        assert_eq!(socket.recv().await, None);
        assert!(socket.send("too late").await.is_err());
        assert_eq!(summary(&socket.closed().await), summary(&closed));
        assert_eq!(
            summary(&socket.close(4000, "").await.unwrap()),
            summary(&closed)
        );
        closed.into()
    })
    .await;
    drop(peer);
    assert_eq!(ended.closed().await.by(), ClosedBy::Transport);
    settle().await;
}
