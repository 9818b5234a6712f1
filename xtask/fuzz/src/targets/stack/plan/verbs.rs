//! The verbs of each actor. `a`, `b` and `c` are the numbers of a step.

/// An enum of verbs and the words for them.
macro_rules! verbs {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Verb for $name {
            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

/// A verb and its word.
pub(crate) trait Verb: Copy {
    fn from_word(word: &str) -> Option<Self>;
    fn word(self) -> &'static str;
}

verbs! {
    /// The verbs of the peer and the transport.
    PeerVerb {
        /// A text of `a` bytes in `b` more fragments; `c` is 1 to compress it.
        Text = "text",
        /// The same with binary.
        Binary = "binary",
        Ping = "ping",
        /// A pong that answers nothing.
        Pong = "pong",
        /// `a` messages of `b` bytes, or pings if `c` is 1.
        Flood = "flood",
        /// Code `a`, or none if that is 0.
        Close = "close",
        /// The violation number `a`.
        Bad = "bad",
        /// `a` bytes of noise from `b`.
        Junk = "junk",
        /// The end of the input.
        End = "end",
        /// Reads fail after the bytes that have arrived; if `a` is 1, these are lost.
        FailReads = "fail-reads",
        FailWrites = "fail-writes",
        Wait = "wait",
        /// Takes nothing more.
        Stall = "stall",
        /// Takes `a` bytes more.
        Take = "take",
        /// Takes `a` times `b` bytes, each `c` milliseconds later.
        Trickle = "trickle",
        /// Takes everything.
        Open = "open",
    }
}

verbs! {
    /// The verbs of the owner of the socket.
    OwnerVerb {
        /// Receives `a` messages.
        Recv = "recv",
        /// Receives within `a` milliseconds; the future is dropped then.
        RecvWithin = "recv-within",
        /// Receives as a stream.
        Next = "next",
        Echo = "echo",
        /// Echoes as a sink and stream, by `feed` and a `flush` after each `a` messages.
        Forward = "forward",
        /// A message of `a` bytes of kind `b`.
        Send = "send",
        SendWithin = "send-within",
        Try = "try",
        /// `a` times `try_send` of `b` bytes.
        Burst = "burst",
        Feed = "feed",
        SinkSend = "sink-send",
        SinkFlush = "sink-flush",
        SinkClose = "sink-close",
        Flush = "flush",
        FlushWithin = "flush-within",
        /// Within `a` milliseconds, or for as long as it takes.
        Ping = "ping",
        Sleep = "sleep",
        Yield = "yield",
        Close = "close",
        Closed = "closed",
        Draining = "draining",
        Discard = "discard",
        Abort = "abort",
        /// Receives to the end while it sends `a` messages of `b` bytes in the same task, and flushes.
        Both = "both",
        /// Goes on in another task.
        Move = "move",
        Drop = "drop",
        Panic = "panic",
        Error = "error",
        Return = "return",
    }
}

verbs! {
    /// The verbs of other holders of a `Sender` and a `Control`.
    HelperVerb {
        Send = "send",
        SendWithin = "send-within",
        Try = "try",
        Burst = "burst",
        Flush = "flush",
        Ping = "ping",
        Close = "close",
        Abort = "abort",
        Poke = "poke",
        Closed = "closed",
        Draining = "draining",
        Sleep = "sleep",
        Yield = "yield",
    }
}

verbs! {
    /// The verbs of the server, for all its sockets.
    DrainVerb {
        Wait = "wait",
        /// A drain with a grace of `a` milliseconds within `b`.
        Drain = "drain",
    }
}
