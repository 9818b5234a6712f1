//! The handle that an endpoint holds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use http::Version;
#[cfg(feature = "deflate")]
use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::{CloseCode, InvalidClose, Message};

use crate::closed::{Closed, RoundTrip};
use crate::control::{Control, WaitClosed, WaitDraining};
use crate::error::{PingError, SendError, TrySendError};
use crate::receiver::Receiver;
use crate::sender::{SendOptions, Sender};
use crate::shared::{DONE, Shared};

/// An open WebSocket.
///
/// It is a handle: a driver in the task of the request's pipeline owns the connection, and goes on answering pings and
/// noticing closes while the endpoint is busy. The handle may move to any other task. When it is dropped, the socket
/// closes with 1000, or while the thread panics with 1011.
///
/// [`split`](Self::split) makes a [`Receiver`], which owns the socket, and a [`Sender`], which may be cloned and keeps
/// nothing open.
///
/// As a [`Stream`] it yields what [`recv`](Self::recv) yields; as a [`Sink`] it takes what [`send`](Self::send) takes.
#[derive(Debug)]
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

impl WebSocket {
    /// A handle to a socket whose connection is still to come: dropped before [`opened`](Self::opened), the endpoint
    /// failed.
    pub(crate) fn accepted(shared: Arc<Shared>) -> Self {
        Self {
            sender: Sender::new(Arc::clone(&shared)),
            receiver: Receiver::accepted(shared),
        }
    }

    pub(crate) fn opened(mut self) -> Self {
        self.receiver.opened();
        self
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.receiver.shared()
    }

    /// The next message, or `None` when there will be no more.
    ///
    /// There is no more when the peer's Close arrived, when this side closed, or when the connection is gone;
    /// [`closed`](Self::closed) tells which. The messages before the peer's Close come first. What the endpoint sends
    /// after the `None`, before it waits for something else, still goes out before the answer to that Close.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken no message.
    pub fn recv(&mut self) -> impl Future<Output = Option<Message>> + Send + '_ {
        self.receiver.recv()
    }

    /// Queues a message, once no more than 64 KiB are queued.
    ///
    /// The message goes out whatever the endpoint does next: nothing needs to be flushed.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when this side has closed or the connection is gone.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has queued the whole message or nothing.
    // `&mut self`, or `SinkExt::send`, which may be dropped with its message queued, would shadow this one where the
    // socket is borrowed; likewise `flush`.
    pub fn send(
        &mut self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        self.sender.send(message)
    }

    /// As [`send`](Self::send), with options of this message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when this side has closed or the connection is gone.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has queued the whole message or nothing.
    pub fn send_with(
        &mut self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        self.sender.send_with(message, options)
    }

    /// Queues a message if no more than 64 KiB are queued.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], which gives the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.sender.try_send(message)
    }

    /// Waits until all that was queued is written and the transport flushed.
    ///
    /// Over HTTP/2 that means handed to hyper. See [`Sender::flush`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the connection went away before.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        self.sender.flush()
    }

    /// Pings the peer and resolves to the round-trip time. See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// [`PingError`].
    pub fn ping(&self) -> impl Future<Output = Result<Duration, PingError>> + Send + '_ {
        self.sender.ping()
    }

    /// The round-trip times of the pings that the peer answered, whoever asked for them; `None` if it answered none.
    #[must_use]
    pub fn round_trip(&self) -> Option<RoundTrip> {
        self.sender.round_trip()
    }

    /// Closes the socket with `code` and `reason` behind what is queued, and waits for its end.
    ///
    /// The end is when the peer has answered with its own Close (within 10 s of the last byte that it took) and the
    /// connection is gone. Messages that the peer sends meanwhile are dropped. If the peer closed before, its Close is
    /// answered with its own code, and `code` is ignored (RFC 6455 section 5.5.1).
    ///
    /// # Errors
    ///
    /// [`InvalidClose`] for a code that an endpoint must not send, or a reason of more than 123 bytes (RFC 6455
    /// sections 7.4 and 5.5); nothing is queued then.
    ///
    /// # Cancel safety
    ///
    /// The Close is queued by the first poll; a future dropped after it has closed the socket all the same.
    pub async fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: impl Into<String>,
    ) -> Result<Closed, InvalidClose> {
        self.control().close(code, reason)?;
        Ok(self.closed().await)
    }

    /// Waits for the end of the socket, whoever ends it.
    ///
    /// The future owns nothing of the socket and borrows nothing: an endpoint that hands the socket to another task
    /// awaits this, so that its layers live as long as the socket does. An endpoint that still holds the socket and
    /// awaits this takes no more messages, so it waits for the peer to close.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn closed(&self) -> WaitClosed {
        self.receiver.closed()
    }

    /// Waits until the server begins to drain its sockets, as it does before it stops, or until this one has ended.
    ///
    /// An endpoint that says goodbye in its own way selects between this and [`recv`](Self::recv). One that does not
    /// gets the Close of the drain. The future owns nothing of the socket and borrows nothing.
    ///
    /// ```
    /// # use towline_core::{InvalidClose, WebSocket};
    /// async fn endpoint(mut socket: WebSocket) -> Result<(), InvalidClose> {
    ///     let mut draining = socket.draining();
    ///     loop {
    ///         tokio::select! {
    ///             message = socket.recv() => match message {
    ///                 Some(message) => println!("{message:?}"),
    ///                 None => return Ok(()),
    ///             },
    ///             () = &mut draining => {
    ///                 socket.close(1001, "your session is saved").await?;
    ///                 return Ok(());
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn draining(&self) -> WaitDraining {
        self.receiver.draining()
    }

    /// Drops the connection at once: no Close, and nothing that is queued goes out.
    pub fn abort(&self) {
        self.control().abort();
    }

    /// Separates sending from receiving.
    ///
    /// When [`recv`](Receiver::recv) has given its `None` to the endpoint, and that waits for something else, the peer's
    /// Close is answered: what another task would have sent after that is refused.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A handle that ends the socket from elsewhere and keeps nothing open.
    #[must_use]
    pub fn control(&self) -> Control {
        self.receiver.control()
    }

    /// The sub-protocol agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.shared().negotiated.protocol.as_deref()
    }

    /// The compression agreed on.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[must_use]
    pub fn compression(&self) -> Option<PerMessageDeflate> {
        self.shared().negotiated.compression
    }

    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.shared().negotiated.version
    }
}

impl Stream for WebSocket {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().receiver.poll_recv(cx)
    }
}

impl Sink<Message> for WebSocket {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared().poll_sink_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.shared().push(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared().poll_sink_flushed(cx)
    }

    /// Closes with 1000 and waits for the end of the socket.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared().poll_sink_closed(DONE, cx).map(Ok)
    }
}
