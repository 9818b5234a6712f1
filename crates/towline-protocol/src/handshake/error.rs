//! The rules of a handshake, as the ones that a request can break.

use std::error::Error;
use std::fmt;

/// Why a request is no valid WebSocket handshake: the first rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHandshake {
    /// The request does not attempt a handshake at all.
    NotWebSocket,
    /// The `:protocol` of an HTTP/2 extended CONNECT names a protocol other than websocket.
    OtherProtocol,
    /// The request came over HTTP/1.0.
    HttpVersion,
    /// The method is not GET, or on HTTP/2 not CONNECT.
    Method,
    /// `Sec-WebSocket-Version` is missing, contradicts itself or is not 13.
    Version,
    /// `Connection` lacks the token `upgrade`.
    Connection,
    /// `Upgrade` does not name websocket, or on HTTP/2 `:protocol` is missing.
    Upgrade,
    /// `Sec-WebSocket-Key` is missing, repeated or not base64 of 16 bytes.
    Key,
    /// The request declares a body.
    Body,
    /// There is not exactly one `Host`, nor on HTTP/2 an `:authority`.
    Host,
    /// `Sec-WebSocket-Protocol` is malformed.
    Protocol,
    /// `Sec-WebSocket-Extensions` is malformed.
    Extensions,
}

impl InvalidHandshake {
    /// The rule, in one line for the client to read.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotWebSocket => "this resource speaks WebSocket: send a WebSocket handshake",
            Self::OtherProtocol => {
                "this resource speaks WebSocket: :protocol must be websocket, no other is supported"
            }
            Self::HttpVersion => "a WebSocket handshake needs HTTP/1.1 or HTTP/2",
            Self::Method => {
                "a WebSocket handshake is a GET request, over HTTP/2 an extended CONNECT"
            }
            Self::Version => "sec-websocket-version must be 13",
            Self::Connection => "the connection header must include the token upgrade",
            Self::Upgrade => "the upgrade header, over HTTP/2 :protocol, must name websocket",
            Self::Key => {
                "there must be one sec-websocket-key, the base64 encoding of exactly 16 bytes"
            }
            Self::Body => "a WebSocket handshake must not declare a body",
            Self::Host => "there must be exactly one host header, over HTTP/2 or an :authority",
            Self::Protocol => {
                "sec-websocket-protocol must be a list of distinct tokens, at most 64 of them"
            }
            Self::Extensions => {
                "sec-websocket-extensions must be a list of extensions and their parameters"
            }
        }
    }
}

impl fmt::Display for InvalidHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for InvalidHandshake {}
