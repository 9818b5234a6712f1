//! `max_sockets`: a slot is taken at the handshake, and given back when nothing comes of it or the pipeline has unwound.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{HandshakeErrorKind, WebSocketUpgrade};
use towline_testing::{HANDSHAKE, handshake_with, settle};
use towline_upgrade::UpgradeLayer;

use crate::support::{BoxError, echo, offered, poll_once, refusal, respond, response, serve};

/// What comes of a handshake now.
async fn status<S>(service: &S) -> u16
where
    S: Service<Request<()>, Error = BoxError> + Clone,
    S: Service<Request<()>, Response = Response<towline_upgrade::UpgradeBody<String>>>,
{
    let response = service.clone().oneshot(offered()).await.unwrap();
    response.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn above_it_a_handshake_is_refused_until_a_pipeline_has_unwound() {
    let inner = service_fn(|request: Request<_>| async move {
        let upgrade = WebSocketUpgrade::of(&request)?;
        let served = upgrade.serve(echo).await;
        // The slot is held as long as the layers are.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok::<_, BoxError>(respond(served))
    });
    let service = UpgradeLayer::new().max_sockets(2).layer(inner);
    let mut first = serve(service.clone()).open().await;
    let mut second = serve(service.clone()).open().await;
    for _ in 0..2 {
        let (reply, _peer) = serve(service.clone()).request(HANDSHAKE).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("retry-after"), ["10"]);
        assert!(reply.header("connection").is_empty());
        assert_eq!(reply.header("content-type"), ["text/plain; charset=utf-8"]);
        assert!(reply.body.contains("as many"), "{reply:?}");
    }
    first.expect_echo().await;
    first.close(1000, "").await;
    first.expect_close(1000, "").await;
    drop(first);
    let (reply, _peer) = serve(service.clone()).request(HANDSHAKE).await;
    assert_eq!(reply.status, 503);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut third = serve(service.clone()).open().await;
    third.expect_echo().await;
    second.expect_echo().await;
}

#[tokio::test(start_paused = true)]
async fn other_requests_need_no_slot() {
    let inner = service_fn(async |_: Request<_>| Ok::<_, BoxError>(response(200, "")));
    let layer = UpgradeLayer::new().max_sockets(0);
    let service = layer.layer(inner);
    let plain = "GET / HTTP/1.1\r\nhost: example.com\r\n\r\n".to_owned();
    let bad = handshake_with("sec-websocket-key: again");
    for request in [plain, bad] {
        let (reply, _peer) = serve(service.clone()).request(request).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(refusal(layer).await, HandshakeErrorKind::TooManySockets);
}

#[tokio::test(start_paused = true)]
async fn a_slot_comes_back_when_the_endpoint_does_not_accept() {
    let inner = service_fn(async |_: Request<()>| Ok::<_, BoxError>(response(403, "")));
    let service = UpgradeLayer::new().max_sockets(1).layer(inner);
    assert_eq!(status(&service).await, 403);
    assert_eq!(status(&service).await, 403);
}

#[tokio::test(start_paused = true)]
async fn a_slot_comes_back_from_a_panic() {
    let mut panics = true;
    let inner = service_fn(move |_: Request<()>| {
        let panics = std::mem::take(&mut panics);
        async move {
            assert!(!panics, "before the 101");
            Ok::<_, BoxError>(response(200, ""))
        }
    });
    let mut service = UpgradeLayer::new().max_sockets(1).layer(inner);
    for panics in [true, false] {
        let mut future = Box::pin(service.call(offered()));
        let mut cx = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        assert_eq!(polled.is_err(), panics);
        assert!(panics || service.call(offered()).now_or_never().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_comes_back_when_the_client_goes_before_the_accept() {
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<String>, BoxError>>());
    let service = UpgradeLayer::new().max_sockets(1).layer(inner);
    for _ in 0..2 {
        let mut future = Box::pin(service.clone().oneshot(offered()));
        assert!(poll_once(&mut future).await.is_pending());
        assert_eq!(status(&service).await, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_of_the_layer_wherever_it_is_applied() {
    let layer = UpgradeLayer::new().max_sockets(1);
    let inner = || {
        service_fn(|request: Request<_>| async move {
            let upgrade = WebSocketUpgrade::of(&request)?;
            Ok::<_, BoxError>(respond(upgrade.serve(echo).await))
        })
    };
    let (one, two) = (layer.layer(inner()), layer.clone().layer(inner()));
    let mut peer = serve(one).open().await;
    let (reply, _peer) = serve(two).request(HANDSHAKE).await;
    assert_eq!(reply.status, 503);
    peer.expect_echo().await;
    drop(peer);
    settle().await;
    let mut unlimited = serve(layer.max_sockets(None).layer(inner())).open().await;
    unlimited.expect_echo().await;
}
