//! Pings are answered, closes noticed and bytes moved whatever the endpoint is doing.

use std::time::Duration;

use futures_util::SinkExt;
use tower::Layer;
use towline_core::{ClosedBy, Message, SendError, WebSocket, WebSocketUpgrade};
use towline_testing::{
    BINARY, CONTINUATION, Clock, FIN, HANDSHAKE, NEVER, PING, PONG, TEXT, frame, settle,
};
use towline_upgrade::UpgradeLayer;

use crate::support::{echo, once, open_served, respond, serve, without_spinning};

/// An endpoint that holds the socket and does something else.
async fn busy(_socket: WebSocket) {
    tokio::time::sleep(NEVER).await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_endpoint_sleeps() {
    let (mut peer, _ended) = open_served(busy).await;
    let clock = Clock::start();
    for payload in ["one", "", "three"] {
        peer.send(PING, payload).await;
        peer.expect(PONG, payload).await;
    }
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pings_of_one_packet_are_answered_in_order() {
    let (mut peer, _ended) = open_served(busy).await;
    peer.write([frame(PING, "one"), frame(PING, "two")].concat())
        .await;
    peer.expect(PONG, "one").await;
    peer.expect(PONG, "two").await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_between_fragments_does_not_harm_the_message() {
    let (mut peer, _ended) = open_served(echo).await;
    let first = frame(TEXT & !FIN, "to");
    let second = frame(CONTINUATION, "gether");
    peer.write([first, frame(PING, "between"), second].concat())
        .await;
    peer.expect(PONG, "between").await;
    peer.expect_text("together").await;
}

/// Asked for while another is under way, a ping leaves behind the answer to that.
#[tokio::test(start_paused = true)]
async fn one_ping_follows_the_other() {
    let (mut peer, _ended) = open_served(|socket| async move {
        let (sender, _receiver) = socket.split();
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.ping().await
        };
        let (first, second) = tokio::join!(sender.ping(), later);
        assert_eq!(first.unwrap().as_secs(), 3);
        second.unwrap();
    })
    .await;
    let (opcode, first) = peer.frame().await.unwrap();
    assert_eq!(opcode, PING);
    tokio::time::sleep(Duration::from_secs(3)).await;
    peer.send(PONG, &first).await;
    let (opcode, second) = peer.frame().await.unwrap();
    assert_eq!(opcode, PING);
    assert_ne!(first, second);
    peer.send(PONG, &second).await;
    peer.expect_close(1000, "").await;
}

#[tokio::test(start_paused = true)]
async fn an_unasked_pong_is_nobodys_business() {
    let (mut peer, ended) = open_served(echo).await;
    peer.send(PONG, "unasked").await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    assert_eq!(ended.closed().await.messages_received(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_noticed_while_the_endpoint_sleeps() {
    let (service, ended) = once(|request| async move {
        let socket = WebSocketUpgrade::of(&request)?.accept().await?;
        let closed = socket.closed();
        let clock = Clock::start();
        let closed = closed.await;
        clock.assert_about(Duration::ZERO);
        drop(socket);
        Ok(respond(Ok(closed)))
    });
    let peer = serve(UpgradeLayer::new().layer(service)).open().await;
    drop(peer);
    assert_eq!(ended.closed().await.by(), ClosedBy::Transport);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_goes_out_while_the_endpoint_sleeps() {
    let (mut peer, _ended) = open_served(|mut socket| async move {
        socket.send("without a flush").await.unwrap();
        busy(socket).await;
    })
    .await;
    let clock = Clock::start();
    peer.expect_text("without a flush").await;
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_frame_in_the_packet_of_the_handshake_is_not_lost() {
    let (service, _ended) = once(|request| async move {
        // Long after it was read.
        settle().await;
        Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await))
    });
    let packet = [
        HANDSHAKE.as_bytes(),
        &frame(TEXT, "early"),
        &frame(TEXT, "birds"),
    ]
    .concat();
    let (reply, mut peer) = serve(UpgradeLayer::new().layer(service))
        .request(packet)
        .await;
    assert_eq!(reply.status, 101);
    peer.expect_text("early").await;
    peer.expect_text("birds").await;
}

#[tokio::test(start_paused = true)]
async fn a_byte_at_a_time_is_enough() {
    let (mut peer, _ended) = open_served(echo).await;
    for byte in frame(TEXT, "slowly") {
        peer.write([byte]).await;
        settle().await;
    }
    peer.expect_text("slowly").await;
}

/// A prototype hung here: nobody polled the endpoint again after its message was written.
#[tokio::test(start_paused = true)]
async fn an_echo_whose_client_reads_late_does_not_hang() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        let message = vec![7; 70_000];
        assert!(socket.recv().await.is_some());
        for _ in 0..200 {
            socket.send(message.clone()).await.unwrap();
        }
    })
    .await;
    peer.text("go").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..200 {
        let (opcode, payload) = peer.frame().await.unwrap();
        assert_eq!((opcode, payload.len()), (BINARY, 70_000));
    }
    peer.expect_close(1000, "").await;
    peer.close(1000, "").await;
    assert_eq!(ended.closed().await.bytes_sent(), 200 * 70_000);
}

/// Its mirror: the second message waits decoded, and no read will come that wakes anybody.
#[tokio::test(start_paused = true)]
async fn two_messages_of_one_packet_reach_an_endpoint_that_sleeps_between_them() {
    let (mut peer, _ended) = open_served(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
            socket.send(message).await.unwrap();
        }
    })
    .await;
    peer.write([frame(TEXT, "one"), frame(TEXT, "two")].concat())
        .await;
    peer.expect_text("one").await;
    peer.expect_text("two").await;
}

