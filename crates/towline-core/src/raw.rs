//! The connection itself, for another WebSocket library, inside the same pipeline.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use towline_protocol::Limits;

use crate::control::WaitDraining;
use crate::error::AcceptError;
use crate::io::Io;
use crate::shared::Direction;
use crate::upgrade::WebSocketUpgrade;
use crate::websocket::WebSocket;

impl WebSocketUpgrade {
    /// Accepts the handshake like [`accept`](Self::accept), and resolves to the connection itself: another WebSocket
    /// library reads and writes the frames.
    ///
    /// The handshake is done, so the library starts after it, in the role of the server. The pipeline lives until the
    /// connection is dropped, as it does around a [`WebSocket`]; the endpoint's grace begins then.
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt};
    /// use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
    /// use towline_core::{AcceptError, WebSocketUpgrade};
    ///
    /// async fn echo(upgrade: WebSocketUpgrade) -> Result<(), AcceptError> {
    ///     let raw = upgrade.accept_raw().await?;
    ///     let mut stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
    ///     while let Some(Ok(message)) = stream.next().await {
    ///         if message.is_text() || message.is_binary() {
    ///             let _ = stream.send(message).await;
    ///         }
    ///     }
    ///     Ok(()) // here the layers inside the upgrade layer unwind
    /// }
    /// ```
    ///
    /// An endpoint that moves the connection to another task must await that task if its layers are to live as long. If it
    /// returns before, the connection lives on without them.
    ///
    /// # Settings without effect
    ///
    /// Sub-protocols and headers apply as they do to [`accept`](Self::accept), and so do the limit and the drain of sockets.
    /// These settings have no effect, whether a layer or the endpoint made them:
    ///
    /// - *Message limits.* The library applies its own. [`RawConnection::limits`] returns ours, to configure it with.
    /// - *Compression.* It is not negotiated.
    /// - *Policies.* None is run, so nothing pings the peer, ends an idle socket or limits its life. The log names a policy
    ///   that a layer left, once in a process.
    ///
    /// # What the driver does not do
    ///
    /// - *Frames.* What the library does not do is not done: it answers pings and the peer's Close, checks what the peer
    ///   sends, and bounds what it queues. Most do so only while the endpoint reads, so it should read to the end.
    /// - *The Close.* One is sent only if the endpoint sends it. An endpoint that fails, panics or drops the connection
    ///   without a Close ends it, and the peer sees 1006. A Close that was sent is not lost over unread input: the
    ///   connection is shut down, then read for at most 1 s and 1 MiB before it is dropped.
    /// - *The drain.* It sends no Close. At its deadline it drops the connection and the endpoint; the endpoint may wait for
    ///   [`RawConnection::draining`] and close before.
    /// - *[`Closed`](crate::Closed).* There is none. The endpoint ends with a response of its own, which only the layers see.
    ///
    /// # Errors
    ///
    /// [`AcceptError`], as for [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// As for [`accept`](Self::accept): dropped before its first poll, nothing happened; dropped after it, the socket
    /// closes with 1011.
    pub async fn accept_raw(mut self) -> Result<RawConnection, AcceptError> {
        self.options.raw = true;
        Ok(RawConnection::new(self.accept().await?))
    }
}

/// A connection after its WebSocket handshake, from [`accept_raw`](WebSocketUpgrade::accept_raw).
///
/// It keeps the pipeline alive until it is dropped; the driver ends the connection then. Reads and writes fail with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once the pipeline has ended: the endpoint failed, its task was
/// dropped, or the deadline of a drain passed.
#[derive(Debug)]
pub struct RawConnection {
    /// `None` once the pipeline has ended.
    io: Option<Io>,
    /// Bytes that came with the handshake.
    already_read: Bytes,
    socket: WebSocket,
}

impl RawConnection {
    fn new(socket: WebSocket) -> Self {
        let (io, already_read) = match socket.shared().take_loan().map(Io::new) {
            Some((io, already_read)) => (Some(io), already_read),
            None => (None, Bytes::new()),
        };
        Self {
            io,
            // Copied: hyper's buffer is 8 KiB even if nothing is in it.
            already_read: Bytes::copy_from_slice(&already_read),
            socket,
        }
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

    /// The message limits that the upgrade layer or the endpoint set. Nothing applies them to this connection: they are for
    /// the configuration of the library that reads it.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.socket.shared().limits
    }

    /// Waits for the drain of all sockets; see [`WebSocket::draining`]. The drain sends no Close over this connection: the
    /// endpoint does, or is dropped at the drain's deadline.
    pub fn draining(&self) -> WaitDraining {
        self.socket.draining()
    }

    /// Returns the connection, or an error if the pipeline has ended. Wakes the context when it ends.
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

impl AsyncRead for RawConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.already_read.is_empty() {
            return this.io(Direction::Read, cx)?.poll_read(cx, buffer);
        }
        this.io(Direction::Read, cx)?;
        let len = this.already_read.len().min(buffer.remaining());
        buffer.put_slice(&this.already_read.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawConnection {
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
impl Drop for RawConnection {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            self.socket.shared().give_back(io);
        }
    }
}
