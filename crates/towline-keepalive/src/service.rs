//! The service that [`KeepAliveLayer`](crate::KeepAliveLayer) puts around another.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;
use towline_core::PolicyFactory;

use crate::future::ResponseFuture;

/// Keeps the sockets of `S` alive; made by [`KeepAliveLayer`](crate::KeepAliveLayer).
#[derive(Clone, Debug)]
pub struct KeepAliveService<S> {
    inner: S,
    factory: PolicyFactory,
}

impl<S> KeepAliveService<S> {
    pub(crate) fn new(inner: S, factory: PolicyFactory) -> Self {
        Self { inner, factory }
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
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for KeepAliveService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let offered = self.factory.offer(&mut request);
        ResponseFuture::new(self.inner.call(request), offered)
    }
}
