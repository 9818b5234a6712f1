//! A drain ends every socket in good order: told, closed behind what was queued, and dropped at the deadline at the latest.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{Request, Response};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::{Layer, service_fn};
use towline_core::{
    Action, CloseCode, ClosedBy, Event, HandshakeErrorKind, InvalidClose, PolicyFactory,
    SocketPolicy, SocketState, WebSocket, WebSocketUpgrade,
};
use towline_testing::{CLOSE, Clock, HANDSHAKE, PING, PONG, Peer, Reply, settle, soon};
use towline_upgrade::{Drain, Drained, InvalidDrain, Sockets, UpgradeLayer};

use crate::support::{
    BoxError, End, Ended, echo, once, open_under, poll_once, refusal, respond, response, serve,
    serve_unanswered,
};

const SECOND: Duration = Duration::from_secs(1);

/// Opens a socket among `sockets` to a closure that is served by [`WebSocketUpgrade::serve`].
async fn open<F, Fut>(sockets: &Sockets, endpoint: F) -> (Peer, Ended)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let layer = UpgradeLayer::new().sockets(sockets);
    open_under(layer, |upgrade| upgrade.serve(endpoint).map(respond)).await
}

async fn drain(sockets: &Sockets, drain: Drain) -> (usize, usize) {
    let Drained {
        closed, aborted, ..
    } = soon(sockets.drain(drain)).await.unwrap();
    (closed, aborted)
}

/// A drain in a task of its own, which has begun.
async fn draining(sockets: &Sockets, with: Drain) -> JoinHandle<(usize, usize)> {
    let drained = sockets.clone();
    let task = tokio::spawn(async move { drain(&drained, with).await });
    settle().await;
    assert!(sockets.is_draining());
    task
}

#[tokio::test(start_paused = true)]
async fn none_is_drained_at_once() {
    let clock = Clock::start();
    assert_eq!(drain(&Sockets::new(), Drain::new()).await, (0, 0));
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_goes_before_the_close() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, |mut socket| async move {
        let mut number = 0;
        while socket.send(format!("{number:0500}")).await.is_ok() {
            number += 1;
        }
    })
    .await;
    assert_eq!(sockets.active(), 1);
    // All that the transport takes is written, and as much as may be is queued.
    settle().await;
    let task = draining(&sockets, Drain::new().reason("restarting")).await;
    let mut queued = 0;
    loop {
        let (opcode, payload) = peer.frame().await.unwrap();
        if opcode == CLOSE {
            assert_eq!(payload, [&[3, 0xe9], "restarting".as_bytes()].concat());
            break;
        }
        assert_eq!(payload, format!("{queued:0500}").as_bytes());
        queued += 1;
    }
    peer.close(1001, "").await;
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.by(), closed.code()),
        (ClosedBy::Drain, CloseCode::GOING_AWAY)
    );
    assert_eq!((closed.messages_sent(), closed.is_clean()), (queued, true));
    assert!(queued > 200, "{queued}");
    drop(peer);
    assert_eq!(soon(task).await.unwrap(), (1, 0));
    assert_eq!(sockets.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_its_grace_and_its_own_goodbye() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, |mut socket| async move {
        socket.draining().await;
        sleep(SECOND).await;
        socket.send("saved").await.unwrap();
        socket.close(4000, "goodbye").await.unwrap();
    })
    .await;
    let clock = Clock::start();
    let task = draining(&sockets, Drain::new().grace(5 * SECOND)).await;
    // The driver goes on meanwhile.
    peer.send(PING, "still there?").await;
    peer.expect(PONG, "still there?").await;
    peer.expect_text("saved").await;
    peer.expect_close(4000, "goodbye").await;
    peer.close(4000, "").await;
    peer.expect_end().await;
    drop(peer);
    assert_eq!(ended.closed().await.by(), ClosedBy::Endpoint);
    assert_eq!(soon(task).await.unwrap(), (1, 0));
    clock.assert_about(SECOND);
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_comes_the_close() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, echo).await;
    let clock = Clock::start();
    let _task = draining(&sockets, Drain::new().code(4001).grace(5 * SECOND)).await;
    peer.expect_echo().await;
    peer.expect_close(4001, "").await;
    clock.assert_about(5 * SECOND);
}

