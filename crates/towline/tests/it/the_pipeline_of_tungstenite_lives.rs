//! The layers around a raw connection stay until tungstenite, which has it, drops it.

use std::convert::Infallible;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{ServiceBuilder, ServiceExt, layer::layer_fn, service_fn};
use towline::{UpgradeLayer, WebSocketUpgrade};
use towline_testing::{
    EVERYWHERE, NoBody, app, connect, next, serve, tungstenite_echo as endpoint, within,
};

use crate::a_guard_drops_at_the_close::Guarded;

#[tokio::test]
async fn a_guard_and_a_permit_are_held_and_code_runs_at_the_end() {
    for (server, http) in EVERYWHERE {
        let (log, mut events) = mpsc::unbounded_channel();
        let [dropped, let_in, answered] = [(); 3].map(|()| log.clone());
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .layer(layer_fn(move |inner| Guarded {
                inner,
                dropped: dropped.clone(),
            }))
            .map_request(move |request: Request<NoBody>| {
                let_in.send("let in").unwrap();
                request
            })
            .map_response(move |response| {
                answered.send("answered").unwrap();
                response
            })
            .service_fn(endpoint);
        // A limit holds requests back in `poll_ready`.
        let stack = service_fn(move |request| {
            log.send("arrived").unwrap();
            stack.clone().oneshot(request)
        });
        let address = serve(server, http, app(stack)).await;

        let mut first = connect(http, address).await;
        for event in ["arrived", "let in"] {
            assert_eq!(next(&mut events).await, event);
        }
        let second = tokio::spawn(async move { connect(http, address).await });
        assert_eq!(next(&mut events).await, "arrived");
        for _ in 0..100 {
            first.echo("still here").await;
        }
        let early = events.try_recv();
        assert_eq!(early, Err(TryRecvError::Empty), "{server:?} {http:?}");

        first.close().await;
        for event in ["answered", "dropped", "let in"] {
            assert_eq!(next(&mut events).await, event, "{server:?} {http:?}");
        }
        let mut second = within(second).await.unwrap();
        second.echo("at last").await;
        // Without any Close.
        drop(second);
        for event in ["answered", "dropped"] {
            assert_eq!(next(&mut events).await, event, "{server:?} {http:?}");
        }
    }
}

/// The endpoint is polled whenever its connection is ready, for reading or for writing.
#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    for (server, http) in EVERYWHERE {
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .service_fn(endpoint);
        let address = serve(server, http, app(stack)).await;
        let client = connect(http, address).await;
        client.read_late(100, Duration::from_millis(500)).await;
    }
}

/// What the endpoint leaves unread neither resets the connection nor the stream of HTTP/2.
#[tokio::test]
async fn a_close_is_not_lost_when_the_endpoint_drops_the_stream() {
    async fn endpoint(request: Request<NoBody>) -> Result<Response<NoBody>, Infallible> {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let raw = upgrade.accept_raw().await.unwrap();
        let mut stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
        let message = stream.next().await.unwrap().unwrap();
        stream.send(message).await.unwrap();
        let frame = CloseFrame {
            code: CloseCode::Away,
            reason: "enough".into(),
        };
        stream.close(Some(frame)).await.unwrap();
        Ok(Response::new(NoBody::new()))
    }
    for (server, http) in EVERYWHERE {
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .service_fn(endpoint);
        let address = serve(server, http, app(stack)).await;
        let mut client = connect(http, address).await;
        client.send("one").await;
        let unread = Message::binary(vec![0; 50_000]);
        client.socket.send(unread).await.unwrap();
        assert_eq!(client.recv().await, "one");
        assert_eq!(client.closed().await, Some(1001), "{server:?} {http:?}");
    }
}
