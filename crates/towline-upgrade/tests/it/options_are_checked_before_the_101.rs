//! What an endpoint chooses at the accept, and what is refused while there still is a response to give.

use http::HeaderValue;
use http::header::{HeaderName, SET_COOKIE};
use tower::Layer;
use towline_core::{AcceptError, WebSocketUpgrade};
use towline_testing::{Peer, Reply, TEXT, handshake_with};
use towline_upgrade::UpgradeLayer;

use crate::support::{Counting, echo, once, open_under, respond, serve};

/// The answer to a client that offers `chat, superchat` under an endpoint that accepts with `options`.
async fn answer(
    options: impl FnOnce(WebSocketUpgrade) -> WebSocketUpgrade + Send + 'static,
) -> (Reply, Peer) {
    let (service, _ended) = once(|request| async move {
        let upgrade = options(WebSocketUpgrade::of(&request)?);
        let served = upgrade.serve(|mut socket| async move {
            let protocol = socket.protocol().unwrap_or("none").to_owned();
            socket.send(protocol).await
        });
        Ok(respond(served.await))
    });
    let request =
        handshake_with("sec-websocket-protocol: chat\r\nsec-websocket-protocol: superchat");
    serve(UpgradeLayer::new().layer(service))
        .request(request)
        .await
}

/// What an accept with `options` fails with; the client gets this status.
async fn refused(
    options: impl FnOnce(WebSocketUpgrade) -> WebSocketUpgrade + Send + 'static,
    status: u16,
) -> (AcceptError, Reply) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let (service, _ended) = once(|request| async move {
        let upgrade = options(WebSocketUpgrade::of(&request)?);
        let error = upgrade.clone().accept().await.unwrap_err();
        let _ = sender.send(error);
        Ok(respond(upgrade.serve(echo).await))
    });
    let request = handshake_with("sec-websocket-protocol: chat, superchat");
    let (reply, _peer) = serve(layer.layer(service)).request(request).await;
    assert_eq!(reply.status, status);
    assert_eq!(tasks.tasks(), 0);
    (receiver.await.unwrap(), reply)
}

#[tokio::test(start_paused = true)]
async fn the_offer_is_known_to_the_endpoint() {
    let (_reply, mut peer) = answer(|upgrade| {
        let offered: Vec<_> = upgrade.offered_protocols().collect();
        assert_eq!(offered, ["chat", "superchat"]);
        upgrade
    })
    .await;
    peer.expect_text("none").await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_order_chooses_the_protocol() {
    let (reply, mut peer) = answer(|upgrade| upgrade.protocols(["x", "superchat", "chat"])).await;
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-protocol"), ["superchat"]);
    peer.expect_text("superchat").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_in_common_opens_without_a_protocol() {
    let (reply, mut peer) = answer(|upgrade| upgrade.protocols(["Chat"])).await;
    assert_eq!(reply.status, 101);
    assert!(reply.header("sec-websocket-protocol").is_empty());
    peer.expect_text("none").await;
}

#[tokio::test(start_paused = true)]
async fn a_closure_chooses_from_the_offer() {
    let (reply, mut peer) = answer(|upgrade| {
        upgrade.select_protocol(|offered| offered.last().map(|name| (*name).to_owned()))
    })
    .await;
    assert_eq!(reply.header("sec-websocket-protocol"), ["superchat"]);
    peer.expect_text("superchat").await;
}

#[tokio::test(start_paused = true)]
async fn a_required_protocol_in_common_opens() {
    let (reply, mut peer) =
        answer(|upgrade| upgrade.require_protocol(true).protocols(["chat"])).await;
    assert_eq!(reply.status, 101);
    peer.expect_text("chat").await;
}

#[tokio::test(start_paused = true)]
async fn a_protocol_that_was_not_offered_is_an_error() {
    let (error, reply) = refused(
        |upgrade| upgrade.select_protocol(|_| Some("secret".to_owned())),
        500,
    )
    .await;
    assert!(
        matches!(error, AcceptError::ProtocolNotOffered(_)),
        "{error:?}"
    );
    assert!(error.to_string().contains("secret"));
    assert!(!reply.body.contains("secret"), "{}", reply.body);
}

#[tokio::test(start_paused = true)]
async fn a_required_protocol_that_is_not_in_common_is_a_400() {
    let (error, reply) = refused(
        |upgrade| upgrade.protocols(["x"]).require_protocol(true),
        400,
    )
    .await;
    assert!(matches!(error, AcceptError::NoCommonProtocol), "{error:?}");
    assert_eq!(reply.body, error.to_string());
}

#[tokio::test(start_paused = true)]
async fn headers_of_the_handshake_are_reserved() {
    for name in [
        "connection",
        "upgrade",
        "content-length",
        "transfer-encoding",
        "sec-websocket-accept",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ] {
        let name = HeaderName::from_static(name);
        let header = name.clone();
        let add = |upgrade: WebSocketUpgrade| upgrade.header(header, HeaderValue::from_static("x"));
        let (error, _reply) = refused(add, 500).await;
        assert!(
            matches!(&error, AcceptError::ReservedHeader(reserved) if *reserved == name),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn other_headers_go_out_with_the_101() {
    let (reply, _peer) = answer(|upgrade| {
        upgrade
            .header(SET_COOKIE, HeaderValue::from_static("a=1"))
            .header(SET_COOKIE, HeaderValue::from_static("b=2"))
            .header(
                HeaderName::from_static("x-room"),
                HeaderValue::from_static("blue"),
            )
    })
    .await;
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(reply.header("x-room"), ["blue"]);
    assert_eq!(
        reply.header("sec-websocket-accept"),
        ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    );
}

#[tokio::test(start_paused = true)]
async fn the_layers_message_size_is_inclusive() {
    let layer = UpgradeLayer::new().max_message_size(300);
    for (length, passes) in [(300, true), (301, false)] {
        let (mut peer, _ended) = open_under(layer.clone(), |upgrade| async {
            respond(upgrade.serve(echo).await)
        })
        .await;
        assert_size(&mut peer, length, passes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_message_size_beats_the_layers() {
    let layer = UpgradeLayer::new().max_message_size(300);
    for (length, passes) in [(300, true), (70_000, true), (70_001, false)] {
        let (mut peer, _ended) = open_under(layer.clone(), |upgrade| async {
            respond(upgrade.max_message_size(70_000).serve(echo).await)
        })
        .await;
        assert_size(&mut peer, length, passes).await;
    }
}

/// A message of so many bytes is echoed, or closes the socket with 1009.
async fn assert_size(peer: &mut Peer, length: usize, passes: bool) {
    let message = "x".repeat(length);
    peer.send(TEXT, &message).await;
    if passes {
        peer.expect_text(&message).await;
    } else {
        peer.expect_close(1009, "frame too big").await;
    }
}
