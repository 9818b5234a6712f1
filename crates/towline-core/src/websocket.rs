//! The handle that an endpoint holds.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use futures_core::Stream;
use futures_sink::Sink;
use http::Version;
use towline_protocol::{CloseCode, CloseFrame, InvalidClose, Message};

use crate::closed::Closed;
use crate::error::SendError;
use crate::shared::{DONE, FAILED, Shared};

/// An open WebSocket.
///
/// It is a handle: a driver in the task of the request's pipeline owns the connection, and goes on answering pings and
/// noticing closes while the endpoint is busy. The handle may move to any other task. When it is dropped, the socket
/// closes with 1000, or while the thread panics with 1011.
///
/// As a [`Stream`] it yields what [`recv`](Self::recv) yields; as a [`Sink`] it takes what [`send`](Self::send) takes.
#[derive(Debug)]
pub struct WebSocket {
    shared: Arc<Shared>,
    /// What the drop of this handle closes the socket with.
    on_drop: CloseFrame,
}

impl WebSocket {
    /// A handle to a socket whose connection is still to come: dropped before [`opened`](Self::opened), the endpoint
    /// failed.
    pub(crate) fn accepted(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            on_drop: FAILED,
        }
    }

    pub(crate) fn opened(mut self) -> Self {
        self.on_drop = DONE;
        self
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
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
        poll_fn(|cx| self.shared.poll_recv(cx))
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
    pub fn send(
        &mut self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        let mut message = Some(message.into());
        poll_fn(move |cx| {
            ready!(self.shared.poll_send_ready(cx))?;
            Poll::Ready(
                message
                    .take()
                    .map_or(Ok(()), |message| self.shared.push(message)),
            )
        })
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
        let frame = CloseFrame::new(code.into(), reason)?;
        self.shared.close(frame);
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
        WaitClosed {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Drops the connection at once: no Close, and nothing that is queued goes out.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// The sub-protocol agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.shared.negotiated.protocol.as_deref()
    }

    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.shared.negotiated.version
    }
}

impl Stream for WebSocket {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.shared.poll_recv(cx)
    }
}

impl Sink<Message> for WebSocket {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.poll_send_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.shared.push(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.poll_flushed(cx)
    }

    /// Closes with 1000 and waits for the end of the socket.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.close(DONE);
        self.shared.poll_closed(cx).map(|_| Ok(()))
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let frame = if thread::panicking() {
            FAILED
        } else {
            self.on_drop.clone()
        };
        self.shared.release(frame);
    }
}

/// The future of [`WebSocket::closed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct WaitClosed {
    pub(crate) shared: Arc<Shared>,
}

impl Future for WaitClosed {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        self.shared.poll_closed(cx)
    }
}
