//! The pipeline's task: what is left of the inner service's future, and the driver of its socket.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use tokio::time::{Instant, Sleep, sleep_until};
use towline_core::pipeline::{Driver, EndpointFailed};
use towline_core::{Closed, deadline_after};

use crate::admission::Place;
use crate::trace::{self, CallSpan};

/// The task that goes on when the handshake is answered: all layers inside of the upgrade layer, the endpoint, and the
/// driver of its socket. It ends when the socket has closed and the endpoint has returned.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Pipeline<F> {
    // Dropped first: whatever the endpoint still holds of the socket goes before the connection.
    endpoint: Endpoint<F>,
    phase: Phase,
    surroundings: Surroundings,
}

#[derive(Debug)]
enum Phase {
    Open(Box<Driver>),
    /// The socket has closed, and the endpoint goes on; with a grace, until that has passed.
    Unwinding(Option<Pin<Box<Sleep>>>),
}

/// What the pipeline keeps from the call of the service.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) endpoint_grace: Option<Duration>,
    pub(crate) span: CallSpan,
    // Dropped last: until then the pipeline counts.
    pub(crate) place: Place,
}

impl<F> Pipeline<F> {
    pub(crate) fn new(endpoint: Endpoint<F>, driver: Driver, surroundings: Surroundings) -> Self {
        Self {
            endpoint,
            phase: Phase::Open(Box::new(driver)),
            surroundings,
        }
    }
}

impl<F, B, E> Future for Pipeline<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            endpoint,
            phase,
            surroundings,
        } = &mut *self;
        let _entered = surroundings.span.enter();
        if let Phase::Open(driver) = phase {
            let place = &mut surroundings.place;
            ready!(driver.poll(cx, |cx, has_closed| {
                let polled = endpoint.poll(cx);
                if has_closed {
                    endpoint.release(place);
                }
                polled
            }));
            if driver.is_cut() {
                surroundings.place.cut();
            }
            let grace = surroundings.endpoint_grace;
            let sleep = |grace| sleep_until(deadline_after(Instant::now(), grace));
            *phase = Phase::Unwinding(grace.map(|grace| Box::pin(sleep(grace))));
        }
        // A failure of the endpoint comes too late to matter to the socket.
        let _ = endpoint.poll(cx);
        if let (Endpoint::Running(_), Phase::Unwinding(grace)) = (&endpoint, phase) {
            if !surroundings.place.is_expired(cx.waker()) {
                match grace {
                    Some(grace) => ready!(grace.as_mut().poll(cx)),
                    None => return Poll::Pending,
                }
                trace::overstayed();
            }
            endpoint.discard();
        }
        Poll::Ready(())
    }
}

/// The inner service's future, and with it the endpoint.
#[derive(Debug)]
pub(crate) enum Endpoint<F> {
    Running(Pin<Box<F>>),
    /// Ended in a way that the driver has not been told of.
    Failed,
    Done,
}

impl<F, B, E> Endpoint<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    /// An endpoint that answered in the poll in which it accepted. Its panics are over; those of the drops end here.
    pub(crate) fn finished(future: Pin<Box<F>>, response: F::Output) -> Self {
        let failed = is_failure(&response);
        // One by one: a panic during another's unwinding would abort the process.
        let clean = [drop_quietly(response), drop_quietly(future)];
        if failed || clean.contains(&false) {
            Self::Failed
        } else {
            Self::Done
        }
    }

    /// Polls the future if it has not finished; its panics, those of its drop and of its response's end here.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), EndpointFailed> {
        if let Self::Running(future) = self {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                future
                    .as_mut()
                    .poll(cx)
                    .map(|response| is_failure(&response))
            }));
            let failed = match polled {
                Ok(Poll::Pending) => return Ok(()),
                Ok(Poll::Ready(failed)) => failed,
                Err(panic) => {
                    trace::panicked(message(&*panic));
                    true
                }
            };
            if self.discard() && !failed {
                return Ok(());
            }
            *self = Self::Failed;
        }
        match std::mem::replace(self, Self::Done) {
            Self::Failed => Err(EndpointFailed),
            _ => Ok(()),
        }
    }
}

impl<F> Endpoint<F> {
    /// The socket has closed: an endpoint that has returned needs its place no longer.
    #[cold]
    fn release(&self, place: &mut Place) {
        if !matches!(self, Self::Running(_)) {
            place.release();
        }
    }

    /// Drops the future; whether that went without a panic.
    fn discard(&mut self) -> bool {
        drop_quietly(std::mem::replace(self, Self::Done))
    }
}

/// Drops `value`; whether that went without a panic.
fn drop_quietly<T>(value: T) -> bool {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    if let Err(panic) = &dropped {
        trace::panicked(message(&**panic));
    }
    dropped.is_ok()
}

/// An endpoint that ends with an error or an error's status, and not because its socket closed, has failed.
fn is_failure<B, E>(response: &Result<Response<B>, E>) -> bool {
    match response {
        Ok(response) => {
            let status = response.status();
            let failed = status.is_client_error() || status.is_server_error();
            failed && response.extensions().get::<Closed>().is_none()
        }
        Err(_) => true,
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "(no message)"
    }
}
