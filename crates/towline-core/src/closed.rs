//! How a socket ended.

use std::fmt;
use std::time::Duration;

use http::{Response, Version};
#[cfg(feature = "deflate")]
use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::handshake::accepted_status;
use towline_protocol::{CloseCode, Violation};

/// How a socket ended: who closed it and why, and what went over it.
///
/// It *is* the endpoint's response: `Closed` converts into an [`http::Response`] with the status that accepted the
/// socket (101, on HTTP/2 200) and an empty body, and rides in that response's extensions, where every layer between
/// the upgrade layer and the endpoint can read it:
///
/// ```
/// # fn layer<B>(response: http::Response<B>) {
/// if let Some(closed) = response.extensions().get::<towline_core::Closed>() {
///     println!("{closed}, open for {:?}", closed.duration());
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Closed {
    pub(crate) by: ClosedBy,
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
    pub(crate) clean: bool,
    pub(crate) traffic: Traffic,
    pub(crate) duration: Duration,
    pub(crate) round_trip: Option<RoundTrip>,
    pub(crate) negotiated: Negotiated,
}

/// Who ended a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The peer sent its Close first.
    Peer,
    /// The endpoint closed or dropped the socket, or it failed.
    Endpoint,
    /// The peer broke the protocol or a limit and was told so.
    Violation(Violation),
    /// A [`SocketPolicy`](crate::SocketPolicy): the peer was gone, the socket idle or open for too long.
    Policy,
    /// The server, which drained its sockets.
    Drain,
    /// The connection was lost or dropped without any Close.
    Transport,
}

/// How long pings took to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    last: Duration,
    smoothed: Duration,
}

impl RoundTrip {
    pub(crate) fn first(last: Duration) -> Self {
        Self {
            last,
            smoothed: last,
        }
    }

    /// With one more pong, which counts for an eighth (RFC 6298 section 2.3).
    pub(crate) fn then(self, last: Duration) -> Self {
        let smoothed = (self.smoothed * 7 + last) / 8;
        Self { last, smoothed }
    }

    /// Of the last pong.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.last
    }

    /// A moving average, in which a pong counts for an eighth.
    #[must_use]
    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }
}

/// Messages and payload bytes each way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) bytes_sent: u64,
}

/// What the handshake agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Negotiated {
    pub(crate) version: Version,
    pub(crate) protocol: Option<String>,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<PerMessageDeflate>,
}

impl Closed {
    /// Who ended the socket.
    #[must_use]
    pub fn by(&self) -> ClosedBy {
        self.by
    }

    /// The code of the first Close frame, whoever sent it.
    ///
    /// 1005 when that frame carried no code, 1006 when there was no such frame (RFC 6455 section 7.4.1).
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason of the first Close frame, empty if it gave none. Where a policy dropped the connection without such a
    /// frame, why it did.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether both sides' Close frames were exchanged (RFC 6455 section 7.1.4).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    /// How many messages came from the peer, complete and valid, whether or not the endpoint took them.
    #[must_use]
    pub fn messages_received(&self) -> u64 {
        self.traffic.messages_received
    }

    /// The payload bytes of the messages received.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.traffic.bytes_received
    }

    /// How many messages the endpoint queued for the peer. The last of them may not have arrived.
    #[must_use]
    pub fn messages_sent(&self) -> u64 {
        self.traffic.messages_sent
    }

    /// The payload bytes of the messages sent.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.traffic.bytes_sent
    }

    /// How long the socket was open: from the connection's upgrade to its end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The round-trip times of the pings that the peer answered; `None` if it answered none.
    #[must_use]
    pub fn round_trip(&self) -> Option<RoundTrip> {
        self.round_trip
    }

    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.negotiated.version
    }

    /// The sub-protocol agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.negotiated.protocol.as_deref()
    }

    /// The compression agreed on.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[must_use]
    pub fn compression(&self) -> Option<PerMessageDeflate> {
        self.negotiated.compression
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            ClosedBy::Peer => write!(f, "closed by the peer with {}", self.code)?,
            ClosedBy::Endpoint => write!(f, "closed by the endpoint with {}", self.code)?,
            ClosedBy::Violation(violation) => {
                write!(f, "closed with {} because of {violation}", self.code)?;
            }
            ClosedBy::Policy => write!(f, "closed by a policy with {}", self.code)?,
            ClosedBy::Drain => write!(f, "closed by a drain with {}", self.code)?,
            ClosedBy::Transport => write!(f, "connection lost ({})", self.code)?,
        }
        if !self.reason.is_empty() {
            write!(f, ": {:?}", self.reason)?;
        }
        Ok(())
    }
}

impl<B> From<Closed> for Response<B>
where
    B: Default,
{
    fn from(closed: Closed) -> Self {
        let mut response = Self::new(B::default());
        *response.status_mut() = accepted_status(closed.version());
        response.extensions_mut().insert(closed);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(by: ClosedBy, code: u16, reason: &str, version: Version) -> Closed {
        Closed {
            by,
            code: code.into(),
            reason: reason.to_owned(),
            clean: true,
            traffic: Traffic::default(),
            duration: Duration::ZERO,
            round_trip: None,
            negotiated: Negotiated {
                version,
                protocol: None,
                #[cfg(feature = "deflate")]
                compression: None,
            },
        }
    }

    #[test]
    fn it_is_the_response_that_accepted_the_socket() {
        for (version, status) in [(Version::HTTP_11, 101), (Version::HTTP_2, 200)] {
            let closed = closed(ClosedBy::Peer, 1001, "", version);
            let response = Response::<String>::from(closed);
            assert_eq!(response.status(), status);
            assert!(response.headers().is_empty());
            assert!(response.body().is_empty());
            let closed = response.extensions().get::<Closed>().unwrap();
            assert_eq!(closed.code(), CloseCode::GOING_AWAY);
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let show = |by, code, reason| closed(by, code, reason, Version::HTTP_11).to_string();
        let rows = [
            (ClosedBy::Peer, 1005, "", "closed by the peer with 1005"),
            (
                ClosedBy::Endpoint,
                4000,
                "bye",
                "closed by the endpoint with 4000: \"bye\"",
            ),
            (
                ClosedBy::Violation(Violation::InvalidUtf8),
                1007,
                "",
                "closed with 1007 because of invalid utf-8",
            ),
            (
                ClosedBy::Policy,
                1001,
                "idle timeout",
                "closed by a policy with 1001: \"idle timeout\"",
            ),
            (ClosedBy::Drain, 1001, "", "closed by a drain with 1001"),
            (ClosedBy::Transport, 1006, "", "connection lost (1006)"),
        ];
        for (by, code, reason, expected) in rows {
            assert_eq!(show(by, code, reason), expected);
        }
    }
}
