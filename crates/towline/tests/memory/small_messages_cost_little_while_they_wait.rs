//! Small messages that wait to be written are held within a bound that counts what they really take up: at the default
//! settings, at most 256 KiB a socket.

use futures_util::future::join_all;
use tokio::time::timeout;
use towline::{Compression, Message, SendOptions, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::deflate::OFFER;
use towline_testing::memory::{App, endpoint_with, under};
use towline_testing::watched::Peer;
use towline_testing::{BINARY, Http, KIB, frame, secs};

use crate::heap::{Heap, alone_in_virtual_time};

/// The most that one socket may hold.
const MOST: usize = 256 * KIB;

/// The capacity of the transport. It is counted too, so it is small.
const ROOM: usize = KIB;

/// Echoes after a message that already fills the transport of a peer that never reads.
async fn echo(mut socket: WebSocket) {
    let plain = SendOptions::new().compress(false);
    if socket.send_with(vec![7; 2 * ROOM], plain).await.is_err() {
        return;
    }
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

fn app(compression: bool) -> App {
    let (app, _ends) = endpoint_with(echo, move |upgrade: WebSocketUpgrade| {
        upgrade.compression(compression.then(Compression::new))
    });
    under(UpgradeLayer::new(), app)
}

async fn open(compression: bool, room: usize) -> Peer {
    let offer = [("sec-websocket-extensions", OFFER)];
    let offer = if compression { &offer[..] } else { &[] };
    Peer::offering(Http::One, app(compression), room, offer).await
}

/// Sends messages of one byte until the server takes no more; how many it took.
async fn flood(peer: &mut Peer) -> usize {
    let messages = frame(BINARY, "x").repeat(50);
    let mut taken = 0;
    while let Ok(written) = timeout(secs(1), peer.try_write(&messages)).await {
        written.unwrap();
        taken += 50;
    }
    taken
}

fn assert_bounded(compression: bool) {
    /// Peers that never read.
    const PEERS: usize = 100;

    alone_in_virtual_time(async move {
        let mut peers = Vec::with_capacity(PEERS);
        for _ in 0..PEERS {
            peers.push(open(compression, ROOM).await);
        }
        let heap = Heap::now();
        let taken = join_all(peers.iter_mut().map(flood)).await;
        let each = heap.peak() / PEERS;
        // Some are taken, however much a message counts.
        assert!(taken.iter().all(|taken| *taken >= 500), "{taken:?}");
        assert!(
            each <= MOST,
            "{} KiB a socket, more than {} KiB, for {} messages of one byte",
            each / KIB,
            MOST / KIB,
            taken[0]
        );
    });
}

#[test]
#[ignore = "faults item 4a: with compression a message of one byte counts 3 bytes of the send queue and takes some 72"]
fn of_100_peers_that_never_read_with_compression() {
    assert_bounded(true);
}

#[test]
fn of_100_peers_that_never_read_without_compression() {
    assert_bounded(false);
}

/// All sockets share a thread and the buffers of its small messages, of which a message that waits must not keep any.
fn assert_bounded_beside_others(compression: bool) {
    const PEERS: usize = 4;
    /// Fewer than fill both queues, however much a message counts.
    const ROUNDS: usize = 500;

    alone_in_virtual_time(async move {
        let mut peers = Vec::with_capacity(PEERS);
        for _ in 0..PEERS {
            peers.push(open(compression, ROOM).await);
        }
        let mut busy = open(false, 64 * KIB).await;
        assert_eq!(busy.frame().await.unwrap().1.len(), 2 * ROOM);
        // More than one of the shared buffers.
        let others = Message::from(vec![7; 60]);
        let traffic = frame(BINARY, others.as_bytes()).repeat(100);
        let message = frame(BINARY, "x");
        let heap = Heap::now();
        for _ in 0..ROUNDS {
            for peer in &mut peers {
                peer.write(&message).await;
                busy.write(&traffic).await;
                for _ in 0..100 {
                    assert_eq!(busy.frame().await.unwrap().1.len(), others.len());
                }
            }
        }
        let each = heap.growth() / PEERS;
        assert!(
            each <= MOST,
            "{} KiB a socket, more than {} KiB, for {ROUNDS} messages of one byte",
            each / KIB,
            MOST / KIB
        );
    });
}

#[test]
#[ignore = "faults item 4a: with compression a small message that waits keeps a shared buffer of 4 KiB"]
fn beside_other_traffic_with_compression() {
    assert_bounded_beside_others(true);
}

#[test]
fn beside_other_traffic_without_compression() {
    assert_bounded_beside_others(false);
}

/// The peer of an endpoint that waits to send: its send queue is full, and so is its receive queue.
#[test]
#[ignore = "faults item 4a: a small message that waits for its endpoint keeps a shared buffer of 4 KiB"]
fn beside_other_traffic_in_the_receive_queue_too() {
    /// As many messages as wait for an endpoint.
    const FULL: usize = 64;

    async fn wait_to_send(mut socket: WebSocket) {
        while socket.send(vec![7; 32 * KIB]).await.is_ok() {}
    }
    alone_in_virtual_time(async {
        let (waiting, _ends) = endpoint_with(wait_to_send, |upgrade| upgrade);
        let app = under(UpgradeLayer::new(), waiting);
        let mut peer = Peer::open(Http::One, app, ROOM).await;
        let mut busy = open(false, 64 * KIB).await;
        assert_eq!(busy.frame().await.unwrap().1.len(), 2 * ROOM);
        let others = Message::from(vec![7; 60]);
        let traffic = frame(BINARY, others.as_bytes()).repeat(100);
        let message = frame(BINARY, "x");
        // The send queue is full by now: what it holds counts as well.
        let queued = 3 * 32 * KIB;
        let heap = Heap::now();
        for _ in 0..FULL {
            peer.write(&message).await;
            busy.write(&traffic).await;
            for _ in 0..100 {
                assert_eq!(busy.frame().await.unwrap().1.len(), others.len());
            }
        }
        let held = queued + heap.growth();
        assert!(
            held <= MOST,
            "{} KiB, more than {} KiB, with {FULL} messages of one byte",
            held / KIB,
            MOST / KIB
        );
    });
}
