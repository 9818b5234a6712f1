//! Who waits for what, and how a wake is saved.

use std::mem;
use std::task::{Context, Waker};

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) driver: Option<Waker>,
    pub(super) recv: Option<Waker>,
    /// Of `send`, `flush` and `ping`, in any number of tasks.
    pub(super) send: Vec<Waker>,
    pub(super) closed: Vec<Waker>,
    /// The driver is in `poll`: it will look at the state again, so nobody needs to wake it.
    pub(super) running: bool,
    /// Something changed for the driver since it last looked.
    pub(super) poked: bool,
    /// Something changed for an endpoint in the driver's own task since that was last polled.
    pub(super) endpoint_ready: bool,
}

/// Wakers to call, and others to drop, when the lock is released: either may run code that takes it again.
#[derive(Default)]
pub(super) struct Wakes {
    wake: Vec<Waker>,
    replaced: Vec<Waker>,
}

impl Drop for Wakes {
    fn drop(&mut self) {
        for waker in self.wake.drain(..) {
            waker.wake();
        }
    }
}

impl Wakers {
    pub(super) fn wake_driver(&mut self, wakes: &mut Wakes) {
        if self.running {
            self.poked = true;
        } else {
            wakes.wake.extend(self.driver.take());
        }
    }

    /// A waker of the driver's own task stays where it is.
    pub(super) fn wake_recv(&mut self, wakes: &mut Wakes) {
        if let Some(waker) = self.recv.take() {
            self.recv = self.wake_endpoint(waker, wakes);
        }
    }

    pub(super) fn wake_send(&mut self, wakes: &mut Wakes) {
        for waker in mem::take(&mut self.send) {
            let own = self.wake_endpoint(waker, wakes);
            wakes.replaced.extend(own);
        }
    }

    pub(super) fn wake_closed(&mut self, wakes: &mut Wakes) {
        wakes.wake.append(&mut self.closed);
    }

    /// Saves the wake of an endpoint that the running driver polls anyway, and gives its waker back.
    fn wake_endpoint(&mut self, waker: Waker, wakes: &mut Wakes) -> Option<Waker> {
        let driver = self.driver.as_ref();
        if self.running && driver.is_some_and(|driver| driver.will_wake(&waker)) {
            self.endpoint_ready = true;
            return Some(waker);
        }
        wakes.wake.push(waker);
        None
    }
}

impl Wakes {
    pub(super) fn register(&mut self, slot: &mut Option<Waker>, cx: &mut Context<'_>) {
        if !slot
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.replaced.extend(slot.replace(cx.waker().clone()));
        }
    }
}

/// Adds a waker to those of several tasks.
pub(super) fn register(waiting: &mut Vec<Waker>, cx: &mut Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}
