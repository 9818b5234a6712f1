//! The response future: the inner one, with a look at what comes out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;
use towline_core::Offered;

pin_project! {
    /// The future of [`KeepAliveService`](crate::KeepAliveService).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        offered: Offered,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, offered: Offered) -> Self {
        Self { inner, offered }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.inner.poll(cx)? {
            Poll::Ready(response) => {
                this.offered.check(&response);
                Poll::Ready(Ok(response))
            }
            Poll::Pending => {
                this.offered.pending();
                Poll::Pending
            }
        }
    }
}
