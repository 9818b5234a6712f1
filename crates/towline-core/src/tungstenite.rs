//! A socket as tokio-tungstenite has it, inside of the same pipeline.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use towline_protocol::Limits;

use crate::control::WaitDraining;
use crate::error::AcceptError;
use crate::io::Io;
use crate::shared::Direction;
use crate::upgrade::WebSocketUpgrade;
use crate::websocket::WebSocket;

impl WebSocketUpgrade {
    /// Accepts the handshake like [`accept`](Self::accept), and gives the socket as tokio-tungstenite has it.
    ///
    /// It is meant for code that exists: a handler moves inside of the layers as it is. All accept options apply, and
    /// the pipeline lives as it does around a [`WebSocket`]; the endpoint's grace begins when the stream has been dropped.
    /// But what goes over the wire is tungstenite's, and against `accept` one loses:
    ///
    /// - *The driver.* Pings are answered, and the peer's Close is noticed and answered, only while the endpoint reads: it
    ///   should read until the stream ends. No layer acts on the socket, so nothing pings the peer or limits the socket's
    ///   life.
    /// - *[`Closed`](crate::Closed).* The endpoint ends with a response of its own, which goes to the layers only.
    /// - *The Close.* One goes out only if the endpoint sends it. An endpoint that fails, panics or just drops the stream
    ///   ends the connection, and the peer sees 1006. A Close that was sent is not lost over unread input: the connection is
    ///   shut down, and read for at most 1 s and 1 MiB before it is dropped.
    /// - *The drain of all sockets.* It sends no Close, and drops the connection and the endpoint at its deadline; the
    ///   endpoint may watch [`Transport::draining`] and close before.
    /// - *Violations.* They are errors of the stream, and the peer is not told. So is a message that is larger than
    ///   [`max_message_size`](Self::max_message_size), 1 MiB by default. The number of fragments is not limited.
    /// - *Memory.* tungstenite keeps a read buffer of 128 KiB a socket, and queues pongs without bound for a peer that
    ///   reads none. It reserves what the header of a frame declares, up to the limit above: a limit that the process cannot
    ///   allocate, such as `usize::MAX`, lets a peer's header panic or abort it.
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt};
    /// use towline_core::{AcceptError, WebSocketUpgrade};
    ///
    /// async fn echo(upgrade: WebSocketUpgrade) -> Result<(), AcceptError> {
    ///     let mut stream = upgrade.accept_tungstenite().await?;
    ///     while let Some(Ok(message)) = stream.next().await {
    ///         if message.is_text() || message.is_binary() {
    ///             let _ = stream.send(message).await;
    ///         }
    ///     }
    ///     Ok(()) // here the layers inside of the upgrade layer unwind
    /// }
    /// ```
    ///
    /// An endpoint that gives the stream to another task awaits that task if its layers are to live as long; if it returns
    /// before, the stream lives on without them. If it fails, or if the pipeline's task is dropped, the stream's reads and
    /// writes fail with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    ///
    /// # Errors
    ///
    /// [`AcceptError`], as for [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// As for [`accept`](Self::accept): dropped before its first poll, nothing happened; dropped after it, the socket
    /// closes with 1011.
    pub async fn accept_tungstenite(mut self) -> Result<WebSocketStream<Transport>, AcceptError> {
        let config = config(&self.options.limits);
        self.options.borrow = true;
        let socket = self.accept().await?;
        let (transport, already_read) = Transport::new(socket);
        let stream = WebSocketStream::from_partially_read(
            transport,
            already_read.into(),
            Role::Server,
            Some(config),
        );
        Ok(stream.await)
    }
}

fn config(limits: &Limits) -> WebSocketConfig {
    let frame = limits.max_frame_size.unwrap_or(limits.max_message_size);
    WebSocketConfig::default()
        .max_message_size(Some(limits.max_message_size))
        .max_frame_size(Some(frame))
}

/// The bytes under a socket that [`accept_tungstenite`](WebSocketUpgrade::accept_tungstenite) opened.
///
/// It keeps the socket's pipeline open until it is dropped; the connection is ended then. Reads and writes fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) when the pipeline has ended before.
#[derive(Debug)]
pub struct Transport {
    io: Option<Io>,
    socket: WebSocket,
}

impl Transport {
    /// The transport, and what was read from it already.
    fn new(socket: WebSocket) -> (Self, Bytes) {
        let (io, already_read) = match socket.shared().take_loan().map(Io::new) {
            Some((io, already_read)) => (Some(io), already_read),
            None => (None, Bytes::new()),
        };
        (Self { io, socket }, already_read)
    }

    /// The sub-protocol agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.socket.protocol()
    }

    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.socket.version()
    }

    /// Waits for the drain of all sockets; see [`WebSocket::draining`](crate::WebSocket::draining). The drain sends no
    /// Close over this transport: the endpoint does, or is dropped at the drain's deadline.
    pub fn draining(&self) -> WaitDraining {
        self.socket.draining()
    }

    /// The connection, unless the pipeline has ended; the context is woken when it does.
    fn io(&mut self, direction: Direction, cx: &mut Context<'_>) -> io::Result<Pin<&mut Io>> {
        let shared = self.socket.shared();
        if shared.poll_revoked(direction, cx).is_ready() {
            self.io = None;
        }
        self.io.as_mut().map(Pin::new).ok_or_else(|| {
            let kind = io::ErrorKind::ConnectionAborted;
            io::Error::new(kind, "the pipeline of the socket has ended")
        })
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut().io(Direction::Read, cx)?;
        io.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let io = self.get_mut().io(Direction::Write, cx)?;
        io.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = self.get_mut().io(Direction::Write, cx)?;
        io.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.get_mut().io(Direction::Write, cx)?;
        io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = self.get_mut().io(Direction::Write, cx)?;
        io.poll_shutdown(cx)
    }
}

/// The driver ends the connection.
impl Drop for Transport {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            self.socket.shared().give_back(io);
        }
    }
}
