//! Who waits for what, and how a wake is saved.

use std::task::{Context, Waker};

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) driver: Option<Waker>,
    pub(super) recv: Option<Waker>,
    pub(super) send: Option<Waker>,
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

    pub(super) fn wake_recv(&mut self, wakes: &mut Wakes) {
        let waker = self.recv.take();
        self.wake_endpoint(waker, wakes);
    }

    pub(super) fn wake_send(&mut self, wakes: &mut Wakes) {
        let waker = self.send.take();
        self.wake_endpoint(waker, wakes);
    }

    pub(super) fn wake_closed(&mut self, wakes: &mut Wakes) {
        wakes.wake.append(&mut self.closed);
    }

    /// Saves the wake of an endpoint that the running driver polls anyway.
    fn wake_endpoint(&mut self, waker: Option<Waker>, wakes: &mut Wakes) {
        let Some(waker) = waker else { return };
        let same_task = self
            .driver
            .as_ref()
            .is_some_and(|driver| driver.will_wake(&waker));
        if self.running && same_task {
            self.endpoint_ready = true;
        } else {
            wakes.wake.push(waker);
        }
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
