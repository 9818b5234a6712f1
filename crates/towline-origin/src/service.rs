//! The service that [`OriginLayer`](crate::OriginLayer) puts around another.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::ORIGIN;
use http::request::Parts;
use http::{Request, Response};
use hyper::ext::Protocol;
use tower_service::Service;
use towline_protocol::handshake;

use crate::body::OriginBody;
use crate::error::{OriginRejection, OriginRejectionKind};
use crate::future::ResponseFuture;
use crate::layer::Settings;
use crate::trace;

/// Refuses the handshakes of foreign pages, and passes all else to `S`; made by [`OriginLayer`](crate::OriginLayer).
#[derive(Clone, Debug)]
pub struct OriginCheck<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> OriginCheck<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn check(&self, request: &Parts) -> Result<(), OriginRejectionKind> {
        let protocol = request.extensions.get().map(Protocol::as_str);
        if handshake::Request::new(request, protocol).names_websocket() {
            self.settings.policy.check(request)
        } else {
            Ok(())
        }
    }

    fn refuse(&self, kind: OriginRejectionKind, mut request: Parts) -> Response<()> {
        trace::refused(kind, &request);
        // Taken out, which costs less than a copy.
        let origin = request.headers.remove(ORIGIN);
        self.settings.respond(OriginRejection::new(kind, origin))
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for OriginCheck<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<OriginBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match self.check(&parts) {
            Ok(()) => ResponseFuture::passed(self.inner.call(Request::from_parts(parts, body))),
            Err(kind) => ResponseFuture::refused(self.refuse(kind, parts)),
        }
    }
}
