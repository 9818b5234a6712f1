//! A raw connection, here read and written by tungstenite, has the same pipeline around it.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Response, Version, header};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tower::Layer;
use towline_core::{AcceptError, RawConnection, UpgradeFailed, WebSocketUpgrade};
use towline_testing::{
    BINARY, CLOSE, CONTINUATION, Clock, FIN, NEVER, PING, PONG, Peer, TEXT, handshake_with, settle,
    soon,
};
use towline_upgrade::UpgradeLayer;

use crate::support::{
    Counting, End, Ended, once, open_under, poll_once, response, serve, serve_unanswered,
};

/// Accepts a raw connection and gives it to tungstenite, with the limits of the layer or the endpoint.
pub(crate) async fn accept(
    upgrade: WebSocketUpgrade,
) -> Result<WebSocketStream<RawConnection>, AcceptError> {
    let raw = upgrade.accept_raw().await?;
    let limit = Some(raw.limits().max_message_size);
    let config = WebSocketConfig::default()
        .max_message_size(limit)
        .max_frame_size(limit);
    Ok(WebSocketStream::from_raw_socket(raw, Role::Server, Some(config)).await)
}

/// Echoes messages, and drops the stream when it ends.
pub(crate) async fn echo(mut stream: WebSocketStream<RawConnection>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() || message.is_binary() {
            stream.send(message).await.unwrap();
        }
    }
}

