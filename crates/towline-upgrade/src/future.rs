//! The response future: the inner future polled inline, until the endpoint accepts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use towline_core::HandshakeError;
use towline_core::pipeline::{Accepted, Offer};

use crate::body::UpgradeBody;
use crate::pipeline::{Endpoint, Pipeline, Surroundings};
use crate::trace;

pin_project! {
    /// The future of [`Upgrade`](crate::Upgrade): the inner service's response, or the one that accepts a WebSocket.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, E> {
        #[pin]
        state: State<F, E>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F, E> {
        Passed { #[pin] inner: F },
        Offered { offered: Option<Offered<F, E>> },
        Refused { error: HandshakeError },
    }
}

#[derive(Debug)]
pub(crate) struct Offered<F, E> {
    /// Boxed, so that it can move into the pipeline's task although it has been polled.
    pub(crate) inner: Pin<Box<F>>,
    pub(crate) offer: Offer,
    pub(crate) executor: E,
    pub(crate) surroundings: Surroundings,
}

impl<F, E> ResponseFuture<F, E> {
    pub(crate) fn passed(inner: F) -> Self {
        let state = State::Passed { inner };
        Self { state }
    }

    pub(crate) fn refused(error: HandshakeError) -> Self {
        let state = State::Refused { error };
        Self { state }
    }

    pub(crate) fn offered(offered: Offered<F, E>) -> Self {
        let offered = Some(offered);
        let state = State::Offered { offered };
        Self { state }
    }
}

impl<F, E, B, Error> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<Response<B>, Error>> + Send + 'static,
    E: Executor<Pipeline<F>>,
{
    type Output = Result<Response<UpgradeBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = match self.project().state.project() {
            StateProj::Passed { inner } => {
                let response = ready!(inner.poll(cx));
                return Poll::Ready(response.map(|response| response.map(UpgradeBody::new)));
            }
            StateProj::Offered { offered } => offered,
            StateProj::Refused { error } => return Poll::Ready(Ok(refusal(*error))),
        };
        let Some(mut offered) = slot.take() else {
            panic!("`ResponseFuture` polled after completion");
        };
        let (endpoint, accepted) = match offered.inner.as_mut().poll(cx) {
            Poll::Pending => match offered.offer.poll_accepted(cx) {
                Poll::Ready(Ok(accepted)) => (Endpoint::Running(offered.inner), accepted),
                Poll::Ready(Err(error)) => {
                    offered.surroundings.place.cut();
                    return Poll::Ready(Ok(refusal(error)));
                }
                Poll::Pending => {
                    *slot = Some(offered);
                    return Poll::Pending;
                }
            },
            Poll::Ready(response) => match offered.offer.answer() {
                Some(accepted) => (Endpoint::finished(offered.inner, response), accepted),
                None => {
                    return Poll::Ready(response.map(|response| response.map(UpgradeBody::new)));
                }
            },
        };
        let Accepted { head, driver, .. } = accepted;
        offered.surroundings.place.accepted(&driver);
        let pipeline = Pipeline::new(endpoint, driver, offered.surroundings);
        offered.executor.execute(pipeline);
        Poll::Ready(Ok(head.map(|()| UpgradeBody::empty())))
    }
}

/// The response that the layer gives in place of the inner service.
fn refusal<B>(error: HandshakeError) -> Response<UpgradeBody<B>> {
    trace::refused(&error);
    Response::<&'static str>::from(error).map(UpgradeBody::text)
}
