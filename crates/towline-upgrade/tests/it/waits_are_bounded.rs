//! Nothing waits for ever: for the connection, for the peer's Close, for the end of its input.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::duplex;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::{Layer, Service, service_fn};
use towline_core::{AcceptError, ClosedBy, UpgradeFailed, WebSocketUpgrade};
use towline_testing::{Clock, HANDSHAKE, Peer, settle, soon};
use towline_upgrade::UpgradeLayer;

use crate::support::{
    BoxError, Client, End, echo, offered, once, open_served, response, serve_unanswered,
    without_spinning,
};

/// The error of an accept whose connection never comes, and the client, which never gets an answer.
async fn accept_unanswered(layer: UpgradeLayer) -> (AcceptError, Peer) {
    let (sender, receiver) = oneshot::channel();
    let (service, _ended) = once(|request| async move {
        let _ = sender.send(WebSocketUpgrade::of(&request)?.accept().await);
        Ok(response(200, ""))
    });
    let client = serve_unanswered(layer.layer(service)).await;
    (soon(receiver).await.unwrap().unwrap_err(), client)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_fails_the_accept() {
    let clock = Clock::start();
    let (error, _client) = accept_unanswered(UpgradeLayer::new()).await;
    clock.assert_about(Duration::from_secs(10));
    assert!(
        matches!(error, AcceptError::UpgradeFailed(UpgradeFailed::TimedOut)),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_handshake_timeout_is_a_setting() {
    let clock = Clock::start();
    let layer = UpgradeLayer::new().handshake_timeout(Duration::from_millis(1500));
    let (error, _client) = accept_unanswered(layer).await;
    clock.assert_about(Duration::from_millis(1500));
    assert!(matches!(
        error,
        AcceptError::UpgradeFailed(UpgradeFailed::TimedOut)
    ));
}

/// The endpoint gives up before the connection comes; nothing is left to do until it does.
#[tokio::test(start_paused = true)]
async fn an_accept_that_was_given_up_waits_quietly() {
    let clock = Clock::start();
    let (service, ended) = once(|request| async move {
        let accept = WebSocketUpgrade::of(&request)?.accept();
        let timed_out = timeout(Duration::from_secs(1), accept).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(timed_out.is_err());
        Ok(response(200, ""))
    });
    let service = UpgradeLayer::new().executor(Quiet).layer(service);
    let _client = serve_unanswered(service).await;
    let end = ended.wait().await;
    assert!(matches!(end, Some(End::Response(200, None))), "{end:?}");
    clock.assert_about(Duration::from_secs(3));
}

/// Tokio's executor for tasks that do not spin.
#[derive(Clone, Debug)]
struct Quiet;

impl<F> hyper::rt::Executor<F> for Quiet
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(without_spinning(future));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_upgrades_is_told_what_to_call() {
    let (sender, receiver) = oneshot::channel();
    let (service, _ended) = once(|request| async move {
        let _ = sender.send(WebSocketUpgrade::of(&request)?.accept().await);
        Ok(response(200, ""))
    });
    let (client, server) = duplex(1024);
    let service = TowerToHyperService::new(UpgradeLayer::new().layer(service));
    // Without `with_upgrades()`.
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
    let (reply, mut peer) = Client(client).request(HANDSHAKE).await;
    assert_eq!(reply.status, 101);
    peer.expect_end().await;
    let error = soon(receiver).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            AcceptError::UpgradeFailed(UpgradeFailed::NotServed(_))
        ),
        "{error:?}"
    );
    for call in ["`with_upgrades()`", "`serve_connection_with_upgrades()`"] {
        assert!(error.to_string().contains(call), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_connection_behind_it_fails_the_accept() {
    let (sender, receiver) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let inner = service_fn(move |request: Request<()>| {
        let sender = sender.lock().unwrap().take().unwrap();
        async move {
            let _ = sender.send(WebSocketUpgrade::of(&request)?.accept().await);
            Ok::<_, BoxError>(response(200, ""))
        }
    });
    let response = UpgradeLayer::new()
        .layer(inner)
        .call(offered())
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.into_body().into_inner().is_none());
    let error = soon(receiver).await.unwrap().unwrap_err();
    assert!(matches!(
        error,
        AcceptError::UpgradeFailed(UpgradeFailed::NotServed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_is_given_up_after_10_s() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        let _ = socket.close(4000, "bye").await;
    })
    .await;
    let clock = Clock::start();
    peer.expect_close(4000, "bye").await;
    peer.expect_end().await;
    clock.assert_about(Duration::from_secs(10));
    let closed = ended.closed().await;
    assert_eq!(
        (closed.by(), u16::from(closed.code())),
        (ClosedBy::Endpoint, 4000)
    );
    assert!(!closed.is_clean());
}

/// A peer that talks on and never closes does not put that off.
#[tokio::test(start_paused = true)]
async fn messages_do_not_put_off_the_end() {
    let (mut peer, ended) = open_served(|_socket| async {}).await;
    let clock = Clock::start();
    peer.expect_close(1000, "").await;
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.text("still here").await;
    }
    assert!(!ended.closed().await.is_clean());
    clock.assert_about(Duration::from_secs(10));
}

/// RFC 6455, 7.1.1: the server closes the connection first; a client that never does costs a second, and no layer waits
/// for it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_keeps_the_connection_is_given_up_after_1_s() {
    let (mut peer, ended) = open_served(echo).await;
    let clock = Clock::start();
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
    clock.assert_about(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(990)).await;
    assert!(peer.is_connected().await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!peer.is_connected().await);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_ends_the_socket_at_once() {
    let (mut peer, ended) = open_served(echo).await;
    let clock = Clock::start();
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    assert!(ended.closed().await.is_clean());
    clock.assert_about(Duration::ZERO);
    settle().await;
}