/// Opens a socket to an endpoint that uses tungstenite.
pub(crate) async fn open<F, Fut>(layer: UpgradeLayer, endpoint: F) -> (Peer, Ended)
where
    F: FnOnce(WebSocketStream<RawConnection>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    open_under(layer, |upgrade| async {
        endpoint(accept(upgrade).await.unwrap()).await;
        response(200, "")
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_lives_until_the_close() {
    let (mut peer, mut ended) = open(UpgradeLayer::new(), echo).await;
    peer.expect_echo().await;
    peer.send(PING, "now?").await;
    peer.expect(PONG, "now?").await;
    tokio::time::sleep(NEVER).await;
    assert!(ended.is_pending());
    peer.expect_echo().await;
    peer.close(4000, "bye").await;
    peer.expect_close(4000, "bye").await;
    peer.expect_end().await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
}

/// The grace of the endpoint begins when its stream is dropped.
#[tokio::test(start_paused = true)]
async fn the_grace_of_the_endpoint_begins_at_the_end_of_the_stream() {
    let grace = Duration::from_secs(5);
    let layer = UpgradeLayer::new().endpoint_grace(grace);
    let (at_end, mut ends) = oneshot::channel();
    let (mut peer, ended) = open(layer, |stream| async {
        echo(stream).await;
        let _ = at_end.send(Clock::start());
        std::future::pending().await
    })
    .await;
    tokio::time::sleep(10 * grace).await;
    peer.expect_echo().await;
    assert!(ends.try_recv().is_err());
    peer.close(1000, "").await;
    let clock = soon(ends).await.unwrap();
    peer.expect_close(1000, "").await;
    peer.expect_end().await;
    drop(peer);
    assert!(ended.wait().await.is_none(), "dropped");
    clock.assert_about(grace);
}

/// Moved elsewhere the stream goes on without its layers, as a `WebSocket` does; the pipeline's task stays.
#[tokio::test(start_paused = true)]
async fn a_stream_outlives_its_endpoint() {
    let counting = Counting::default();
    let layer = UpgradeLayer::new().executor(counting.clone());
    let (service, ended) = once(|request| async move {
        let stream = accept(WebSocketUpgrade::of(&request)?).await?;
        tokio::spawn(echo(stream));
        Ok(response(200, ""))
    });
    let mut peer = serve(layer.layer(service)).open().await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
    tokio::time::sleep(NEVER).await;
    peer.expect_echo().await;
    assert_eq!(counting.running(), 1);
    drop(peer);
    settle().await;
    assert_eq!(counting.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_connection_tells_what_was_agreed_on() {
    let (service, _ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?.protocols(["superchat"]);
        let mut stream = accept(upgrade).await?;
        let raw = stream.get_ref();
        let protocol = raw.protocol().unwrap_or("none").to_owned();
        assert_eq!(raw.version(), Version::HTTP_11);
        stream.send(Message::text(protocol)).await?;
        Ok(response(200, ""))
    });
    let (reply, mut peer) = serve(UpgradeLayer::new().layer(service))
        .request(handshake_with("sec-websocket-protocol: chat, superchat"))
        .await;
    assert_eq!(reply.header("sec-websocket-protocol"), ["superchat"]);
    peer.expect_text("superchat").await;
}

#[tokio::test(start_paused = true)]
async fn the_library_can_be_given_the_limits_of_the_layer_or_the_accept() {
    for by_layer in [true, false] {
        let (sender, receiver) = oneshot::channel();
        let layer = UpgradeLayer::new().max_message_size(if by_layer { 1000 } else { 10 });
        let (mut peer, _ended) = open_under(layer, move |upgrade| async move {
            let upgrade = match by_layer {
                true => upgrade,
                false => upgrade.max_message_size(1000),
            };
            let mut stream = accept(upgrade).await.unwrap();
            let config = *stream.get_config();
            let just_fits = stream.next().await.unwrap().unwrap();
            assert_eq!(just_fits.len(), 1000);
            let _ = sender.send((config, stream.next().await.unwrap().unwrap_err()));
            response(200, "")
        })
        .await;
        peer.send(BINARY, [7; 1000]).await;
        peer.send(BINARY, [7; 1001]).await;
        let (config, error) = soon(receiver).await.unwrap();
        let limits = (config.max_message_size, config.max_frame_size);
        assert_eq!(limits, (Some(1000), Some(1000)));
        let too_long = CapacityError::MessageTooLong {
            size: 1001,
            max_size: 1000,
        };
        assert!(
            matches!(&error, Error::Capacity(error) if *error == too_long),
            "{error:?}"
        );
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_to_give_it_is_1_mib_by_default() {
    let (mut peer, _ended) = open(UpgradeLayer::new(), echo).await;
    let payload = vec![b'x'; 1 << 20];
    peer.send(TEXT, &payload).await;
    assert_eq!(peer.frame().await, Some((TEXT, payload)));
    // One byte more, in two fragments.
    peer.send(TEXT & !FIN, vec![b'x'; 1 << 20]).await;
    peer.send(CONTINUATION, "x").await;
    peer.expect_end().await;
}

/// What can be refused is refused by a response.
#[tokio::test(start_paused = true)]
async fn options_are_checked_before_the_101() {
    let tasks = Counting::default();
    let layer = UpgradeLayer::new().executor(tasks.clone());
    let (service, _ended) = once(|request| async move {
        let upgrade = WebSocketUpgrade::of(&request)?
            .header(header::CONNECTION, HeaderValue::from_static("close"));
        let error = upgrade.accept_raw().await.unwrap_err();
        assert!(matches!(error, AcceptError::ReservedHeader(_)), "{error:?}");
        Ok(Response::<String>::from(error))
    });
    let (reply, _peer) = serve(layer.layer(service))
        .request(handshake_with(""))
        .await;
    assert_eq!((reply.status, tasks.tasks()), (500, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_fails_the_accept() {
    let (sender, receiver) = oneshot::channel();
    let (service, _ended) = once(|request| async move {
        let _ = sender.send(WebSocketUpgrade::of(&request)?.accept_raw().await.map(drop));
        Ok(response(200, ""))
    });
    let clock = Clock::start();
    let layer = UpgradeLayer::new().handshake_timeout(Duration::from_secs(3));
    let _client = serve_unanswered(layer.layer(service)).await;
    let error = soon(receiver).await.unwrap().unwrap_err();
    clock.assert_about(Duration::from_secs(3));
    assert!(
        matches!(error, AcceptError::UpgradeFailed(UpgradeFailed::TimedOut)),
        "{error:?}"
    );
}

/// Nobody has spoken over the connection yet, so the driver still can.
#[tokio::test(start_paused = true)]
async fn an_accept_that_is_dropped_closes_with_1011() {
    for connected in [false, true] {
        let (mut peer, _ended) = open_under(UpgradeLayer::new(), move |upgrade| async move {
            {
                let mut accept = pin!(upgrade.accept_raw());
                assert!(poll_once(&mut accept).await.is_pending());
                if connected {
                    // The connection comes, and the accept does not look.
                    settle().await;
                }
            }
            std::future::pending().await
        })
        .await;
        peer.expect_close(1011, "").await;
        peer.close(1011, "").await;
        peer.expect_end().await;
    }
}

/// The connection is ended orderly: a Close that was sent is not lost over what the endpoint has not read.
#[tokio::test(start_paused = true)]
async fn what_was_not_read_is_read_to_the_end() {
    let done = Arc::new(Mutex::new(None));
    let report = Arc::clone(&done);
    let (mut peer, ended) = open(UpgradeLayer::new(), |mut stream| async move {
        stream.close(None).await.unwrap();
        drop(stream);
        *report.lock().unwrap() = Some(Clock::start());
    })
    .await;
    peer.expect(CLOSE, "").await;
    peer.expect_end().await;
    ended.wait().await.unwrap();
    let clock = done.lock().unwrap().take().unwrap();
    clock.assert_about(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(990)).await;
    assert!(peer.is_connected().await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!peer.is_connected().await);
}