/// With the peer's answer the socket has closed; only the endpoint is left.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_return_is_dropped_at_the_deadline() {
    for grace in [Some(60 * SECOND), None] {
        let sockets = Sockets::new();
        let layer = UpgradeLayer::new().sockets(&sockets).endpoint_grace(grace);
        let (mut peer, ended) = open_under(layer, |upgrade| async {
            let _socket = upgrade.accept().await.unwrap();
            pending().await
        })
        .await;
        let clock = Clock::start();
        let task = draining(&sockets, Drain::new()).await;
        peer.expect_close(1001, "").await;
        peer.close(1001, "").await;
        peer.expect_end().await;
        assert_eq!(sockets.active(), 1);
        assert_eq!(soon(task).await.unwrap(), (0, 1));
        clock.assert_about(30 * SECOND);
        assert!(ended.wait().await.is_none(), "it was dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_is_cut_off_at_the_deadline() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, echo).await;
    let clock = Clock::start();
    let task = draining(&sockets, Drain::new().within(5 * SECOND)).await;
    peer.expect_close(1001, "").await;
    peer.expect_end().await;
    assert_eq!(soon(task).await.unwrap(), (0, 1));
    clock.assert_about(5 * SECOND);
    let closed = ended.closed().await;
    assert_eq!((closed.by(), closed.is_clean()), (ClosedBy::Drain, false));
}

#[tokio::test(start_paused = true)]
async fn one_that_closed_and_waits_for_its_peer_to_hang_up_counts_as_closed() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, echo).await;
    let clock = Clock::start();
    let task = draining(&sockets, Drain::new().within(SECOND / 2)).await;
    peer.expect_close(1001, "").await;
    peer.close(1001, "").await;
    assert!(ended.closed().await.is_clean());
    assert_eq!(soon(task).await.unwrap(), (1, 0));
    clock.assert_about(SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn within_no_time_all_are_aborted() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, echo).await;
    let aborted = drain(&sockets, Drain::new().within(Duration::ZERO)).await;
    assert_eq!(aborted, (0, 1));
    peer.expect_end().await;
    let closed = ended.closed().await;
    assert_eq!(closed.by(), ClosedBy::Drain);
    assert_eq!(closed.code(), CloseCode::ABNORMAL);
}

