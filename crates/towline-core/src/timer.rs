//! The one timer of a socket.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::deadline::deadline_after;
use crate::io::outside_budget;

/// A timer that exists only while something waits for it, and is re-armed only when it fires or must fire sooner.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once `deadline` has passed; never without one.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        match deadline {
            Some(deadline) => self.poll_until(cx, deadline),
            None => {
                if self.sleep.is_some() {
                    self.disarm();
                }
                Poll::Pending
            }
        }
    }

    #[cold]
    fn disarm(&mut self) {
        *self = Self::default();
    }

    /// Whether it is armed, for whenever it is, and has not fired: it wakes the task that polled it.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed())
    }

    #[inline(never)]
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(reachable(deadline))));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(reachable(deadline));
        }
        // Out of the budget that a busy endpoint may have used up.
        while outside_budget(cx, |cx| sleep.as_mut().poll(cx)).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(reachable(deadline));
        }
        Poll::Pending
    }
}

/// A deadline that tokio can wait for. tokio rounds it up to the next tick of 1 ms, which panics at the end of what a clock
/// can tell. A policy may name any instant.
fn reachable(deadline: Instant) -> Instant {
    match deadline.checked_add(Duration::from_millis(1)) {
        Some(_) => deadline,
        None => deadline_after(Instant::now(), Duration::MAX),
    }
}
