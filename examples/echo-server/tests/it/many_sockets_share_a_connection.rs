//! HTTP/2: as many sockets on a connection as `--max-streams` says, and no more.

use std::pin::pin;

use futures_util::future::{join_all, poll_fn};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Server, extended_connect, http2, within};

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, text: String) {
    let message = Message::text(text);
    within(socket.send(message.clone())).await.unwrap();
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), message);
}

#[tokio::test]
async fn a_thousand_by_default() {
    let server = Server::start(&[]).await;
    assert_eq!(max_concurrent_streams(&server).await, 1000);
    let (requests, _connection) = http2(&server).await;
    let opening = (0..1000).map(|_| {
        let (mut requests, server) = (requests.clone(), &server);
        async move { extended_connect(&mut requests, server).await }
    });
    let mut sockets = join_all(opening).await;
    // More than hyper's default of the connection's window, 1 MiB, is under way at a time.
    let echoing = sockets.iter_mut().enumerate().map(|(number, socket)| {
        let text = format!("{number}").repeat(4096);
        echo(socket, text)
    });
    join_all(echoing).await;
    let closing = sockets.iter_mut().map(|socket| socket.close(None));
    for closed in within(join_all(closing)).await {
        closed.unwrap();
    }
    for socket in &mut sockets {
        while within(socket.next()).await.is_some() {}
    }
    drop(sockets);
    // The connection has survived it.
    let mut requests = requests;
    echo(
        &mut extended_connect(&mut requests, &server).await,
        "hello".into(),
    )
    .await;
}

#[tokio::test]
async fn or_as_the_option_says() {
    let server = Server::start(&["--max-streams", "2"]).await;
    assert_eq!(max_concurrent_streams(&server).await, 2);
    let (mut requests, _connection) = http2(&server).await;
    let mut first = extended_connect(&mut requests, &server).await;
    let mut second = extended_connect(&mut requests, &server).await;
    let mut waiting = requests.clone();
    let mut third = pin!(extended_connect(&mut waiting, &server));
    for _ in 0..10 {
        echo(&mut second, "hello".to_owned()).await;
        let opened = poll_fn(|cx| std::task::Poll::Ready(third.as_mut().poll(cx).is_ready())).await;
        assert!(!opened, "a third socket");
    }
    within(first.close(None)).await.unwrap();
    while within(first.next()).await.is_some() {}
    drop(first);
    echo(&mut within(third).await, "hello".to_owned()).await;
}

/// The settings that the server sends.
async fn max_concurrent_streams(server: &Server) -> u32 {
    let mut client = TcpStream::connect(server.authority()).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.write_all(preface).await.unwrap();
    let mut head = [0; 9];
    within(client.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut settings = vec![0; usize::from(head[2])];
    within(client.read_exact(&mut settings)).await.unwrap();
    // RFC 9113, 6.5.2: SETTINGS_MAX_CONCURRENT_STREAMS (0x03).
    let (pairs, _) = settings.as_chunks::<6>();
    let setting = pairs.iter().find(|pair| pair[..2] == [0, 3]).unwrap();
    u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]])
}
