//! What a request lacks to become a socket, and the response that says so.

use std::error::Error;
use std::fmt;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};
use towline_protocol::handshake::InvalidHandshake;

/// A request that cannot become a WebSocket, as an endpoint finds it.
///
/// It converts into the response that tells the client: status, headers and one line of text. On HTTP/2 every 426 and
/// 405 is a 400, since `Upgrade` and `Connection` are forbidden there (RFC 9113 section 8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeError {
    kind: HandshakeErrorKind,
    version: Version,
}

/// What a request lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeErrorKind {
    /// The request is no valid handshake.
    Invalid(InvalidHandshake),
    /// The server that read the request offers no upgrade: there is no `hyper::upgrade::OnUpgrade` in its extensions.
    NotUpgradable,
    /// The handshake is good, and no upgrade layer is around the endpoint.
    NoUpgradeLayer,
}

impl HandshakeError {
    /// `kind` as the answer to a request that came over `version`.
    #[must_use]
    pub fn new(kind: impl Into<HandshakeErrorKind>, version: Version) -> Self {
        Self {
            kind: kind.into(),
            version,
        }
    }

    /// What the request lacks.
    #[must_use]
    pub fn kind(&self) -> HandshakeErrorKind {
        self.kind
    }

    /// The status of the response that tells the client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let HandshakeErrorKind::Invalid(invalid) = self.kind else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        match invalid {
            _ if self.version > Version::HTTP_11 => StatusCode::BAD_REQUEST,
            InvalidHandshake::NotWebSocket
            | InvalidHandshake::HttpVersion
            | InvalidHandshake::Version => StatusCode::UPGRADE_REQUIRED,
            InvalidHandshake::Method => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn reason(&self) -> &'static str {
        match self.kind {
            HandshakeErrorKind::Invalid(invalid) => invalid.reason(),
            HandshakeErrorKind::NotUpgradable => {
                "this server cannot upgrade the connection: the request carries no hyper::upgrade::OnUpgrade"
            }
            HandshakeErrorKind::NoUpgradeLayer => {
                "this endpoint needs a towline UpgradeLayer around it to accept a WebSocket"
            }
        }
    }
}

impl From<InvalidHandshake> for HandshakeErrorKind {
    fn from(invalid: InvalidHandshake) -> Self {
        Self::Invalid(invalid)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for HandshakeError {}

impl<B> From<HandshakeError> for Response<B>
where
    B: From<&'static str>,
{
    fn from(error: HandshakeError) -> Self {
        let mut response = Self::new(error.reason().into());
        *response.status_mut() = error.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        let http2 = error.version > Version::HTTP_11;
        match error.kind {
            HandshakeErrorKind::Invalid(
                InvalidHandshake::NotWebSocket
                | InvalidHandshake::HttpVersion
                | InvalidHandshake::Version,
            ) => {
                // RFC 6455, 4.4: it MUST list "all versions it is willing to use".
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                if !http2 {
                    // RFC 9110, 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
                    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                }
            }
            HandshakeErrorKind::Invalid(InvalidHandshake::Method) if !http2 => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        response.extensions_mut().insert(error);
        response
    }
}
