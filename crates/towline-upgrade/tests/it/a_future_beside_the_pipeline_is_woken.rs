//! A pipeline may share its task with a future that uses the socket: an executor may join pipelines, a test may join one with
//! its consumer. Both then have the same waker, but the driver polls only the pipeline's own future.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::Response;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::Layer;
use towline_core::{CloseCode, Receiver, Sender, WebSocketUpgrade};
use towline_testing::{Clock, NEVER, PING, PONG, Peer, soon};
use towline_upgrade::{Drain, Sockets, UpgradeLayer};

use crate::support::{AnyPipeline, HandOver, once, respond, serve, without_spinning};

/// More than the send queue and the duplex of the test take.
const LARGE: usize = 256 * 1024;

/// An open socket whose pipeline is polled by the test.
struct Open {
    peer: Peer,
    sender: Sender,
    receiver: Receiver,
    sockets: Sockets,
    pipeline: AnyPipeline,
}

async fn open() -> Open {
    let (hand_over, mut pipelines) = HandOver::new();
    let (give, given) = oneshot::channel();
    let (service, _ended) = once(move |request| {
        let upgrade = WebSocketUpgrade::of(&request).expect("an offer");
        async move {
            let socket = upgrade.accept().await.expect("a connection");
            let closed = socket.closed();
            let _ = give.send(socket.split());
            Ok::<Response<String>, _>(respond(Ok(closed.await)))
        }
    });
    let sockets = Sockets::new();
    let layer = UpgradeLayer::new().executor(hand_over).sockets(&sockets);
    let peer = serve(layer.layer(service)).open().await;
    let mut pipeline = pipelines.recv().await.expect("a pipeline");
    let given = soon(async {
        tokio::select! {
            halves = given => halves,
            () = &mut pipeline => panic!("the pipeline ended"),
        }
    });
    let (sender, receiver) = given.await.expect("a socket");
    Open {
        peer,
        sender,
        receiver,
        sockets,
        pipeline,
    }
}

/// Polls `beside` and then the pipeline in one task until `beside` is ready, while the peer does its part in another.
async fn run_beside(
    beside: impl Future<Output = ()>,
    pipeline: impl Future<Output = ()> + Unpin,
    peer: impl Future<Output = ()> + Send + 'static,
) {
    tokio::spawn(peer);
    let clock = Clock::start();
    match soon(select(pin!(beside), pipeline)).await {
        Either::Left(((), _pipeline)) => {}
        Either::Right(_) => panic!("the pipeline ended first"),
    }
    // A lost wake-up is made up for when the next timer fires.
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn when_a_message_comes() {
    let mut open = open().await;
    let receive = async move {
        assert_eq!(open.receiver.recv().await, Some("message".into()));
    };
    run_beside(receive, open.pipeline, async move {
        open.peer.text("message").await;
        while open.peer.frame().await.is_some() {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_there_is_room_to_send() {
    let mut open = open().await;
    let send = async move {
        open.sender.send(vec![b'x'; LARGE]).await.unwrap();
        open.sender.send("there is room").await.unwrap();
    };
    run_beside(send, open.pipeline, async move {
        while open.peer.frame().await.is_some() {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_all_is_written() {
    let mut open = open().await;
    let send = async move {
        open.sender.send(vec![b'x'; LARGE]).await.unwrap();
        open.sender.flush().await.unwrap();
    };
    run_beside(send, open.pipeline, async move {
        while open.peer.frame().await.is_some() {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_a_pong_comes() {
    let mut open = open().await;
    let ping = async move {
        open.sender.ping().await.unwrap();
    };
    run_beside(ping, open.pipeline, async move {
        let (opcode, payload) = open.peer.frame().await.expect("a ping");
        assert_eq!(opcode, PING);
        open.peer.send(PONG, payload).await;
        while open.peer.frame().await.is_some() {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_a_drain_begins_and_when_the_socket_has_ended() {
    let open = open().await;
    let (receiver, sockets) = (open.receiver, open.sockets);
    let wait = async move {
        receiver.draining().await;
        let closed = receiver.closed().await;
        assert_eq!(closed.code(), CloseCode::GOING_AWAY);
    };
    let mut peer = open.peer;
    run_beside(wait, open.pipeline, async move {
        tokio::spawn(async move { sockets.drain(Drain::new()).await });
        peer.expect_close(1001, "").await;
        peer.close(1001, "").await;
        peer.expect_end().await;
    })
    .await;
}

/// Its poll wakes a driver only if that has something to tell: in one task the two would wake each other without end.
#[tokio::test(start_paused = true)]
async fn when_nothing_is_written_it_sleeps() {
    let open = open().await;
    let (_peer, receiver) = (open.peer, open.receiver);
    let flush = async move {
        // The transport takes most of it.
        open.sender.send(vec![b'x'; 100 * 1024]).await.unwrap();
        assert!(
            timeout(NEVER, without_spinning(open.sender.flush()))
                .await
                .is_err()
        );
        drop(receiver);
    };
    let flush = pin!(flush);
    assert!(matches!(
        select(flush, open.pipeline).await,
        Either::Left(_)
    ));
}
