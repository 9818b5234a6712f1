//! What stays alive how long: the endpoint, the layers around it, the socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Response;
use tokio::sync::Notify;
use tower::util::MapResponseLayer;
use tower::{Layer, ServiceBuilder};
use towline_core::{Closed, ClosedBy, Message, WebSocketUpgrade};
use towline_testing::{Clock, NEVER, settle, soon};
use towline_upgrade::UpgradeLayer;

use crate::support::{End, echo, once, open, open_served, open_under, respond, response, serve};

#[tokio::test(start_paused = true)]
async fn a_served_endpoint_returns_after_the_close() {
    let (mut peer, mut ended) = open_served(echo).await;
    peer.expect_echo().await;
    settle().await;
    assert!(ended.is_pending());
    peer.close(1000, "done").await;
    peer.expect_close(1000, "").await;
    let Some(End::Response(101, Some(closed))) = ended.wait().await else {
        panic!("a 101 that carries `Closed`");
    };
    assert_eq!((closed.by(), closed.reason()), (ClosedBy::Peer, "done"));
}

/// `serve` waits for the close handshake of a socket that its closure dropped.
#[tokio::test(start_paused = true)]
async fn a_served_endpoint_returns_after_the_answer_to_its_close() {
    let (mut peer, mut ended) = open_served(|_socket| async {}).await;
    peer.expect_close(1000, "").await;
    settle().await;
    assert!(ended.is_pending());
    peer.close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_accepting_endpoint_lives_as_long_as_it_likes() {
    let (mut peer, mut ended) = open(|upgrade| async {
        let mut socket = upgrade.accept().await.unwrap();
        while let Some(message) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
        socket.closed().await.into()
    })
    .await;
    peer.expect_echo().await;
    settle().await;
    assert!(ended.is_pending());
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn the_layers_unwind_when_the_endpoint_returns_and_the_socket_lives_on_elsewhere() {
    let unwound = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&unwound);
    let (service, ended) = once(|request| async move {
        let socket = WebSocketUpgrade::of(&request)?.accept().await?;
        tokio::spawn(echo(socket));
        Ok(response(200, ""))
    });
    let service = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .map_response(move |response: Response<String>| {
            counter.fetch_add(1, Ordering::Relaxed);
            response
        })
        .service(service);
    let mut peer = serve(service).open().await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
    settle().await;
    assert_eq!(unwound.load(Ordering::Relaxed), 1);
    // The grace is for an endpoint, not for the socket.
    tokio::time::sleep(NEVER / 2).await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_background_task_keeps_the_middleware_while_the_endpoint_awaits_closed() {
    let (mut peer, mut ended) = open(|upgrade| async {
        let socket = upgrade.accept().await.unwrap();
        let closed = socket.closed();
        tokio::spawn(echo(socket));
        closed.await.into()
    })
    .await;
    peer.expect_echo().await;
    settle().await;
    assert!(ended.is_pending());
    peer.close(4000, "bye").await;
    peer.expect_close(4000, "").await;
    assert_eq!(ended.closed().await.reason(), "bye");
}

#[tokio::test(start_paused = true)]
async fn a_layer_inside_reads_closed_from_the_response() {
    let codes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&codes);
    let inside = MapResponseLayer::new(move |response: Response<String>| {
        let closed = response.extensions().get::<Closed>();
        seen.lock()
            .unwrap()
            .push(closed.map(|closed| u16::from(closed.code())));
        response
    });
    let (service, ended) =
        once(
            |request| async move { Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await)) },
        );
    let service = (UpgradeLayer::new(), inside).layer(service);
    let mut peer = serve(service).open().await;
    peer.expect_echo().await;
    assert!(codes.lock().unwrap().is_empty());
    peer.close(4001, "").await;
    peer.expect_close(4001, "").await;
    ended.closed().await;
    settle().await;
    assert_eq!(*codes.lock().unwrap(), [Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_goes_on_after_the_close_is_dropped_after_its_grace() {
    let (mut peer, ended) = open(|upgrade| async {
        let _ = upgrade.serve(echo).await;
        std::future::pending().await
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    let clock = Clock::start();
    assert!(ended.wait().await.is_none());
    clock.assert_about(Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn the_grace_is_a_setting() {
    let layer = UpgradeLayer::new().endpoint_grace(Duration::from_secs(5));
    let (mut peer, ended) = open_under(layer, |upgrade| async {
        let _ = upgrade.serve(echo).await;
        std::future::pending().await
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    let clock = Clock::start();
    assert!(ended.wait().await.is_none());
    clock.assert_about(Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_an_endpoint_may_take_for_ever() {
    let proceed = Arc::new(Notify::new());
    let (notified, layer) = (
        Arc::clone(&proceed),
        UpgradeLayer::new().endpoint_grace(None),
    );
    let (mut peer, mut ended) = open_under(layer, |upgrade| async move {
        let closed = upgrade.serve(echo).await;
        notified.notified().await;
        respond(closed)
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    tokio::time::sleep(24 * NEVER).await;
    assert!(ended.is_pending());
    proceed.notify_one();
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn within_its_grace_an_endpoint_may_finish() {
    let (mut peer, ended) = open(|upgrade| async {
        let closed = upgrade.serve(echo).await;
        tokio::time::sleep(Duration::from_secs(29)).await;
        respond(closed)
    })
    .await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert!(ended.closed().await.is_clean());
}

/// The handle may be gone long before the endpoint is: the socket does not wait for that.
#[tokio::test(start_paused = true)]
async fn a_dropped_handle_closes_while_the_endpoint_goes_on() {
    let (mut peer, mut ended) = open(|upgrade| async {
        let mut socket = upgrade.accept().await.unwrap();
        assert_eq!(socket.recv().await, Some(Message::from("go")));
        drop(socket);
        std::future::pending().await
    })
    .await;
    peer.text("go").await;
    peer.expect_close(1000, "").await;
    assert!(ended.is_pending());
    peer.close(1000, "").await;
    soon(peer.expect_end()).await;
}