#[tokio::test(start_paused = true)]
async fn closes_are_spread_evenly_by_one_timer() {
    let sockets = Sockets::new();
    let mut peers = Vec::new();
    for _ in 0..50 {
        peers.push(open(&sockets, echo).await);
    }
    let clock = Instant::now();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let with = Drain::new().grace(SECOND).spread(10 * SECOND);
    let task = draining(&sockets, with).await;
    assert_eq!(tasks(), before + 1);
    for (turn, (peer, _)) in peers.iter_mut().enumerate() {
        peer.expect_close(1001, "").await;
        let expected = SECOND + 10 * SECOND * turn as u32 / 50;
        let late = clock.elapsed().checked_sub(expected).unwrap();
        assert!(late < Duration::from_millis(5), "{turn}: {late:?}");
    }
    for (mut peer, _) in peers {
        peer.close(1001, "").await;
        peer.expect_end().await;
    }
    assert_eq!(soon(task).await.unwrap(), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn it_is_over_when_all_are_gone() {
    let sockets = Sockets::new();
    let (peer, _ended) = open(&sockets, echo).await;
    let clock = Clock::start();
    let with = Drain::new().grace(10 * SECOND).spread(10 * SECOND);
    let task = draining(&sockets, with).await;
    sleep(2 * SECOND).await;
    drop(peer);
    assert_eq!(soon(task).await.unwrap(), (1, 0));
    clock.assert_about(2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_handle_in_another_task_is_reached() {
    let sockets = Sockets::new();
    let (mut peer, ended) = open(&sockets, |socket| async move {
        let closed = socket.closed();
        tokio::spawn(async move {
            let (sender, mut receiver) = socket.split();
            let (mut told, control) = (sender.draining(), receiver.control());
            tokio::select! {
                () = &mut told => {}
                message = receiver.recv() => panic!("{message:?}"),
            }
            receiver.draining().await;
            control.draining().await;
            sender.send("told").await.unwrap();
            while receiver.recv().await.is_some() {}
        });
        closed.await;
    })
    .await;
    let task = draining(&sockets, Drain::new().grace(SECOND)).await;
    peer.expect_text("told").await;
    peer.expect_close(1001, "").await;
    peer.close(1001, "").await;
    peer.expect_end().await;
    drop(peer);
    assert!(ended.closed().await.is_clean());
    assert_eq!(soon(task).await.unwrap(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_drain_waits_no_longer_than_the_socket_lives() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let (mut peer, _ended) = open(&Sockets::new(), move |socket| async move {
        let draining = socket.draining();
        tokio::spawn(async move {
            draining.await;
            told.send(()).unwrap();
        });
        echo(socket).await;
    })
    .await;
    settle().await;
    assert!(tells.try_recv().is_err());
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    soon(tells.recv()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn policies_are_told() {
    struct Tells;

    impl SocketPolicy for Tells {
        fn on_event(&mut self, _: std::time::Instant, event: Event, _: &SocketState) -> Action {
            if event == Event::Draining {
                return Action::close(CloseCode::POLICY, "told");
            }
            Action::None
        }
    }

    let sockets = Sockets::new();
    let layer = UpgradeLayer::new().sockets(&sockets);
    let (mut peer, _ended) = open_under(layer, |upgrade| {
        let upgrade = upgrade.policy(PolicyFactory::new(|_| Some(Tells)));
        upgrade.serve(echo).map(respond)
    })
    .await;
    let _task = draining(&sockets, Drain::new().grace(SECOND)).await;
    peer.expect_close(1008, "told").await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_its_connection_is_reached() {
    let sockets = Sockets::new();
    let (service, ended) = once(|request| async move {
        let accepted = WebSocketUpgrade::of(&request)?.accept().await;
        accepted.map_err(BoxError::from).map(|_| response(200, ""))
    });
    let layer = UpgradeLayer::new().sockets(&sockets);
    let layer = layer.handshake_timeout(60 * SECOND);
    let _peer = serve_unanswered(layer.layer(service)).await;
    settle().await;
    assert_eq!(sockets.active(), 1);
    let clock = Clock::start();
    assert_eq!(drain(&sockets, Drain::new()).await, (0, 1));
    clock.assert_about(30 * SECOND);
    assert!(matches!(ended.wait().await, Some(End::Error)));
}

/// Whoever has accepted has a socket, and it gets its Close.
#[tokio::test(start_paused = true)]
async fn a_socket_accepted_in_the_same_instant_is_not_missed() {
    for before in [true, false] {
        let sockets = Sockets::new();
        let drained = sockets.clone();
        let (mut peer, ended) = open_under(
            UpgradeLayer::new().sockets(&sockets),
            move |upgrade| async move {
                let mut accept = upgrade.accept();
                assert!(poll_once(&mut accept).await.is_pending());
                if !before {
                    // The layer knows of it, and the connection is not there yet.
                    yield_now().await;
                }
                let mut drain = Box::pin(async move { drain(&drained, Drain::new()).await });
                assert!(poll_once(&mut drain).await.is_pending());
                let socket = accept.await.unwrap();
                soon(socket.draining()).await;
                let closed = socket.closed();
                tokio::spawn(echo(socket));
                tokio::spawn(async move { assert_eq!(drain.await, (1, 0)) });
                closed.await.into()
            },
        )
        .await;
        peer.expect_close(1001, "").await;
        peer.close(1001, "").await;
        assert!(ended.closed().await.is_clean(), "{before}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_comes_too_late_is_refused_by_the_endpoint() {
    let sockets = Sockets::new();
    let layer = UpgradeLayer::new().sockets(&sockets);
    let (service, _ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?;
        sleep(SECOND).await;
        Ok(respond(upgrade.serve(echo).await))
    });
    let exchange = tokio::spawn(serve(layer.layer(service)).request(HANDSHAKE));
    settle().await;
    assert_eq!(sockets.active(), 0, "nobody has accepted");
    let clock = Clock::start();
    assert_eq!(drain(&sockets, Drain::new()).await, (0, 0));
    clock.assert_about(SECOND - Duration::from_millis(1));
    let (reply, _peer) = soon(exchange).await.unwrap();
    assert_draining(&reply);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_nobody_decides_on_is_answered_at_the_deadline() {
    let sockets = Sockets::new();
    let layer = UpgradeLayer::new().sockets(&sockets);
    let (service, ended) = once(|_| pending::<Result<Response<String>, BoxError>>());
    let exchange = tokio::spawn(serve(layer.layer(service)).request(HANDSHAKE));
    settle().await;
    let clock = Clock::start();
    assert_eq!(drain(&sockets, Drain::new()).await, (0, 1));
    clock.assert_about(30 * SECOND);
    let (reply, _peer) = soon(exchange).await.unwrap();
    assert_draining(&reply);
    assert!(ended.wait().await.is_none(), "the endpoint is dropped");
    assert_eq!(sockets.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_handshake_is_refused_and_anything_else_flows_on() {
    let sockets = Sockets::new();
    drain(&sockets, Drain::new()).await;
    let inner = service_fn(async |_: Request<_>| Ok::<_, BoxError>(response(200, "flows on")));
    let layer = UpgradeLayer::new().sockets(&sockets);
    let service = layer.layer(inner);
    let (reply, mut peer) = serve(service.clone()).request(HANDSHAKE).await;
    assert_draining(&reply);
    peer.expect_end().await;
    let plain = "GET /ws HTTP/1.1\r\nhost: example.com\r\n\r\n";
    let bad = HANDSHAKE.replace("version: 13", "version: 8");
    for request in [plain, &bad] {
        let (reply, _peer) = serve(service.clone()).request(request).await;
        assert_eq!((reply.status, &*reply.body), (200, "flows on"));
    }
    assert_eq!(refusal(layer).await, HandshakeErrorKind::Draining);
}

#[track_caller]
fn assert_draining(reply: &Reply) {
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("connection"), ["close"]);
    assert_eq!(reply.header("content-type"), ["text/plain; charset=utf-8"]);
    assert!(reply.header("retry-after").is_empty());
    assert!(reply.body.contains("shutting down"), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn layers_may_share_their_sockets() {
    let sockets = Sockets::new();
    let mut peers = [open(&sockets, echo).await, open(&sockets, echo).await];
    let (mut other, _ended) = open(&Sockets::new(), echo).await;
    assert_eq!(sockets.active(), 2);
    let task = draining(&sockets, Drain::new()).await;
    for (peer, _) in &mut peers {
        peer.expect_close(1001, "").await;
    }
    other.expect_echo().await;
    drop(peers);
    assert_eq!(soon(task).await.unwrap(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bad_setting_is_refused_before_anything_happens() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, echo).await;
    let long = "x".repeat(124);
    for (bad, expected) in [
        (
            Drain::new().code(1005),
            InvalidDrain::Close(InvalidClose::Code(1005.into())),
        ),
        (
            Drain::new().reason(&*long),
            InvalidDrain::Close(InvalidClose::Reason(long.clone())),
        ),
        (
            Drain::new().grace(20 * SECOND).spread(11 * SECOND),
            InvalidDrain::Within(30 * SECOND),
        ),
        (
            Drain::new().grace(Duration::MAX).spread(Duration::MAX),
            InvalidDrain::Within(30 * SECOND),
        ),
    ] {
        let error = sockets.drain(bad).await.unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().is_empty());
    }
    assert!(!sockets.is_draining());
    peer.expect_echo().await;
    assert!(open(&sockets, echo).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_a_time() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, echo).await;
    let task = draining(&sockets, Drain::new().within(Duration::MAX)).await;
    peer.expect_close(1001, "").await;
    drop(peer);
    assert_eq!(soon(task).await.unwrap(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_drain_tightens_the_first() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, echo).await;
    let clock = Clock::start();
    let first = draining(&sockets, Drain::new().grace(20 * SECOND)).await;
    let second = Drain::new().code(4000).grace(SECOND).within(2 * SECOND);
    let second = draining(&sockets, second).await;
    peer.expect_close(4000, "").await;
    peer.expect_end().await;
    assert_eq!(soon(first).await.unwrap(), (0, 1));
    assert_eq!(soon(second).await.unwrap(), (0, 1));
    clock.assert_about(2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_stops_there_and_another_goes_on() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, echo).await;
    let first = draining(&sockets, Drain::new().grace(SECOND)).await;
    first.abort();
    sleep(60 * SECOND).await;
    peer.expect_echo().await;
    assert!(sockets.is_draining());
    let second = draining(&sockets, Drain::new()).await;
    peer.expect_close(1001, "").await;
    drop(peer);
    assert_eq!(soon(second).await.unwrap(), (1, 0));
}

/// As of an endpoint that blocks its thread.
#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_dropped_is_left() {
    #[derive(Clone, Debug)]
    struct Stuck;

    impl<F: Send + 'static> hyper::rt::Executor<F> for Stuck {
        fn execute(&self, future: F) {
            tokio::spawn(async move {
                let _never_polled = future;
                pending::<()>().await;
            });
        }
    }

    let sockets = Sockets::new();
    let layer = UpgradeLayer::new().sockets(&sockets).executor(Stuck);
    let (service, _ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?;
        Ok(respond(upgrade.serve(echo).await))
    });
    let _peer = serve(layer.layer(service)).open().await;
    let clock = Clock::start();
    let with = Drain::new().within(SECOND);
    assert_eq!(drain(&sockets, with).await, (0, 1));
    clock.assert_about(2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_panic_counts_as_closed() {
    let sockets = Sockets::new();
    let (mut peer, _ended) = open(&sockets, |socket| async move {
        socket.draining().await;
        panic!("at the worst moment");
    })
    .await;
    let task = draining(&sockets, Drain::new().grace(SECOND)).await;
    peer.expect_close(1011, "").await;
    drop(peer);
    assert_eq!(soon(task).await.unwrap(), (1, 0));
}

/// Only the endpoint knows where a frame of its may begin.
#[tokio::test(start_paused = true)]
async fn a_raw_connection_is_closed_by_its_endpoint_or_aborted() {
    for watches in [true, false] {
        let sockets = Sockets::new();
        let layer = UpgradeLayer::new().sockets(&sockets);
        let (mut peer, ended) = open_under(layer, move |upgrade| async move {
            let raw = upgrade.accept_raw().await.unwrap();
            let mut stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
            if watches {
                stream.get_ref().draining().await;
                stream.close(None).await.unwrap();
            }
            while let Some(Ok(message)) = stream.next().await {
                if message.is_text() {
                    stream.send(message).await.unwrap();
                }
            }
            response(200, "")
        })
        .await;
        let clock = Clock::start();
        let task = draining(&sockets, Drain::new()).await;
        if watches {
            peer.expect(CLOSE, "").await;
            peer.send(CLOSE, "").await;
            peer.expect_end().await;
            assert_eq!(soon(task).await.unwrap(), (1, 0));
            assert!(ended.wait().await.is_some());
        } else {
            peer.expect_echo().await;
            peer.expect_end().await;
            assert_eq!(soon(task).await.unwrap(), (0, 1));
            clock.assert_about(30 * SECOND);
        }
    }
}
