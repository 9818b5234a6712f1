//! What can go wrong with accepting a socket and sending over it.

use std::error::Error;
use std::fmt;

use http::{HeaderName, Response, StatusCode};
use towline_protocol::Message;
use towline_protocol::handshake::ProtocolNotOffered;

use crate::handshake_error::HandshakeError;

/// Why an upgrade was not accepted.
///
/// All but [`UpgradeFailed`](Self::UpgradeFailed) come before any 101, so the error can still be the response: it
/// converts into one, with one line of text.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// Another clone of this upgrade was accepted before.
    AlreadyAccepted,
    /// The endpoint's response was given before the upgrade was accepted.
    Answered,
    /// The client went away before the upgrade was accepted.
    Cancelled,
    /// The endpoint chose a sub-protocol that the client did not offer.
    ProtocolNotOffered(ProtocolNotOffered),
    /// The server drains its sockets and opens no more.
    Draining(HandshakeError),
    /// A sub-protocol is required, and the client offered none that the endpoint speaks.
    NoCommonProtocol,
    /// This header belongs to the handshake or to HTTP's framing and cannot be set by an endpoint.
    ReservedHeader(HeaderName),
    /// The 101 went out, and no connection came of it.
    UpgradeFailed(UpgradeFailed),
}

impl AcceptError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoCommonProtocol => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyAccepted => f.write_str("the upgrade was accepted already; it can be once"),
            Self::Answered => f.write_str(
                "the response was given before the upgrade was accepted; accept it before the endpoint returns",
            ),
            Self::Cancelled => f.write_str("the client went away before the upgrade was accepted"),
            Self::Draining(error) => error.fmt(f),
            Self::ProtocolNotOffered(error) => error.fmt(f),
            Self::NoCommonProtocol => {
                f.write_str("the client offered no sub-protocol that this endpoint speaks")
            }
            Self::ReservedHeader(name) => write!(
                f,
                "the header {name} belongs to the handshake; use the accept option for it, or leave it out"
            ),
            Self::UpgradeFailed(error) => error.fmt(f),
        }
    }
}

impl Error for AcceptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::UpgradeFailed(error) => error.source(),
            _ => None,
        }
    }
}

impl From<ProtocolNotOffered> for AcceptError {
    fn from(error: ProtocolNotOffered) -> Self {
        Self::ProtocolNotOffered(error)
    }
}

impl<B> From<AcceptError> for Response<B>
where
    B: From<String>,
{
    fn from(error: AcceptError) -> Self {
        if let AcceptError::Draining(error) = error {
            return Response::<&str>::from(error).map(|text| text.to_owned().into());
        }
        // What the client did is told to the client; what the server got wrong is the server's own business.
        let text = match error.status() {
            StatusCode::BAD_REQUEST => error.to_string(),
            _ => "the WebSocket could not be accepted".to_owned(),
        };
        let mut response = Self::new(text.into());
        *response.status_mut() = error.status();
        response
    }
}

/// The handshake was accepted, and the server gave no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpgradeFailed {
    /// The server does not serve upgrades: call hyper's `with_upgrades()`, or hyper-util's
    /// `serve_connection_with_upgrades()`.
    NotServed(hyper::Error),
    /// The connection ended before the response was written.
    Disconnected(hyper::Error),
    /// The connection did not come within the handshake timeout.
    TimedOut,
    /// The socket was aborted before its connection came: the time of a drain was up.
    Aborted,
    /// The task that was to drive the socket was dropped, as at the end of a runtime.
    Dropped,
}

impl From<hyper::Error> for UpgradeFailed {
    fn from(error: hyper::Error) -> Self {
        // hyper calls it the user's error when the connection finished without `with_upgrades()`.
        if error.is_user() {
            Self::NotServed(error)
        } else {
            Self::Disconnected(error)
        }
    }
}

impl fmt::Display for UpgradeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotServed(_) => {
                "the server does not serve upgrades; call hyper's `with_upgrades()` on the connection, or hyper-util's `serve_connection_with_upgrades()`"
            }
            Self::Disconnected(_) => "the connection ended before the handshake's response was written",
            Self::TimedOut => {
                "the connection was not upgraded within the handshake timeout; see that layers outside of the upgrade layer pass its response on, and that the server calls hyper's `with_upgrades()`"
            }
            Self::Aborted => "the socket was aborted before its connection came",
            Self::Dropped => "the task that drives the socket was dropped before the upgrade",
        })
    }
}

impl Error for UpgradeFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotServed(error) | Self::Disconnected(error) => Some(error),
            Self::TimedOut | Self::Aborted | Self::Dropped => None,
        }
    }
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The socket is closed, or its Close has been queued. [`closed`](crate::WebSocket::closed) tells how it ended.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the socket is closed"),
        }
    }
}

impl Error for SendError {}

/// Why a message was not queued at once; it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// More than 64 KiB are queued. [`send`](crate::WebSocket::send) waits for room.
    Full(Message),
    /// The socket is closed, or its Close has been queued.
    Closed(Message),
}

impl TrySendError {
    /// The message that was not queued.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => {
                "too much is queued on the socket; wait with `send`, or drop the message"
            }
            Self::Closed(_) => "the socket is closed",
        })
    }
}

impl Error for TrySendError {}

/// Why a ping has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PingError {
    /// The socket is closed or closing.
    Closed,
    /// For 20 s nothing was read from the peer, because the endpoint takes no messages; its pong may have come.
    NotReading,
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the socket is closed",
            Self::NotReading => {
                "nothing is read from the peer because the endpoint takes no messages; call `recv` or `discard`"
            }
        })
    }
}

impl Error for PingError {}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_told_what_the_client_did() {
        let response = Response::<String>::from(AcceptError::NoCommonProtocol);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(*response.body(), AcceptError::NoCommonProtocol.to_string());
    }

    #[test]
    fn the_client_is_not_told_what_the_server_did() {
        let errors = [
            AcceptError::AlreadyAccepted,
            AcceptError::Answered,
            AcceptError::Cancelled,
            AcceptError::ProtocolNotOffered(ProtocolNotOffered("secret".to_owned())),
            AcceptError::ReservedHeader(http::header::UPGRADE),
            AcceptError::UpgradeFailed(UpgradeFailed::TimedOut),
        ];
        for error in errors {
            let text = error.to_string();
            let response = Response::<String>::from(error);
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.body(), "the WebSocket could not be accepted");
            assert_ne!(*response.body(), text);
        }
    }

    #[test]
    fn errors_name_what_to_do() {
        let reserved = AcceptError::ReservedHeader(http::header::UPGRADE).to_string();
        assert!(reserved.contains("upgrade"), "{reserved}");
        let offered = AcceptError::from(ProtocolNotOffered("chat".to_owned())).to_string();
        assert!(offered.contains("\"chat\""), "{offered}");
        let late = AcceptError::UpgradeFailed(UpgradeFailed::TimedOut).to_string();
        assert!(late.contains("`with_upgrades()`"), "{late}");
    }
}
