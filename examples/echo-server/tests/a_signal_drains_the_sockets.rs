//! SIGTERM and Ctrl-C: every socket gets its Close, one line tells what became of them, and the exit code is 0.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The program, which ends with this value.
struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_echo-server"))
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let address = ready.trim_end().strip_prefix("listening on http://");
        Self {
            address: address.unwrap().parse().unwrap(),
            process,
            stdout,
        }
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let mut kill = Command::new("sh");
        let kill = kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &process]);
        assert!(kill.status().unwrap().success());
    }

    /// What else it says, and its exit code.
    async fn end(mut self) -> (String, Option<i32>) {
        let end = tokio::task::spawn_blocking(move || {
            let mut said = String::new();
            while self.stdout.read_line(&mut said).unwrap() > 0 {}
            (said, self.process.wait().unwrap().code())
        });
        within(end).await.unwrap()
    }

    async fn connect(&self) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let url = format!("ws://{}/ws", self.address);
        let (mut client, _) = within(connect_async(url)).await.unwrap();
        echo(&mut client).await;
        client
    }

    async fn connect_http2(&self) -> WebSocketStream<TokioIo<Upgraded>> {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/ws", self.address))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new());
        let response = within(sender.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), 200);
        let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        let mut client = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        echo(&mut client).await;
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    let long = timeout(Duration::from_secs(20), future);
    long.await.expect("this hangs")
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
        let server = Server::start(&[]);
        let mut clients = [server.connect().await, server.connect().await];
        let mut http2 = server.connect_http2().await;
        server.signal(signal);
        for client in &mut clients {
            expect_close(client).await;
        }
        expect_close(&mut http2).await;
        let (said, code) = server.end().await;
        assert_eq!(said, "drained: 3 sockets closed, 0 aborted\n", "{signal}");
        assert_eq!(code, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_cut_off_at_the_deadline() {
    let server = Server::start(&["--drain", "500ms"]);
    let _silent = server.connect().await;
    let mut client = server.connect().await;
    server.signal("TERM");
    expect_close(&mut client).await;
    drop(client);
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 1 sockets closed, 1 aborted\n");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let server = Server::start(&["--drain", "10m"]);
    let mut client = server.connect().await;
    server.signal("TERM");
    // It does not answer what it gets.
    let close = within(futures_util::future::poll_fn(|cx| {
        client.poll_next_unpin(cx)
    }))
    .await;
    assert!(close.unwrap().unwrap().is_close());
    server.signal("INT");
    let (said, code) = server.end().await;
    assert_eq!((&*said, code), ("", Some(1)));
}

#[tokio::test]
async fn without_sockets_it_ends_at_once() {
    let server = Server::start(&["--drain", "off"]);
    server.signal("TERM");
    let (said, code) = server.end().await;
    assert_eq!(said, "drained: 0 sockets closed, 0 aborted\n");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn and_there_is_a_limit_of_them() {
    let server = Server::start(&["--max-sockets", "1"]);
    let mut client = server.connect().await;
    let url = format!("ws://{}/ws", server.address);
    let Err(Error::Http(refused)) = within(connect_async(url)).await else {
        panic!("it got a socket");
    };
    assert_eq!(refused.status(), 503);
    echo(&mut client).await;
}
