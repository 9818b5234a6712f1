//! Whatever is not accepted passes: request, response, readiness and error.

use std::future::ready;
use std::task::Poll;

use http::header::SEC_WEBSOCKET_KEY;
use http::{Method, Request, Response, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;
use towline_core::{HandshakeError, HandshakeErrorKind, InvalidHandshake, WebSocketUpgrade};
use towline_testing::{HANDSHAKE, Peer, handshake_with, settle};
use towline_upgrade::UpgradeLayer;

use crate::support::{BoxError, Counting, echo, offered, once, respond, response, serve};

/// The request as the inner service finds it.
async fn passed(request: Request<()>) -> Request<()> {
    let inner = service_fn(|request| ready(Ok::<_, BoxError>(Response::new(request))));
    let service = UpgradeLayer::new().layer(inner);
    let response = service.oneshot(request).await.unwrap();
    response.into_body().into_inner().unwrap()
}

#[tokio::test]
async fn a_request_that_attempts_nothing_finds_nothing() {
    let request = passed(Request::new(())).await;
    assert!(request.extensions().is_empty());
}

#[tokio::test]
async fn a_connect_to_another_protocol_finds_nothing() {
    let connect = |protocol| {
        let mut request = offered();
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        let protocol = Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
        request
    };
    let request = passed(connect("webtransport")).await;
    assert!(request.extensions().get::<WebSocketUpgrade>().is_none());
    assert!(request.extensions().get::<HandshakeError>().is_none());
    assert_eq!(WebSocketUpgrade::of(&request).unwrap_err().status(), 501);

    let request = passed(connect("WebSocket")).await;
    assert!(request.extensions().get::<WebSocketUpgrade>().is_some());
}

#[tokio::test]
async fn an_invalid_handshake_finds_an_error() {
    let mut request = offered();
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
    let request = passed(request).await;
    let error = request.extensions().get::<HandshakeError>().unwrap();
    assert_eq!(
        error.kind(),
        HandshakeErrorKind::Invalid(InvalidHandshake::Key)
    );
    assert!(request.extensions().get::<WebSocketUpgrade>().is_none());
    assert_eq!(WebSocketUpgrade::of(&request).unwrap_err(), *error);
}

#[tokio::test]
async fn a_server_that_cannot_upgrade_is_an_error() {
    let mut request = offered();
    request.extensions_mut().remove::<OnUpgrade>();
    let request = passed(request).await;
    let error = request.extensions().get::<HandshakeError>().unwrap();
    assert_eq!(error.kind(), HandshakeErrorKind::NotUpgradable);
    assert_eq!(Response::<String>::from(*error).status(), 500);
}

#[tokio::test]
async fn a_valid_handshake_finds_the_offer_and_hypers_own() {
    let request = passed(offered()).await;
    assert!(request.extensions().get::<OnUpgrade>().is_some());
    assert!(request.extensions().get::<HandshakeError>().is_none());
    let upgrade = WebSocketUpgrade::of(&request).unwrap();
    assert_eq!(upgrade.version(), http::Version::HTTP_11);
}

#[tokio::test]
async fn without_the_layer_a_valid_handshake_says_that_it_is_missing() {
    let error = WebSocketUpgrade::of(&offered()).unwrap_err();
    assert_eq!(error.kind(), HandshakeErrorKind::NoUpgradeLayer);
    let error = WebSocketUpgrade::of(&Request::new(())).unwrap_err();
    assert_eq!(error.status(), 426);
}

#[tokio::test]
async fn an_error_stays_the_inner_services_own() {
    #[derive(Debug, PartialEq)]
    struct Own(u8);

    let inner = service_fn(|_: Request<()>| ready(Err::<Response<String>, _>(Own(7))));
    for request in [Request::new(()), offered()] {
        let service = UpgradeLayer::new().layer(inner);
        assert_eq!(service.oneshot(request).await.unwrap_err(), Own(7));
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<()>, Response<String>, _>(UpgradeLayer::new());
    inner.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    inner.allow(1);
    assert!(matches!(
        service.poll_ready::<Request<()>>(),
        Poll::Ready(Ok(()))
    ));
    // The mock panics if another service than the one that was readied is called.
    let response = service.call(offered());
    let (request, answer) = inner.next_request().await.unwrap();
    assert!(request.extensions().get::<WebSocketUpgrade>().is_some());
    assert!(service.poll_ready::<Request<()>>().is_pending());
    answer.send_response(Response::new("inner".to_owned()));
    let response = response.await.unwrap();
    assert_eq!(response.into_body().into_inner().unwrap(), "inner");
    inner.send_error("not ready any more");
    assert!(matches!(
        service.poll_ready::<Request<()>>(),
        Poll::Ready(Err(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_accepts_answers_and_nothing_is_spawned() {
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let (service, _ended) = once(|_| async {
        settle().await;
        let mut response = response(418, "short and stout");
        response.headers_mut().insert("x-tea", "green".parse()?);
        Ok(response)
    });
    let (reply, _peer) = serve(layer.layer(service)).request(HANDSHAKE).await;
    assert_eq!((reply.status, &*reply.body), (418, "short and stout"));
    assert_eq!(reply.header("x-tea"), ["green"]);
    assert_eq!(tasks.tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_socket_is_one_task() {
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let (service, _ended) =
        once(
            |request| async move { Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await)) },
        );
    let mut peer = serve(layer.layer(service)).open().await;
    peer.expect_echo().await;
    assert_eq!(tasks.tasks(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_nested_layer_passes_through() {
    let (outer, inner) = (Counting::default(), Counting::default());
    let layers = (
        UpgradeLayer::new().executor(outer.clone()),
        UpgradeLayer::new()
            .executor(inner.clone())
            .max_message_size(1),
    );
    let (service, ended) =
        once(
            |request| async move { Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await)) },
        );
    let mut peer = serve(layers.layer(service)).open().await;
    // The outer layer's settings count.
    peer.expect_echo().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert_eq!(ended.closed().await.messages_sent(), 1);
    assert_eq!((outer.tasks(), inner.tasks()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_nested_layer_does_not_judge_again() {
    let layers = (UpgradeLayer::new(), UpgradeLayer::new());
    let (service, _ended) = once(|request: Request<_>| async move {
        let error = WebSocketUpgrade::of(&request).unwrap_err();
        Ok(Response::<String>::from(error))
    });
    let request = HANDSHAKE.replace("sec-websocket-version: 13", "sec-websocket-version: 8");
    let (reply, _peer) = serve(layers.layer(service)).request(request).await;
    assert_eq!(reply.status, 426);
    assert_eq!(reply.header("sec-websocket-version"), ["13"]);
}

/// As axum's own extractor does: 101 by itself, and the connection from `OnUpgrade`.
#[tokio::test(start_paused = true)]
async fn an_inner_service_may_upgrade_by_itself() {
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let (service, _ended) = once(|mut request| async move {
        let on_upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async {
            let mut peer = Peer::new(TokioIo::new(on_upgrade.await.unwrap()));
            peer.write("by myself").await;
        });
        let mut response = response(101, "");
        let headers = response.headers_mut();
        headers.insert("connection", "upgrade".parse()?);
        headers.insert("upgrade", "websocket".parse()?);
        Ok(response)
    });
    let mut peer = serve(layer.layer(service)).open().await;
    assert_eq!(peer.rest().await, b"by myself");
    assert_eq!(tasks.tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_with_a_body_is_the_inner_services_to_answer() {
    let (service, _ended) = once(|request: Request<_>| async move {
        let error = WebSocketUpgrade::of(&request).unwrap_err();
        Ok(Response::<String>::from(error))
    });
    let request = handshake_with("content-length: 5") + "hello";
    let (reply, _peer) = serve(UpgradeLayer::new().layer(service))
        .request(request)
        .await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("body"), "{}", reply.body);
}
