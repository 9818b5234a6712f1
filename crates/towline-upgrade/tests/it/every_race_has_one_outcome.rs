//! Offered → accepted | answered | cancelled: whoever comes first decides.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use http::{Method, Request, Response};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tower::{Layer, Service, service_fn};
use towline_core::{AcceptError, UpgradeFailed, WebSocketUpgrade};
use towline_testing::{HANDSHAKE, settle, soon};
use towline_upgrade::UpgradeLayer;

use crate::support::{
    BoxError, Client, End, echo, offered, once, open, poll_once, response, serve,
};

/// Accepts, leaves the socket to a task, and answers with `status`, all in one poll.
async fn accept_and_return(upgrade: WebSocketUpgrade, status: u16) -> Response<String> {
    let mut accept = upgrade.accept();
    assert!(poll_once(&mut accept).await.is_pending());
    tokio::spawn(async { echo(accept.await.unwrap()).await });
    response(status, "of no use to the wire")
}

#[tokio::test(start_paused = true)]
async fn accepted_and_returned_in_one_poll_the_socket_lives() {
    let (mut peer, ended) = open(|upgrade| accept_and_return(upgrade, 200)).await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
    peer.expect_echo().await;
    settle().await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn accepted_and_failed_in_one_poll_the_socket_closes_with_1011() {
    let (mut peer, _ended) = open(|upgrade| accept_and_return(upgrade, 500)).await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn accepted_and_erred_in_one_poll_the_socket_closes_with_1011() {
    let (service, ended) = once(|request| async move {
        accept_and_return(WebSocketUpgrade::of(&request)?, 200).await;
        Err::<Response<String>, _>(BoxError::from("failed"))
    });
    let mut peer = serve(UpgradeLayer::new().layer(service)).open().await;
    peer.expect_close(1011, "").await;
    assert!(matches!(ended.wait().await, Some(End::Error)));
}

#[tokio::test(start_paused = true)]
async fn accepted_and_dropped_in_one_poll_the_socket_closes_with_1011() {
    let (mut peer, _ended) = open(|upgrade| async move {
        let mut accept = upgrade.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        drop(accept);
        response(200, "")
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn an_accept_dropped_after_the_101_closes_with_1011() {
    let (mut peer, _ended) = open(|upgrade| async move {
        let mut accept = upgrade.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        // The rest of this runs in the pipeline's task.
        yield_now().await;
        drop(accept);
        pending().await
    })
    .await;
    peer.expect_close(1011, "").await;
}

/// The connection is there, and the future that would give it is never polled again.
#[tokio::test(start_paused = true)]
async fn an_accept_dropped_when_it_was_open_closes_with_1011() {
    let (mut peer, _ended) = open(|upgrade| async move {
        let mut accept = upgrade.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        settle().await;
        drop(accept);
        pending().await
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_is_never_polled_accepts_nothing() {
    let (service, _ended) = once(|request| async move {
        drop(WebSocketUpgrade::of(&request)?.accept());
        Ok(response(403, "no"))
    });
    let (reply, _peer) = serve(UpgradeLayer::new().layer(service))
        .request(HANDSHAKE)
        .await;
    assert_eq!((reply.status, &*reply.body), (403, "no"));
}

#[tokio::test(start_paused = true)]
async fn another_task_may_accept_while_the_endpoint_waits() {
    let (mut peer, ended) = open(|upgrade| async move {
        let task = tokio::spawn(async {
            settle().await;
            echo(upgrade.accept().await.unwrap()).await;
        });
        task.await.unwrap();
        response(200, "")
    })
    .await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
}

/// A client that waits for an offer to be handed out.
fn hand_out() -> (
    Client,
    oneshot::Receiver<WebSocketUpgrade>,
    oneshot::Sender<()>,
) {
    let (offer, offered) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    let (service, _ended) = once(|request| async move {
        let _ = offer.send(WebSocketUpgrade::of(&request)?);
        finished.await?;
        Ok(response(200, "answered"))
    });
    (serve(UpgradeLayer::new().layer(service)), offered, finish)
}

#[tokio::test(start_paused = true)]
async fn an_accept_after_the_answer_is_an_error() {
    let (client, offered, finish) = hand_out();
    let exchange = tokio::spawn(client.request(HANDSHAKE));
    let upgrade = soon(offered).await.unwrap();
    finish.send(()).unwrap();
    let (reply, _peer) = soon(exchange).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, "answered"));
    let error = soon(upgrade.accept()).await.unwrap_err();
    assert!(matches!(error, AcceptError::Answered), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_accept_after_the_client_went_is_an_error() {
    let (client, offered, finish) = hand_out();
    let exchange = tokio::spawn(client.request(HANDSHAKE));
    let upgrade = soon(offered).await.unwrap();
    exchange.abort();
    settle().await;
    assert!(finish.is_closed(), "the endpoint is dropped");
    let error = soon(upgrade.accept()).await.unwrap_err();
    assert!(matches!(error, AcceptError::Cancelled), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_future_cancels() {
    let (offer, mut offers) = mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<()>| {
        let alive = offer.clone();
        async move {
            alive.send(WebSocketUpgrade::of(&request)?)?;
            drop(request);
            alive.closed().await;
            pending::<Result<Response<String>, BoxError>>().await
        }
    });
    let mut service = UpgradeLayer::new().layer(inner);
    let mut future = Box::pin(service.call(offered()));
    assert!(poll_once(&mut future).await.is_pending());
    drop((future, service));
    let upgrade = offers.recv().await.unwrap();
    assert!(
        soon(offers.recv()).await.is_none(),
        "the endpoint is dropped"
    );
    let error = soon(upgrade.accept()).await.unwrap_err();
    assert!(matches!(error, AcceptError::Cancelled), "{error:?}");
}

/// The endpoint has accepted, and the response future is dropped before it could tell.
#[tokio::test(start_paused = true)]
async fn a_response_future_dropped_after_the_accept_fails_it() {
    let (offer, mut offers) = mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<()>| {
        offer.send(WebSocketUpgrade::of(&request).unwrap()).unwrap();
        pending::<Result<Response<String>, BoxError>>()
    });
    let mut service = UpgradeLayer::new().layer(inner);
    let mut future = service.call(offered());
    assert!(poll_once(&mut future).await.is_pending());
    let mut accept = offers.recv().await.unwrap().accept();
    assert!(poll_once(&mut accept).await.is_pending());
    drop(future);
    let error = soon(accept).await.unwrap_err();
    let dropped = AcceptError::UpgradeFailed(UpgradeFailed::Dropped);
    assert_eq!(format!("{error:?}"), format!("{dropped:?}"));
}

/// Before the 101 a panic is the server's to deal with, as that of any service.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_poll_of_the_accept_is_not_caught_and_fails_it() {
    let (sender, mut accepts) = mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<()>| {
        let sender = sender.clone();
        async move {
            let mut accept = WebSocketUpgrade::of(&request)?.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            sender.send(accept)?;
            if request.method() == Method::GET {
                panic!("at once");
            }
            Ok::<Response<String>, BoxError>(response(200, ""))
        }
    });
    let mut future = Box::pin(UpgradeLayer::new().layer(inner).call(offered()));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
    assert!(polled.is_err());
    let error = soon(accepts.recv().await.unwrap()).await.unwrap_err();
    let dropped = AcceptError::UpgradeFailed(UpgradeFailed::Dropped);
    assert_eq!(format!("{error:?}"), format!("{dropped:?}"));
}
