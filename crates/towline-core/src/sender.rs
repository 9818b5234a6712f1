//! The sending half of a socket.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use towline_protocol::Message;

use crate::closed::RoundTrip;
use crate::control::{Control, WaitDraining};
use crate::error::{PingError, SendError, TrySendError};
use crate::shared::{List, Shared, Waiter};

/// How long nothing may be read before a ping without a pong says so.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends over a WebSocket; made by [`WebSocket::split`](crate::WebSocket::split).
///
/// It may be cloned, and it owns nothing: one left in a registry keeps no socket open. After the end of the socket it only
/// gives errors, and holds some hundred bytes until it is dropped; [`is_closed`](Self::is_closed) tells.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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
        &self,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        self.send_with(message, SendOptions::new())
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
        &self,
        message: impl Into<Message>,
        options: SendOptions,
    ) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        SendMessage {
            shared: &self.shared,
            message: message.into(),
            options,
            stage: Stage::New,
        }
    }

    /// Queues a message if no more than 64 KiB are queued.
    ///
    /// A loop that only does this never lets the driver write, and fills any socket: yield in it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], which gives the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        let mut message = message.into();
        match self.shared.poll_push(&mut message, SendOptions::new()) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Pending => Err(TrySendError::Full(message)),
            Poll::Ready(Err(_)) => Err(TrySendError::Closed(message)),
        }
    }

    /// Waits until all that was queued, by whomever, is written and the transport flushed.
    ///
    /// Over HTTP/2 that means handed to hyper. Not needed for messages to go out.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] when the connection went away before.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn flush(&self) -> impl Future<Output = Result<(), SendError>> + Send + '_ {
        let mut waiter = Waiter::new(&*self.shared, List::Send);
        poll_fn(move |cx| waiter.poll(|shared, waits| shared.poll_flushed(waits, cx)))
    }

    /// Pings the peer and resolves to the round-trip time, counted from the ping's place in the queue.
    ///
    /// One ping is under way at a time; callers that ask meanwhile share the next one. The future waits as long as the
    /// socket is open: put a timeout around it to learn of a dead peer.
    ///
    /// # Errors
    ///
    /// [`PingError::Closed`] when the socket ends first; [`PingError::NotReading`] when the endpoint takes no messages,
    /// so that the pong could not be seen for 20 s.
    ///
    /// # Cancel safety
    ///
    /// The ping goes out once the future was polled; dropped, it only does not tell.
    pub async fn ping(&self) -> Result<Duration, PingError> {
        let turn = self.shared.ask_ping()?;
        let mut waiter = Waiter::new(&*self.shared, List::Pong);
        let pong = poll_fn(|cx| waiter.poll(|shared, waits| shared.poll_pong(turn, waits, cx)));
        let stopped = async {
            loop {
                sleep(PING_TIMEOUT).await;
                if !self.shared.has_room() {
                    return PingError::NotReading;
                }
            }
        };
        tokio::select! {
            round_trip = pong => round_trip,
            error = stopped => Err(error),
        }
    }

    /// The round-trip times of the pings that the peer answered, whoever asked for them; `None` if it answered none.
    #[must_use]
    pub fn round_trip(&self) -> Option<RoundTrip> {
        self.shared.round_trip()
    }

    /// Whether sending is over: the socket has closed, or its Close is queued. A registry prunes by it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.shared.accepts_messages()
    }

    /// Waits for the drain of all sockets; see [`WebSocket::draining`](crate::WebSocket::draining).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again.
    pub fn draining(&self) -> WaitDraining {
        WaitDraining::new(Arc::clone(&self.shared))
    }

    /// A handle that ends the socket.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }
}

/// Options of one message.
///
/// ```
/// # async fn endpoint(mut socket: towline_core::WebSocket) -> Result<(), towline_core::SendError> {
/// use towline_core::SendOptions;
///
/// // A secret beside what somebody else chose: its compressed length would tell of it.
/// let plain = SendOptions::new().compress(false);
/// socket.send_with("token and query", plain).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a message is sent with them"]
pub struct SendOptions {
    pub(crate) compress: bool,
}

impl SendOptions {
    /// The default options.
    pub const fn new() -> Self {
        Self { compress: true }
    }

    /// Whether the message may be compressed, where that was negotiated. Default: `true`.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}

impl Default for SendOptions {
    fn default() -> Self {
        Self::new()
    }
}

struct SendMessage<'a> {
    shared: &'a Shared,
    message: Message,
    options: SendOptions,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// Counted among those that wait for room.
    Waits,
    Done,
}

impl Future for SendMessage<'_> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = &mut *self;
        if this.stage == Stage::New
            && let Poll::Ready(sent) = this.shared.poll_push(&mut this.message, this.options)
        {
            this.stage = Stage::Done;
            return Poll::Ready(sent);
        }
        this.wait(cx)
    }
}

impl SendMessage<'_> {
    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        assert!(
            self.stage != Stage::Done,
            "`send` was polled after it was ready"
        );
        let mut waits = self.stage == Stage::Waits;
        let sent = self
            .shared
            .poll_send(&mut self.message, self.options, &mut waits, cx);
        self.stage = if waits { Stage::Waits } else { Stage::Done };
        sent
    }
}

impl Drop for SendMessage<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.stage == Stage::Waits {
            self.shared.send_no_more();
        }
    }
}
