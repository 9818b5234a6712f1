//! Opening handshakes, good ones over both versions of HTTP and bad ones over HTTP/1.1.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;

use crate::transport::{ReadHalf, WriteHalf, io_error, tcp};

/// What a connection of HTTP/2 has room for, so that a stream that is not read takes nothing from the others.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// How many sockets a connection of HTTP/2 has carried when the next one takes another.
const USES: usize = 300;

/// A receive buffer that fills at once.
const NARROW: u32 = 4096;

/// The handshake of RFC 6455, 1.3, and the answer to its key.
const HEAD: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What is wrong with a handshake: the line that is put in the place of another, and the answer.
pub(crate) const MISTAKES: [(&str, &str, u16); 6] = [
    ("GET ", "PUT ", 405),
    ("-Version: 13", "-Version: 8", 426),
    ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
    ("Connection: Upgrade", "Connection: close", 400),
    (
        "Host: localhost",
        "Host: localhost\r\nOrigin: http://evil.example",
        403,
    ),
    ("GET /ws", "GET /nowhere", 404),
];

/// Opens a socket over HTTP/1.1; a `narrow` one has a small receive buffer.
pub(crate) async fn http1(server: SocketAddr, narrow: bool) -> io::Result<(ReadHalf, WriteHalf)> {
    let mut stream = connect(server, narrow).await?;
    let head = shake_hands(&mut stream, HEAD).await?;
    if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        Ok(tcp(stream))
    } else {
        Err(io::Error::other(format!("the handshake got {head:?}")))
    }
}

/// Asks as it should not, and expects to be told so.
pub(crate) async fn mistaken(server: SocketAddr, mistake: (&str, &str, u16)) -> io::Result<()> {
    let (right, wrong, status) = mistake;
    let mut stream = connect(server, false).await?;
    let head = shake_hands(&mut stream, &HEAD.replace(right, wrong)).await?;
    if head.starts_with(&format!("HTTP/1.1 {status} ")) {
        Ok(())
    } else {
        Err(io::Error::other(format!("`{wrong}` got {head:?}")))
    }
}

async fn connect(server: SocketAddr, narrow: bool) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if narrow {
        socket.set_recv_buffer_size(NARROW)?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a head and reads that of the answer. Nothing follows a 101 before a message was sent.
async fn shake_hands(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Sockets that share a connection of HTTP/2.
#[derive(Debug)]
pub(crate) struct Streams {
    server: SocketAddr,
    /// The connection, and how many sockets it has carried.
    connection: Mutex<Option<(SendRequest<Bytes>, usize)>>,
}

impl Streams {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connection: Mutex::default(),
        }
    }

    /// Opens a socket by an extended CONNECT (RFC 8441).
    pub(crate) async fn open(&self) -> io::Result<(ReadHalf, WriteHalf)> {
        let mut requests = self.requests().await?;
        poll_fn(|cx| requests.poll_ready(cx))
            .await
            .map_err(io_error)?;
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/ws", self.server))
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .map_err(io::Error::other)?;
        let (response, write) = requests.send_request(request, false).map_err(io_error)?;
        let response = response.await.map_err(io_error)?;
        if response.status() != 200 {
            return Err(io::Error::other(format!("CONNECT got {response:?}")));
        }
        Ok((
            ReadHalf::Stream(response.into_body()),
            WriteHalf::Stream(write),
        ))
    }

    /// The connection, which ends by itself when another one has taken its place and its last socket is gone.
    async fn requests(&self) -> io::Result<SendRequest<Bytes>> {
        let mut connection = self.connection.lock().await;
        if let Some((requests, uses @ ..USES)) = &mut *connection {
            *uses += 1;
            return Ok(requests.clone());
        }
        let stream = connect(self.server, false).await?;
        let handshake = Builder::new()
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream);
        let (requests, driver) = handshake.await.map_err(io_error)?;
        // How it ends, its sockets see.
        tokio::spawn(driver);
        *connection = Some((requests.clone(), 1));
        Ok(requests)
    }
}
