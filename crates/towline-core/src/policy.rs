//! The seam by which a layer acts on a socket after the upgrade.

use std::time::{Duration, Instant};

use towline_protocol::{CloseCode, CloseFrame, Message, Opcode};

/// What decides on a socket while it is open: keep-alive, the expiry of a token, a message rate.
///
/// A policy does no IO and has no clock. The socket's driver tells it what happens and what time it is, and does what
/// the policy asks for, whatever the endpoint is doing meanwhile. All policies of a socket share one timer.
///
/// A socket gets its policies from the [`PolicyFactory`](crate::PolicyFactory)s that layers leave in the request, and from the accept option
/// [`WebSocketUpgrade::policy`](crate::WebSocketUpgrade::policy). In which order they stand makes no difference.
///
/// ```
/// use std::time::{Duration, Instant};
/// use towline_core::{Action, CloseCode, PolicyFactory, SocketPolicy, SocketState};
///
/// /// Closes the socket when the token of its user expires.
/// struct TokenExpiry(Instant);
///
/// impl SocketPolicy for TokenExpiry {
///     fn deadline(&self) -> Option<Instant> {
///         Some(self.0)
///     }
///
///     fn on_deadline(&mut self, _now: Instant, _state: &SocketState) -> Action {
///         Action::close(CloseCode::POLICY, "token expired")
///     }
/// }
///
/// let an_hour = PolicyFactory::new(|now| Some(TokenExpiry(now + Duration::from_secs(3600))));
/// ```
pub trait SocketPolicy: Send + 'static {
    /// Something happened. Default: nothing to do.
    fn on_event(&mut self, now: Instant, event: Event, state: &SocketState) -> Action {
        let _ = (now, event, state);
        Action::None
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called.
    ///
    /// Asked when the socket opens, whenever it was told of something, and when the time that it gave last has come, so it
    /// should cost little. The timer is not moved for a later deadline, but looks at it when it fires: what mere traffic
    /// puts off costs nothing. [`deadline_after`](crate::deadline_after) adds a wait of any length to `now`, also
    /// [`Duration::MAX`]. Default: never.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed. The next one must be later than `now`. Default: nothing to do.
    fn on_deadline(&mut self, now: Instant, state: &SocketState) -> Action {
        let _ = (now, state);
        Action::None
    }

    /// Whether it is told of each message. Asked once, when the socket opens. Default: `false`, which saves the work.
    fn watches_messages(&self) -> bool {
        false
    }
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes came from the peer or went to the transport since the last such event; part of a frame counts.
    ///
    /// It comes at once when the socket was quiet before, or while bytes are blocked. Otherwise it comes before the next
    /// other event or deadline, and at most a second late, or a sixteenth of the time left to the deadline if that is less:
    /// a busy socket does not read the clock for every message.
    Transferred {
        /// How many came.
        received: usize,
        /// How many went; none, with [`SocketState::blocked`] at 0, when it is only a flush that came through.
        written: usize,
    },
    /// Bytes are queued that the transport does not take now. The next [`Transferred`](Self::Transferred) or
    /// [`WriteProgress`](Self::WriteProgress) tells of progress.
    WriteBlocked,
    /// The transport takes no byte more yet, but the peer takes what it has: of a long message that was written in one
    /// piece, and that what is queued stands behind.
    WriteProgress,
    /// A message came. Only for a policy that [watches messages](SocketPolicy::watches_messages).
    MessageReceived {
        /// Text or binary.
        opcode: Opcode,
        /// Of the payload, in bytes.
        len: usize,
    },
    /// The endpoint queued a message. Only for a policy that [watches messages](SocketPolicy::watches_messages).
    MessageSent {
        /// Text or binary.
        opcode: Opcode,
        /// Of the payload, in bytes.
        len: usize,
    },
    /// Nothing is read any more: the endpoint does not take what has arrived, a policy paused it, or the peer closed.
    ReadingStopped,
    /// Reading goes on.
    ReadingResumed,
    /// A ping has left the queue, whoever asked for it.
    PingSent {
        /// Which one.
        token: u64,
    },
    /// The pong to the newest ping came. Pongs that answer no ping are only bytes received.
    Pong {
        /// Which ping it answers.
        token: u64,
        /// From the ping's place in the queue to here.
        round_trip: Duration,
    },
    /// The server drains its sockets: this one gets its Close soon, unless it ends before.
    Draining,
    /// Our Close is queued. It is the last event: what is left of the socket is bounded in time.
    CloseQueued,
    /// Somebody called [`Control::poke`](crate::Control::poke).
    Poked,
}

impl Event {
    /// A message came from the peer.
    #[must_use]
    pub fn message_received(message: &Message) -> Self {
        Self::MessageReceived {
            opcode: opcode(message),
            len: message.len(),
        }
    }

    /// The endpoint queued a message.
    #[must_use]
    pub fn message_sent(message: &Message) -> Self {
        Self::MessageSent {
            opcode: opcode(message),
            len: message.len(),
        }
    }
}

fn opcode(message: &Message) -> Opcode {
    match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
    }
}

/// What the driver knows of a socket when it calls a policy.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SocketState {
    /// Bytes that the transport has not taken, at least 1 while it has not flushed.
    pub blocked: usize,
    /// Messages that came from the peer.
    pub received: u64,
    /// Messages that the endpoint has taken of those.
    pub taken: u64,
    /// Reading has stopped because the endpoint does not take what has arrived.
    pub full: bool,
}

/// What a policy asks of the driver.
///
/// If policies ask for several things at once, the strongest is done: abort, end, close, and then the others. Of two
/// of a kind the first stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// Ping the peer. One under way without an answer is superseded.
    Ping,
    /// Send a pong that answers nothing, as a sign of life (RFC 6455 section 5.5.3).
    UnsolicitedPong,
    /// Read nothing until then. What the peer sends meanwhile becomes backpressure.
    PauseReading(Instant),
    /// Close with this frame behind what is queued, and wait for the peer's answer.
    Close(CloseFrame),
    /// Attempt a Close with this frame, and drop the connection.
    End(CloseFrame),
    /// Drop the connection; the text goes into [`Closed::reason`](crate::Closed::reason).
    Abort(&'static str),
}

impl Action {
    /// Closes the socket behind what is queued, and waits for the peer's answer for as long as an endpoint's close does.
    ///
    /// # Panics
    ///
    /// For a code that an endpoint must not send, or a reason of more than 123 bytes.
    #[must_use]
    pub fn close(code: CloseCode, reason: &'static str) -> Self {
        Self::Close(CloseFrame::from_static(code, reason))
    }

    /// Attempts a Close behind what is queued, and drops the connection without waiting for anything: for a peer that is
    /// gone.
    ///
    /// # Panics
    ///
    /// For a code that an endpoint must not send, or a reason of more than 123 bytes.
    #[must_use]
    pub fn end(code: CloseCode, reason: &'static str) -> Self {
        Self::End(CloseFrame::from_static(code, reason))
    }
}
