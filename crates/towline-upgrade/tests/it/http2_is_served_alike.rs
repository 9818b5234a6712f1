//! Extended CONNECT (RFC 8441), by hyper's own client.

use std::future::Future;
use std::time::Duration;

use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::ext::Protocol;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::duplex;
use tower::{Layer, Service};
use towline_core::{ClosedBy, Violation, WebSocket, WebSocketUpgrade};
use towline_testing::{
    BINARY, CLOSE, Clock, PING, PONG, Peer, TEXT, close_body, frame, settle, soon,
};
use towline_upgrade::UpgradeLayer;

use crate::support::{BoxError, Ended, echo, once, respond, response};

/// A connection of HTTP/2 to this service.
async fn connect<S>(service: S) -> SendRequest<String>
where
    S: Service<Request<Incoming>, Response = Response<String>, Error = BoxError>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let (client, server) = duplex(64 * 1024);
    let service = TowerToHyperService::new(UpgradeLayer::new().layer(service));
    let mut server_builder = http2::Builder::new(TokioExecutor::new());
    server_builder.enable_connect_protocol();
    tokio::spawn(server_builder.serve_connection(TokioIo::new(server), service));
    let client = handshake(TokioExecutor::new(), TokioIo::new(client)).await;
    let (requests, connection) = client.unwrap();
    tokio::spawn(connection);
    // Extended CONNECT is the server's to allow: its settings come first.
    settle().await;
    requests
}

/// The head of an extended CONNECT.
fn request() -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri("https://example.com/ws")
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
}

async fn answer(
    requests: &mut SendRequest<String>,
    request: http::request::Builder,
) -> Response<Incoming> {
    let request = request.body(String::new()).unwrap();
    soon(requests.send_request(request)).await.unwrap()
}

/// An open socket, its connection, and the endpoint's end.
async fn open_served<F, Fut>(endpoint: F) -> (Peer, SendRequest<String>, Ended)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (service, ended) = once(|request| async move {
        Ok(respond(
            WebSocketUpgrade::of(&request)?.serve(endpoint).await,
        ))
    });
    let mut requests = connect(service).await;
    let response = answer(&mut requests, request()).await;
    assert_eq!(response.status(), 200);
    (peer(response).await, requests, ended)
}

async fn peer(response: Response<Incoming>) -> Peer {
    let upgraded = soon(hyper::upgrade::on(response)).await.unwrap();
    Peer::new(TokioIo::new(upgraded))
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_accepted_by_200() {
    let (service, ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?.protocols(["chat"]);
        assert_eq!(upgrade.version(), Version::HTTP_2);
        Ok(respond(upgrade.serve(echo).await))
    });
    let mut requests = connect(service).await;
    let request = request().header("sec-websocket-protocol", "chat");
    let response = answer(&mut requests, request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for absent in [
        "connection",
        "upgrade",
        "sec-websocket-accept",
        "content-length",
    ] {
        assert!(!response.headers().contains_key(absent), "{absent}");
    }
    let mut peer = peer(response).await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.version(), closed.protocol()),
        (Version::HTTP_2, Some("chat"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_is_answered_all_the_same() {
    let (service, _ended) =
        once(
            |request| async move { Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await)) },
        );
    let mut requests = connect(service).await;
    let request = request().header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = answer(&mut requests, request).await;
    let accept = &response.headers()["sec-websocket-accept"];
    assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test(start_paused = true)]
async fn closed_is_a_response_of_200() {
    let (mut peer, _requests, ended) = open_served(echo).await;
    peer.close(4000, "bye").await;
    peer.expect_close(4000, "").await;
    let Some(crate::support::End::Response(200, Some(closed))) = ended.wait().await else {
        panic!("a 200 that carries `Closed`");
    };
    assert_eq!((closed.by(), closed.reason()), (ClosedBy::Peer, "bye"));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_accept_answers() {
    let (service, _ended) = once(|_| async { Ok(response(403, "no")) });
    let mut requests = connect(service).await;
    let response = answer(&mut requests, request()).await;
    assert_eq!(response.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_handshake_is_a_400_without_the_headers_of_http1() {
    let (service, _ended) = once(|request: Request<_>| async move {
        Ok(Response::<String>::from(
            WebSocketUpgrade::of(&request).unwrap_err(),
        ))
    });
    let mut requests = connect(service).await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("https://example.com/ws")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "8");
    let response = answer(&mut requests, request).await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert!(!response.headers().contains_key("upgrade"));
}

/// Both directions at once, more than the windows hold.
#[tokio::test(start_paused = true)]
async fn large_messages_pass() {
    let (mut peer, _requests, _ended) = open_served(echo).await;
    for _ in 0..8 {
        peer.send(BINARY, vec![7; 200_000]).await;
        let (opcode, payload) = peer.frame().await.unwrap();
        assert_eq!((opcode, payload.len()), (BINARY, 200_000));
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_the_endpoint_sleeps() {
    let (mut peer, _requests, _ended) = open_served(|socket| async move {
        settle().await;
        socket.closed().await;
    })
    .await;
    peer.send(PING, "one").await;
    peer.expect(PONG, "one").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_before_the_close_in_one_packet_is_echoed() {
    let (mut peer, _requests, ended) = open_served(echo).await;
    let packet = [
        frame(TEXT, "last words"),
        frame(CLOSE, close_body(1000, "")),
    ]
    .concat();
    peer.write(packet).await;
    peer.expect_text("last words").await;
    peer.expect_close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_close_reaches_the_client() {
    let (mut peer, _requests, ended) = open_served(|_socket| async {}).await;
    peer.expect_close(1000, "").await;
    peer.close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_violation_is_told_before_the_stream_ends() {
    let (mut peer, _requests, ended) = open_served(echo).await;
    peer.write(b"\x81\x02hi").await;
    let violation = Violation::UnmaskedClientFrame;
    peer.expect_close(1002, &violation.to_string()).await;
    peer.expect_end().await;
    drop(peer);
    assert_eq!(ended.closed().await.by(), ClosedBy::Violation(violation));
}

#[tokio::test(start_paused = true)]
async fn a_panic_closes_with_1011() {
    let (mut peer, _requests, _ended) = open_served(|mut socket| async move {
        let message = socket.recv().await;
        panic!("{message:?}");
    })
    .await;
    peer.text("panic").await;
    peer.expect_close(1011, "").await;
}

/// The stream is reset, and the connection lives on.
#[tokio::test(start_paused = true)]
async fn a_client_that_drops_its_stream_is_noticed() {
    let (peer, _requests, ended) = open_served(echo).await;
    let clock = Clock::start();
    drop(peer);
    let closed = ended.closed().await;
    assert_eq!(
        (closed.by(), u16::from(closed.code())),
        (ClosedBy::Transport, 1006)
    );
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drops_its_connection_is_noticed() {
    let (peer, requests, ended) = open_served(echo).await;
    drop((peer, requests));
    assert_eq!(ended.closed().await.by(), ClosedBy::Transport);
}

/// Two sockets share a connection; the end of one is nothing to the other.
#[tokio::test(start_paused = true)]
async fn sockets_of_one_connection_are_independent() {
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        Ok::<_, BoxError>(respond(WebSocketUpgrade::of(&request)?.serve(echo).await))
    });
    let mut requests = connect(service).await;
    let mut one = peer(answer(&mut requests, request()).await).await;
    let mut two = peer(answer(&mut requests, request()).await).await;
    one.expect_echo().await;
    two.expect_echo().await;
    one.close(1000, "").await;
    one.expect_close(1000, "").await;
    one.expect_end().await;
    two.expect_echo().await;
}
