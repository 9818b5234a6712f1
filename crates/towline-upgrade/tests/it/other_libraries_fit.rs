//! The handle among futures-util's combinators, tungstenite as the client, and fastwebsockets over a raw connection.

use std::time::Duration;

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocketError};
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message as TungsteniteMessage;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};
use tower::Layer;
use towline_core::pipeline::{Driver, Offer};
use towline_core::{
    Accept, AcceptError, Closed, HandshakeError, Message, RawConnection, SendError, UpgradeFailed,
    WaitClosed, WebSocket, WebSocketUpgrade,
};
use towline_testing::{BINARY, CONTINUATION, FIN, HANDSHAKE, PING, PONG, TEXT, frame, soon};
use towline_upgrade::{Pipeline, ResponseFuture, Upgrade, UpgradeBody, UpgradeLayer};

use crate::support::{
    End, echo, once, open_served, poll_once, respond, response, serve, without_spinning,
};

#[tokio::test(start_paused = true)]
async fn an_echo_is_a_stream_forwarded_into_a_sink() {
    let (mut peer, ended) = open_served(|socket| async {
        let (sink, stream) = StreamExt::split(socket);
        without_spinning(stream.map(Ok).forward(sink))
            .await
            .unwrap();
    })
    .await;
    peer.expect_echo().await;
    peer.expect_echo().await;
    peer.close(1000, "").await;
    peer.expect_close(1000, "").await;
    assert_eq!(ended.closed().await.messages_sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sink_flushes_and_closes_with_1000() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        SinkExt::send(&mut socket, Message::from("one"))
            .await
            .unwrap();
        SinkExt::feed(&mut socket, Message::from("two"))
            .await
            .unwrap();
        SinkExt::close(&mut socket).await.unwrap();
        let late = SinkExt::send(&mut socket, Message::from("late")).await;
        assert_eq!(late.unwrap_err(), SendError::Closed);
        assert_eq!(socket.next().await, None);
    })
    .await;
    peer.expect_text("one").await;
    peer.expect_text("two").await;
    peer.expect_close(1000, "").await;
    peer.close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
}

/// The peer takes its time to answer; nothing happens meanwhile.
#[tokio::test(start_paused = true)]
async fn a_sink_that_closes_waits_quietly() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        assert_eq!(socket.next().await, Some(Message::from("close")));
        assert!(poll_once(&mut socket.next()).await.is_pending());
        without_spinning(SinkExt::close(&mut socket)).await.unwrap();
    })
    .await;
    peer.text("close").await;
    peer.expect_close(1000, "").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    peer.close(1000, "").await;
    peer.expect_end().await;
    assert!(ended.closed().await.is_clean());
}

/// tungstenite over memory, to an echoing endpoint.
async fn tungstenite() -> WebSocketStream<DuplexStream> {
    let (service, _ended) =
        once(
            |request| async move { Ok(respond(WebSocketUpgrade::of(&request)?.serve(echo).await)) },
        );
    let client = serve(UpgradeLayer::new().layer(service)).0;
    soon(client_async("ws://example.com/", client))
        .await
        .unwrap()
        .0
}

#[tokio::test(start_paused = true)]
async fn tungstenite_is_echoed() {
    let mut client = tungstenite().await;
    for message in [
        TungsteniteMessage::text("hello"),
        TungsteniteMessage::binary(vec![0xff; 70_000]),
        TungsteniteMessage::text(""),
    ] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), message);
    }
}

#[tokio::test(start_paused = true)]
async fn tungstenite_closes_cleanly() {
    let mut client = tungstenite().await;
    let frame = CloseFrame {
        code: 4000.into(),
        reason: "bye".into(),
    };
    client.close(Some(frame)).await.unwrap();
    let answer = soon(client.next()).await.unwrap().unwrap();
    let TungsteniteMessage::Close(Some(frame)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((u16::from(frame.code), &*frame.reason), (4000, ""));
    assert!(soon(client.next()).await.is_none());
}

/// Echoes by fastwebsockets, until the peer closes.
async fn fastwebsockets_echo(raw: RawConnection) -> Result<(), WebSocketError> {
    let socket = fastwebsockets::WebSocket::after_handshake(raw, Role::Server);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fastwebsockets_echoes_over_a_raw_connection() {
    let (service, mut ended) = once(|request| async move {
        let raw = WebSocketUpgrade::of(&request)?.accept_raw().await?;
        fastwebsockets_echo(raw).await?;
        Ok(response(200, "closed"))
    });
    let client = serve(UpgradeLayer::new().layer(service));
    let early = frame(TEXT, "in the packet of the handshake");
    let packet = [HANDSHAKE.as_bytes(), &early].concat();
    let (reply, mut peer) = client.request(packet).await;
    assert_eq!(reply.status, 101);
    peer.expect_text("in the packet of the handshake").await;

    // Longer than what the transport holds, so writes and reads wait for each other.
    let long = vec![7; 200_000];
    peer.send(BINARY, &long).await;
    assert_eq!(peer.frame().await, Some((BINARY, long)));
    peer.send(TEXT & !FIN, "in two ").await;
    peer.send(PING, "between").await;
    peer.expect(PONG, "between").await;
    peer.send(CONTINUATION, "fragments").await;
    peer.expect_text("in two fragments").await;

    assert!(ended.is_pending(), "the pipeline lives");
    peer.close(4000, "bye").await;
    peer.expect_close(4000, "bye").await;
    peer.expect_end().await;
    assert!(matches!(ended.wait().await, Some(End::Response(200, None))));
}

#[test]
fn public_types_go_anywhere() {
    fn assert_all<T: Send + Sync + Unpin + 'static>() {}

    assert_all::<Accept>();
    assert_all::<AcceptError>();
    assert_all::<Closed>();
    assert_all::<HandshakeError>();
    assert_all::<Message>();
    assert_all::<SendError>();
    assert_all::<UpgradeFailed>();
    assert_all::<WaitClosed>();
    assert_all::<WebSocket>();
    assert_all::<WebSocketUpgrade>();
    assert_all::<Offer>();
    assert_all::<UpgradeBody<String>>();
    assert_all::<UpgradeLayer>();
    assert_all::<Upgrade<(), ()>>();
    assert_all::<ResponseFuture<std::future::Ready<()>, ()>>();
}

/// What runs in a task of its own needs to be `Send`, even if what it runs is not `Sync`.
#[test]
fn futures_are_send() {
    type Inner = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    fn assert_send<T: Send + 'static>() {}

    assert_send::<Driver>();
    assert_send::<Pipeline<Inner>>();
    assert_send::<ResponseFuture<Inner, ()>>();
    assert_send::<RawConnection>();
}
