//! The upgrade as an axum extractor, and what an endpoint ends with as axum responses.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use hyper::ext::Protocol;
use towline_protocol::handshake;

use crate::closed::Closed;
use crate::error::AcceptError;
use crate::handshake_error::HandshakeError;
use crate::upgrade::WebSocketUpgrade;

impl<S> FromRequestParts<S> for WebSocketUpgrade
where
    S: Sync,
{
    type Rejection = HandshakeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HandshakeError> {
        let protocol = parts.extensions.get().map(Protocol::as_str);
        Self::find(&parts.extensions, handshake::Request::new(parts, protocol))
    }
}

impl IntoResponse for HandshakeError {
    fn into_response(self) -> Response {
        self.into()
    }
}

impl IntoResponse for AcceptError {
    fn into_response(self) -> Response {
        self.into()
    }
}

impl IntoResponse for Closed {
    fn into_response(self) -> Response {
        self.into()
    }
}
