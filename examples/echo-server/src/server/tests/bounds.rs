//! Idle connections end; connections with an open socket do not.

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, connect_async};

use super::*;

const SHORT: Duration = Duration::from_millis(300);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
/// The beginning of a head on stream 1: without END_HEADERS, and no CONTINUATION follows.
const HALF_HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";

async fn start() -> SocketAddr {
    serve(server(SHORT, SHORT, None)).await
}

/// Sends `bytes`, and returns how long the server then took to end the connection.
async fn end_after(address: SocketAddr, bytes: &[u8]) -> Duration {
    let begin = Instant::now();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(bytes).await.unwrap();
    within(async { while client.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} }).await;
    begin.elapsed()
}

#[tokio::test]
async fn a_connection_without_a_request_ends() {
    let address = start().await;
    let open = [PREFACE, SETTINGS].concat();
    let half = [PREFACE, SETTINGS, HALF_HEADERS].concat();
    let cases = [
        ("no byte", &b""[..]),
        ("the first bytes of HTTP/2", b"PRI * HT"),
        ("a byte of HTTP/1.1", b"G"),
        (
            "half a head of HTTP/1.1",
            b"GET /ws HTTP/1.1\r\nHost: a\r\n",
        ),
        ("the preface of HTTP/2", PREFACE),
        ("HTTP/2 without a stream", &open),
        ("half a head of HTTP/2", &half),
        ("keep-alive", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let ends = join_all(cases.map(|(_, bytes)| end_after(address, bytes))).await;
    for ((name, _), end) in cases.iter().zip(ends) {
        assert!(end >= SHORT, "{name}: {end:?}");
    }
}

#[tokio::test]
async fn an_http2_connection_without_streams_ends_in_spite_of_pings() {
    let (mut reads, mut writes) = TcpStream::connect(start().await)
        .await
        .unwrap()
        .into_split();
    writes
        .write_all(&[PREFACE, SETTINGS].concat())
        .await
        .unwrap();
    let pinging = async {
        while writes.write_all(PING).await.is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    let reading = async { while reads.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
    within(async {
        tokio::select! {
            () = pinging => {}
            () = reading => {}
        }
    })
    .await;
}

#[tokio::test]
async fn requests_restart_the_clock() {
    let idle = Duration::from_secs(1);
    let address = serve(server(idle, idle, None)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    for _ in 0..4 {
        client
            .write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let read = within(client.read(&mut [0; 4096])).await.unwrap();
        assert!(read > 0, "cut between two requests");
        sleep(idle * 2 / 5).await;
    }
}

#[tokio::test]
async fn a_silent_socket_is_not_cut() {
    let address = start().await;
    let (mut http1, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = http2::handshake(TokioExecutor::new(), stream);
    let (mut requests, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}/ws"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = requests.send_request(request).await.unwrap();
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut http2 = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;

    sleep(SHORT * 5).await;
    echoes(&mut http1).await;
    echoes(&mut http2).await;

    // With the last socket the connection becomes idle.
    within(http2.close(None)).await.unwrap();
    while within(http2.next()).await.is_some() {}
    drop(http2);
    within(connection).await.unwrap().unwrap();
    echoes(&mut http1).await;
}

async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    within(socket.send(Message::text("still here")))
        .await
        .unwrap();
    let echo = within(socket.next()).await.unwrap().unwrap();
    assert_eq!(echo, Message::text("still here"));
}
