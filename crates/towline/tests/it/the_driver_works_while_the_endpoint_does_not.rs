//! Pings are answered and closes noticed although the endpoint does something else, and no handle but the owner keeps a
//! socket open.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tower::{ServiceBuilder, service_fn};
use towline::{
    CloseCode, ClosedBy, Control, PingError, SendError, Sender, TrySendError, UpgradeLayer,
    WebSocket, WebSocketUpgrade, test_util,
};
use towline_testing::{EVERYWHERE, NoBody, app, connect, next, serve, within};

#[tokio::test]
async fn an_endpoint_that_never_receives_answers_pings_and_notices_a_close() {
    for (server, http) in EVERYWHERE {
        let (ends, mut ended) = mpsc::unbounded_channel();
        let endpoint = service_fn(move |request: Request<NoBody>| {
            let ends = ends.clone();
            async move {
                let socket = WebSocketUpgrade::of(&request)
                    .unwrap()
                    .accept()
                    .await
                    .unwrap();
                let closed = socket.closed().await;
                ends.send(closed.clone()).unwrap();
                Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
            }
        });
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(server, http, app(layers.service(endpoint))).await;

        let mut client = connect(http, address).await;
        for text in ["not", "taken"] {
            client.send(text).await;
        }
        let ping = Message::Ping(Bytes::from_static(b"alive?"));
        client.socket.send(ping).await.unwrap();
        let pong = within(client.socket.next()).await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"alive?")));
        client.close().await;
        let closed = next(&mut ended).await;
        assert_eq!(
            (closed.by(), closed.code()),
            (ClosedBy::Peer, CloseCode::NORMAL)
        );
        assert_eq!(closed.messages_received(), 2);
    }
}

/// What an endpoint leaves behind for others.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<(Sender, Control)>>>);

#[tokio::test]
async fn a_sender_in_a_registry_keeps_no_socket_open() {
    for (server, http) in EVERYWHERE {
        let registry = Registry::default();
        let left = registry.clone();
        let endpoint = service_fn(move |request: Request<NoBody>| {
            let registry = left.clone();
            async move {
                let upgrade = WebSocketUpgrade::of(&request).unwrap();
                let served = upgrade.serve(|socket| async move {
                    let (sender, mut receiver) = socket.split();
                    registry
                        .0
                        .lock()
                        .unwrap()
                        .push((sender.clone(), receiver.control()));
                    let first = receiver.recv().await.unwrap();
                    sender.send(first).await.unwrap();
                    // The receiver goes, the sender in the registry stays.
                });
                Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
            }
        });
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(server, http, app(layers.service(endpoint))).await;

        let mut client = connect(http, address).await;
        client.echo("only this").await;
        assert_eq!(client.closed().await, Some(1000), "{server:?} {http:?}");

        let (sender, control) = registry.0.lock().unwrap().pop().unwrap();
        let closed = within(control.closed()).await;
        assert_eq!(closed.by(), ClosedBy::Endpoint);
        assert_eq!(sender.send("too late").await, Err(SendError::Closed));
        assert_eq!(
            sender.try_send("too late"),
            Err(TrySendError::Closed("too late".into()))
        );
        assert_eq!(sender.ping().await, Err(PingError::Closed));
    }
}

#[tokio::test]
async fn control_closes_and_aborts_from_elsewhere() {
    for (server, http) in EVERYWHERE {
        let (controls, mut control) = mpsc::unbounded_channel();
        let endpoint = service_fn(move |request: Request<NoBody>| {
            let controls = controls.clone();
            async move {
                let upgrade = WebSocketUpgrade::of(&request).unwrap();
                let served = upgrade.serve(|mut socket| async move {
                    controls.send(socket.control()).unwrap();
                    while let Some(message) = socket.recv().await {
                        socket.send(message).await.unwrap();
                    }
                });
                Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
            }
        });
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(server, http, app(layers.service(endpoint))).await;

        let mut client = connect(http, address).await;
        let revoke = next(&mut control).await;
        client.echo("valid").await;
        assert!(revoke.close(1005, "").is_err());
        revoke.close(1008, "token revoked").unwrap();
        assert_eq!(client.closed().await, Some(1008));
        let closed = within(revoke.closed()).await;
        assert_eq!(
            (closed.code(), closed.reason()),
            (CloseCode::POLICY, "token revoked")
        );

        let mut client = connect(http, address).await;
        let cut = next(&mut control).await;
        client.echo("still here").await;
        cut.abort();
        let closed = within(cut.closed()).await;
        assert_eq!(closed.code(), CloseCode::ABNORMAL);
        // No Close, whatever the transport makes of the rest.
        let end = within(client.socket.next()).await;
        assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    }
}

#[tokio::test]
async fn a_ping_resolves_to_the_round_trip_time() {
    for (server, http) in EVERYWHERE {
        let endpoint = service_fn(|request: Request<NoBody>| async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served = upgrade.serve(|mut socket| async move {
                let _ = socket.recv().await;
                let (first, second) = tokio::join!(socket.ping(), socket.ping());
                let text = format!("{} {}", first.is_ok(), second.is_ok());
                socket.send(text).await.unwrap();
                socket.flush().await.unwrap();
            });
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
        });
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(server, http, app(layers.service(endpoint))).await;

        let mut client = connect(http, address).await;
        client.send("go").await;
        // tungstenite answers pings while it reads.
        loop {
            match within(client.socket.next()).await.unwrap().unwrap() {
                Message::Text(text) => break assert_eq!(text.as_str(), "true true"),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(client.closed().await, Some(1000));
    }
}

/// Whatever was read and done since the inbox was last looked at.
#[tokio::test(start_paused = true)]
async fn no_more_is_decoded_than_the_inbox_takes() {
    /// Of messages that wait for the endpoint.
    const FULL: u64 = 64;

    let (received, mut counts) = mpsc::unbounded_channel();
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let received = received.clone();
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served = upgrade.serve(|socket: WebSocket| async move {
                sleep(Duration::from_secs(10)).await;
                socket.abort();
                received
                    .send(socket.closed().await.messages_received())
                    .unwrap();
            });
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
        }
    });
    let app = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(|_| NoBody::new()))
        .layer(UpgradeLayer::new())
        .service(endpoint);
    let (mut client, _) = test_util::connect(app, test_util::http1("/ws"))
        .await
        .unwrap();
    for _ in 0..4 {
        for _ in 0..20 {
            client.feed(Message::text("x")).await.unwrap();
        }
        client.flush().await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(counts.recv().await, Some(FULL));
}
