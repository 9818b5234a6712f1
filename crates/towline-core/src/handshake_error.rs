//! What a request lacks to become a socket, and the response that says so.

use std::error::Error;
use std::fmt;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};
use towline_protocol::handshake::InvalidHandshake;

/// A request that cannot become a WebSocket, as an endpoint finds it.
///
/// It converts into the response that tells the client: status, headers and one line of text, and rides in that
/// response's extensions. On HTTP/2 every 426 and 405 is a 400, since `Upgrade` and `Connection` are forbidden there
/// (RFC 9113 section 8.2.2), and a `:protocol` other than websocket is a 501.
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
    /// The upgrade layer has as many sockets as it may.
    TooManySockets,
    /// The server drains its sockets and opens no more.
    Draining,
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
        let invalid = match self.kind {
            HandshakeErrorKind::Invalid(invalid) => invalid,
            HandshakeErrorKind::NotUpgradable | HandshakeErrorKind::NoUpgradeLayer => {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            HandshakeErrorKind::TooManySockets | HandshakeErrorKind::Draining => {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
        };
        match invalid {
            // RFC 9220, 3: of an extended CONNECT "with a ":protocol" value that is unknown or is not supported, the server
            // SHOULD respond to the request with a 501 (Not Implemented) status code".
            InvalidHandshake::OtherProtocol => StatusCode::NOT_IMPLEMENTED,
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
            HandshakeErrorKind::TooManySockets => {
                "this server has as many WebSockets open as it may"
            }
            HandshakeErrorKind::Draining => {
                "this server is shutting down and opens no more WebSockets"
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
            HandshakeErrorKind::TooManySockets => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
            }
            // The client's next connection may find another server.
            HandshakeErrorKind::Draining if !http2 => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(error);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use InvalidHandshake as Invalid;

    const HTTP: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

    const UPGRADE_H1: &str = "sec-websocket-version: 13 | upgrade: websocket | connection: Upgrade";
    const UPGRADE_H2: &str = "sec-websocket-version: 13";

    #[test]
    #[rustfmt::skip] // One row a line.
    fn every_kind_has_its_status_and_headers_on_each_version() {
        let not_upgradable = HandshakeErrorKind::NotUpgradable;
        let no_layer = HandshakeErrorKind::NoUpgradeLayer;
        let too_many = HandshakeErrorKind::TooManySockets;
        let draining = HandshakeErrorKind::Draining;
        let rows: [(HandshakeErrorKind, [(u16, &str); 2]); 16] = [
            (Invalid::NotWebSocket.into(), [(426, UPGRADE_H1), (400, UPGRADE_H2)]),
            (Invalid::OtherProtocol.into(), [(501, ""), (501, "")]),
            (Invalid::HttpVersion.into(), [(426, UPGRADE_H1), (400, UPGRADE_H2)]),
            (Invalid::Version.into(), [(426, UPGRADE_H1), (400, UPGRADE_H2)]),
            (Invalid::Method.into(), [(405, "allow: GET"), (400, "")]),
            (Invalid::Connection.into(), [(400, ""), (400, "")]),
            (Invalid::Upgrade.into(), [(400, ""), (400, "")]),
            (Invalid::Key.into(), [(400, ""), (400, "")]),
            (Invalid::Body.into(), [(400, ""), (400, "")]),
            (Invalid::Host.into(), [(400, ""), (400, "")]),
            (Invalid::Protocol.into(), [(400, ""), (400, "")]),
            (Invalid::Extensions.into(), [(400, ""), (400, "")]),
            (not_upgradable, [(500, ""), (500, "")]),
            (no_layer, [(500, ""), (500, "")]),
            (too_many, [(503, "retry-after: 10"), (503, "retry-after: 10")]),
            (draining, [(503, "connection: close"), (503, "")]),
        ];
        for (kind, answers) in rows {
            for (version, (status, headers)) in HTTP.into_iter().zip(answers) {
                let error = HandshakeError::new(kind, version);
                assert_eq!(error.status(), status, "{kind:?} over {version:?}");
                assert_eq!(head(error), (status, headers.to_owned()), "{kind:?} over {version:?}");
            }
        }
    }

    #[test]
    fn http1_0_is_answered_as_http1_1() {
        for kind in [Invalid::HttpVersion, Invalid::NotWebSocket] {
            let error = HandshakeError::new(kind, Version::HTTP_10);
            assert_eq!(head(error), (426, UPGRADE_H1.to_owned()));
        }
    }

    #[test]
    fn the_body_is_one_line_that_says_what_was_wrong() {
        let rows: [(HandshakeErrorKind, &str); 11] = [
            (Invalid::NotWebSocket.into(), "speaks WebSocket"),
            (Invalid::OtherProtocol.into(), ":protocol"),
            (Invalid::Method.into(), "GET"),
            (Invalid::Version.into(), "sec-websocket-version"),
            (Invalid::Key.into(), "sec-websocket-key"),
            (Invalid::Protocol.into(), "sec-websocket-protocol"),
            (Invalid::Extensions.into(), "sec-websocket-extensions"),
            (HandshakeErrorKind::NotUpgradable, "cannot upgrade"),
            (HandshakeErrorKind::NoUpgradeLayer, "UpgradeLayer"),
            (HandshakeErrorKind::TooManySockets, "as many"),
            (HandshakeErrorKind::Draining, "shutting down"),
        ];
        for (kind, part) in rows {
            let error = HandshakeError::new(kind, Version::HTTP_11);
            let response = Response::<String>::from(error);
            assert_eq!(
                response.headers()[CONTENT_TYPE],
                "text/plain; charset=utf-8"
            );
            let body = response.body();
            assert!(body.contains(part), "{kind:?}: {body}");
            assert_eq!(body.lines().count(), 1, "{kind:?}: {body}");
            assert_eq!(body, &error.to_string());
        }
    }

    #[test]
    fn the_response_carries_the_error() {
        let error = HandshakeError::new(Invalid::Key, Version::HTTP_2);
        let response = Response::<String>::from(error);
        assert_eq!(response.extensions().get::<HandshakeError>(), Some(&error));
        assert_eq!(error.kind(), HandshakeErrorKind::Invalid(Invalid::Key));
    }

    /// The status, and the headers but the body's in one line.
    fn head(error: HandshakeError) -> (u16, String) {
        let response = Response::<String>::from(error);
        let headers = response.headers().iter();
        let headers: Vec<_> = headers
            .filter(|(name, _)| *name != CONTENT_TYPE)
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        (response.status().as_u16(), headers.join(" | "))
    }
}
