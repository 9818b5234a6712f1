//! The sockets of one HTTP/2 connection, by h2 itself: hyper's client would hide how a stream ends.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Io;
use crate::clock::within;
use crate::frame::{BINARY, frame, read_frame};

pub struct Connection {
    requests: SendRequest<Bytes>,
    authority: String,
    pub task: JoinHandle<Result<(), h2::Error>>,
}

/// The client's end of a stream.
pub struct Stream {
    pub send: SendStream<Bytes>,
    recv: RecvStream,
    /// The bytes after the frame that was read last.
    rest: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, address.to_string(), 64 * 1024).await
    }

    /// A connection whose streams may be sent `window` bytes ahead each.
    pub async fn over(io: impl Io + 'static, authority: String, window: u32) -> Self {
        // Streams that are not read, of 64 KiB each, take nothing from the others.
        let handshake = Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(16 * 1024 * 1024)
            .handshake(io);
        let (requests, connection) = within(handshake).await.unwrap();
        let task = tokio::spawn(connection);
        Self {
            requests,
            authority,
            task,
        }
    }

    /// Asks for a socket.
    pub async fn request(&mut self) -> (ResponseFuture, SendStream<Bytes>) {
        self.request_with(&[]).await
    }

    /// The same with further headers.
    pub async fn request_with(
        &mut self,
        headers: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/ws", self.authority))
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        within(poll_fn(|cx| self.requests.poll_ready(cx)))
            .await
            .unwrap();
        self.requests.send_request(request, false).unwrap()
    }

    pub async fn socket(&mut self) -> Stream {
        self.socket_with(&[]).await
    }

    /// The same by a handshake with further headers.
    pub async fn socket_with(&mut self, headers: &[(&str, &str)]) -> Stream {
        self.try_socket(headers).await.unwrap()
    }

    /// The same, or the status by which it is refused.
    pub async fn try_socket(&mut self, headers: &[(&str, &str)]) -> Result<Stream, u16> {
        let (response, send) = self.request_with(headers).await;
        let response = within(response).await.unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        Ok(Stream {
            send,
            recv: response.into_body(),
            rest: Vec::new(),
        })
    }
}

impl Stream {
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.send.send_data(bytes, false).unwrap();
    }

    /// The client sends no more.
    pub fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).unwrap();
    }

    /// The next frame; `None` at END_STREAM, an error at a reset.
    pub async fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, h2::Error> {
        let frame = within(read_frame(self)).await;
        frame.map_err(|error| error.downcast().expect("an end between frames"))
    }

    pub async fn echo(&mut self, payload: &str) {
        self.write(frame(BINARY, payload));
        let echoed = self.frame().await.unwrap();
        assert_eq!(echoed, Some((BINARY, payload.into())));
    }

    /// The RST_STREAM that has come, if one has.
    pub fn reset(&mut self) -> Option<Result<Reason, h2::Error>> {
        poll_fn(|cx| self.send.poll_reset(cx)).now_or_never()
    }
}

/// Reads as slowly as a test likes: the window grows by what was read.
impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.recv.poll_data(cx)) {
                Some(data) => this.rest.extend(data.map_err(io::Error::other)?),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest[..taken]);
        this.rest.drain(..taken);
        let _ = this.recv.flow_control().release_capacity(taken);
        Poll::Ready(Ok(()))
    }
}

/// Writes as much as the server's window has room for.
impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = &mut self.get_mut().send;
        if let Poll::Ready(reset) = send.poll_reset(cx) {
            return Poll::Ready(Err(io::Error::other(
                reset.map_or_else(|error| error, h2::Error::from),
            )));
        }
        send.reserve_capacity(bytes.len());
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(capacity) => drop(capacity.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let written = bytes.len().min(send.capacity());
        let data = Bytes::copy_from_slice(&bytes[..written]);
        send.send_data(data, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// END_STREAM.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
