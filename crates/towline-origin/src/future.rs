//! The response future: the inner service's, or the refusal that is there already.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use crate::body::OriginBody;

pin_project! {
    /// The future of [`OriginCheck`](crate::OriginCheck): the inner service's response, or the refusal.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Passed { #[pin] inner: F },
        Refused { response: Option<Response<()>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn passed(inner: F) -> Self {
        let state = State::Passed { inner };
        Self { state }
    }

    pub(crate) fn refused(response: Response<()>) -> Self {
        let response = Some(response);
        let state = State::Refused { response };
        Self { state }
    }
}

impl<F, B, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
{
    type Output = Result<Response<OriginBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Passed { inner } => inner
                .poll(cx)
                .map_ok(|response| response.map(OriginBody::new)),
            StateProj::Refused { response } => {
                let Some(response) = response.take() else {
                    panic!("`ResponseFuture` polled after completion");
                };
                Poll::Ready(Ok(response.map(|()| OriginBody::empty())))
            }
        }
    }
}
