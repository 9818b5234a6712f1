//! An endpoint that fails while the socket is open: the peer gets Close 1011, and nobody else is harmed.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::task::yield_now;
use tower::{Layer, Service, service_fn};
use towline_core::{ClosedBy, WebSocket, WebSocketUpgrade};
use towline_testing::Peer;
use towline_upgrade::UpgradeLayer;

use crate::support::{
    BoxError, Counting, End, PanicsOnDrop, echo, once, open, open_served, poll_once, respond,
    response, serve,
};

/// Accepts and leaves the socket to a task that echoes.
async fn accept_elsewhere(upgrade: WebSocketUpgrade) {
    let socket = upgrade.accept().await.unwrap();
    tokio::spawn(echo(socket));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_500() {
    let (mut peer, ended) = open(|upgrade| async {
        accept_elsewhere(upgrade).await;
        response(500, "")
    })
    .await;
    peer.expect_close(1011, "").await;
    assert!(matches!(ended.wait().await, Some(End::Response(500, None))));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_400() {
    let (mut peer, _ended) = open(|upgrade| async {
        accept_elsewhere(upgrade).await;
        response(400, "")
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_service_error() {
    let (service, _ended) = once(|request| async move {
        accept_elsewhere(WebSocketUpgrade::of(&request)?).await;
        Err::<Response<String>, _>(BoxError::from("failed"))
    });
    let mut peer = serve(UpgradeLayer::new().layer(service)).open().await;
    peer.expect_close(1011, "").await;
}

/// The handle is dropped as the future ends, and it is known only then that the endpoint failed.
#[tokio::test(start_paused = true)]
async fn a_status_of_500_after_the_handle_was_dropped() {
    let (mut peer, _ended) = open(|upgrade| async {
        drop(upgrade.accept().await.unwrap());
        response(500, "")
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_served_error() {
    let (mut peer, ended) = open(|upgrade| async {
        let served = upgrade.serve(|mut socket| async move {
            socket.recv().await;
            Err::<(), _>("failed")
        });
        respond(served.await)
    })
    .await;
    peer.text("hello").await;
    peer.expect_close(1011, "").await;
    peer.close(1011, "").await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.by(), u16::from(closed.code())),
        (ClosedBy::Endpoint, 1011)
    );
}

/// What a `send` gives when the peer is gone is no failure of the endpoint.
#[tokio::test(start_paused = true)]
async fn a_served_error_behind_the_peers_close_is_none() {
    let (mut peer, ended) = open(|upgrade| async {
        let served = upgrade.serve(|mut socket| async move {
            while socket.recv().await.is_some() {}
            Err::<(), _>("there is nobody any more")
        });
        respond(served.await)
    })
    .await;
    peer.close(1001, "").await;
    peer.expect_close(1001, "").await;
    assert_eq!(ended.closed().await.by(), ClosedBy::Peer);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_endpoint() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        let message = socket.recv().await;
        panic!("{message:?}");
    })
    .await;
    peer.text("panic").await;
    peer.expect_close(1011, "").await;
    peer.close(1011, "").await;
    peer.expect_end().await;
    assert!(ended.wait().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_endpoint_while_the_socket_is_elsewhere() {
    let (mut peer, _ended) = open(|upgrade| async {
        accept_elsewhere(upgrade).await;
        yield_now().await;
        panic!("without the socket");
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_task_that_owns_the_socket() {
    let (mut peer, ended) = open(|upgrade| async {
        let socket = upgrade.accept().await.unwrap();
        let closed = socket.closed();
        tokio::spawn(async move {
            let mut socket = socket;
            let message = socket.recv().await;
            panic!("{message:?}");
        });
        closed.await.into()
    })
    .await;
    peer.text("panic").await;
    peer.expect_close(1011, "").await;
    peer.close(1011, "").await;
    let closed = ended.closed().await;
    assert_eq!(
        (closed.by(), u16::from(closed.code())),
        (ClosedBy::Endpoint, 1011)
    );
}

/// A service whose future, and whose response's body, may panic when they are dropped.
fn dropping<F, Fut, R: 'static>(
    endpoint: F,
) -> impl Service<
    Request<Incoming>,
    Response = Response<R>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
> + Clone
+ Send
+ 'static
where
    F: FnOnce(WebSocketUpgrade) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<R>> + Send + 'static,
{
    service_fn(move |request: Request<Incoming>| {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        PanicsOnDrop(Box::pin(endpoint.clone()(upgrade).map(Ok)))
    })
}

async fn open_dropping<F, Fut>(endpoint: F) -> Peer
where
    F: FnOnce(WebSocketUpgrade) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<String>> + Send + 'static,
{
    serve(UpgradeLayer::new().layer(dropping(endpoint)))
        .open()
        .await
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_the_endpoints_future() {
    let mut peer = open_dropping(|upgrade| async {
        accept_elsewhere(upgrade).await;
        response(200, "")
    })
    .await;
    peer.expect_close(1011, "").await;
}

/// Both panic, one after the other.
#[tokio::test(start_paused = true)]
async fn a_panic_and_another_in_the_drop() {
    let mut peer = open_dropping(|upgrade| async {
        accept_elsewhere(upgrade).await;
        panic!("the first");
    })
    .await;
    peer.expect_close(1011, "").await;
}

/// The drop comes at the end of the grace, when there is no peer any more.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_an_endpoint_that_overstayed() {
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let service = dropping(|upgrade| async {
        let _ = upgrade.serve(echo).await;
        pending::<Response<String>>().await
    });
    let mut peer = serve(layer.layer(service)).open().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    drop(peer);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!((tasks.tasks(), tasks.panics()), (1, 0));
}

fn panicking_body() -> Response<PanicsOnDrop<()>> {
    Response::new(PanicsOnDrop(()))
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_the_response() {
    let (service, _ended) = once(|request| async move {
        accept_elsewhere(WebSocketUpgrade::of(&request)?).await;
        Ok(panicking_body())
    });
    let mut peer = serve(UpgradeLayer::new().layer(service)).open().await;
    peer.expect_close(1011, "").await;
}

/// Accepts, leaves the socket to a task, and goes on in the same poll.
async fn accept_in_this_poll(upgrade: WebSocketUpgrade) {
    let mut accept = upgrade.accept();
    assert!(poll_once(&mut accept).await.is_pending());
    tokio::spawn(async { echo(accept.await.unwrap()).await });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_response_of_the_same_poll() {
    let (service, _ended) = once(|request| async move {
        accept_in_this_poll(WebSocketUpgrade::of(&request)?).await;
        Ok(panicking_body())
    });
    let mut peer = serve(UpgradeLayer::new().layer(service)).open().await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_future_of_the_same_poll() {
    let mut peer = open_dropping(|upgrade| async {
        accept_in_this_poll(upgrade).await;
        response(200, "")
    })
    .await;
    peer.expect_close(1011, "").await;
}

#[tokio::test(start_paused = true)]
async fn another_socket_is_unharmed() {
    let panicking = |mut socket: WebSocket| async move {
        socket.recv().await;
        panic!("only one socket");
    };
    let (mut other, _ended) = open_served(echo).await;
    let (mut peer, _ended) = open_served(panicking).await;
    peer.text("panic").await;
    peer.expect_close(1011, "").await;
    other.expect_echo().await;
}
