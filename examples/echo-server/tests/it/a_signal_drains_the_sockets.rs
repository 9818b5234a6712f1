//! SIGTERM and Ctrl-C: every socket gets its Close, one line tells what became of them, and the exit code is 0.

use futures_util::future::poll_fn;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Empty;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Server, extended_connect, handshake, http2, within};

async fn connect(server: &Server) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let (mut client, _) = within(connect_async(server.socket_url())).await.unwrap();
    echo(&mut client).await;
    client
}

async fn echo<S>(client: &mut WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.send(Message::text("hello")).await.unwrap();
    let echo = within(client.next()).await.unwrap().unwrap();
    assert_eq!(echo, Message::text("hello"));
}

/// The Close, and then the end.
async fn expect_close<S>(client: &mut WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Message::Close(Some(close)) = within(client.next()).await.unwrap().unwrap() else {
        panic!("no Close");
    };
    let close = (u16::from(close.code), close.reason.to_string());
    assert_eq!(close, (1001, "the server stops".to_owned()));
    assert!(within(client.next()).await.is_none());
}

#[tokio::test]
async fn on_both_versions_of_http() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]).await;
        let mut clients = [connect(&server).await, connect(&server).await];
        let (mut requests, _connection) = http2(&server).await;
        let mut http2 = extended_connect(&mut requests, &server).await;
        echo(&mut http2).await;
        server.signal(signal).await;
        for client in &mut clients {
            expect_close(client).await;
        }
        expect_close(&mut http2).await;
        let (said, code) = server.end().await;
        assert_eq!(said, "drained: 3 sockets closed, 0 aborted\n", "{signal}");
        assert_eq!(code, Some(0), "{signal}");
    }
}

/// RFC 9113, 6.8: "Once the GOAWAY is sent, the sender will ignore frames sent on streams initiated by the receiver if the
/// stream has an identifier higher than the included last stream identifier"; a client opens none there, and a page whose
/// socket was closed tries again on a new connection.
#[tokio::test]
async fn an_http2_connection_takes_no_new_streams_once_the_drain_has_begun() {
    let server = Server::start(&["--drain", "10m"]).await;
    let (mut requests, connection) = http2(&server).await;
    let mut socket = extended_connect(&mut requests, &server).await;
    echo(&mut socket).await;
    server.signal("TERM").await;
    // The Close is not answered yet, so the drain goes on.
    let close = within(poll_fn(|cx| socket.poll_next_unpin(cx))).await;
    assert!(close.unwrap().unwrap().is_close());
    let again = within(requests.send_request(handshake(&server))).await;
    let error = again.expect_err("the old connection took another stream");
    assert!(error.is_canceled(), "{error:?}");

    let (mut requests, _connection) = http2(&server).await;
    let refused = within(requests.send_request(handshake(&server))).await;
    assert_eq!(refused.unwrap().status(), 503);
    let page = Request::get(&server.url).body(Empty::new()).unwrap();
    let page = within(requests.send_request(page)).await.unwrap();
    assert_eq!(page.status(), 200);

    // The socket on the old connection is open until it is drained.
    assert!(within(socket.next()).await.is_none());
    drop(socket);
    within(connection).await.unwrap().unwrap();
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 1 sockets closed, 0 aborted\n");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn who_does_not_answer_is_cut_off_at_the_deadline() {
    let server = Server::start(&["--drain", "500ms"]).await;
    let _silent = connect(&server).await;
    let mut client = connect(&server).await;
    server.signal("TERM").await;
    expect_close(&mut client).await;
    drop(client);
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 1 sockets closed, 1 aborted\n");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let server = Server::start(&["--drain", "10m"]).await;
    let mut client = connect(&server).await;
    server.signal("TERM").await;
    // It does not answer what it gets.
    let close = within(poll_fn(|cx| client.poll_next_unpin(cx))).await;
    assert!(close.unwrap().unwrap().is_close());
    server.signal("INT").await;
    let (said, code) = server.end().await;
    assert_eq!((&*said, code), ("", Some(1)));
}

#[tokio::test]
async fn without_sockets_it_ends_at_once() {
    let server = Server::start(&["--drain", "off"]).await;
    server.signal("TERM").await;
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 0 sockets closed, 0 aborted\n");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn and_there_is_a_limit_of_them() {
    let server = Server::start(&["--max-sockets", "1"]).await;
    let mut client = connect(&server).await;
    let Err(Error::Http(refused)) = within(connect_async(server.socket_url())).await else {
        panic!("it got a socket");
    };
    assert_eq!(refused.status(), 503);
    echo(&mut client).await;
}

/// The longest durations that the options take, as "for ever".
#[tokio::test]
async fn however_long_it_may_take() {
    let longest = &format!("{}ms", u64::MAX);
    let options = [
        "--keep-alive",
        "--keep-alive-timeout",
        "--idle-timeout",
        "--max-lifetime",
        "--drain",
    ];
    let server = Server::start(&options.map(|option| [option, longest]).concat()).await;
    let mut client = connect(&server).await;
    server.signal("TERM").await;
    expect_close(&mut client).await;
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 1 sockets closed, 0 aborted\n");
    assert_eq!(code, Some(0));
}