/// More than the inbox holds: the rest waits in the transport, and all of it arrives.
#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_backpressure() {
    const MESSAGES: u64 = 300;
    let (mut peer, ended) = open_served(|mut socket| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut expected = 0;
        while let Some(message) = socket.recv().await {
            let Message::Binary(bytes) = message else {
                panic!("binary was sent");
            };
            assert_eq!(bytes, vec![expected as u8; 1000]);
            expected += 1;
        }
        assert_eq!(expected, MESSAGES);
    })
    .await;
    let clock = Clock::start();
    for number in 0..MESSAGES {
        peer.send(BINARY, vec![number as u8; 1000]).await;
    }
    clock.assert_about(Duration::from_secs(60));
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert_eq!(ended.closed().await.messages_received(), MESSAGES);
}

/// An endpoint that wakes itself whenever it is polled must not keep the driver from its work.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_waits_starves_nobody() {
    let (mut peer, _ended) = open_served(|socket| async move {
        // The clock stands still meanwhile: there is always work.
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
        }
        drop(socket);
    })
    .await;
    peer.send(PING, "still there?").await;
    peer.expect(PONG, "still there?").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_discarded_counts_once() {
    let (mut peer, ended) = open_served(|socket: WebSocket| async move {
        let (_sender, mut receiver) = socket.split();
        receiver.discard().await;
    })
    .await;
    // More than one round of the driver takes.
    peer.write(frame(TEXT, "x").repeat(1000)).await;
    peer.close(1000, "").await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.messages_received(), closed.bytes_received()),
        (1000, 1000)
    );
}

/// More than the transport takes, by less than the send queue's high-water mark.
const MORE: usize = 100 * 1024;

/// Otherwise driver and flushing task would wake each other until the peer reads.
#[tokio::test(start_paused = true)]
async fn a_flush_sleeps_while_the_peer_takes_no_byte_of_the_close() {
    let (_peer, ended) = open_served(|socket| async move {
        let (sender, receiver) = socket.split();
        sender.send(vec![0; MORE]).await.unwrap();
        sender.control().close(1000, "").unwrap();
        let flush = tokio::spawn(async move { without_spinning(sender.flush()).await });
        assert_eq!(flush.await.unwrap(), Err(SendError::Closed));
        drop(receiver);
    })
    .await;
    assert!(!ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_sink_sleeps_while_the_peer_takes_no_byte_of_the_close() {
    let (_peer, ended) = open_served(|mut socket| async move {
        let control = socket.control();
        socket.feed(vec![0; MORE].into()).await.unwrap();
        control.close(1000, "").unwrap();
        let flush = tokio::spawn(async move { without_spinning(socket.flush()).await });
        assert_eq!(flush.await.unwrap(), Err(SendError::Closed));
    })
    .await;
    assert!(!ended.closed().await.is_clean());
}
