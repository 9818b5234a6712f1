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
///
/// Mostly there are none, and then none of this costs anything.
#[derive(Default)]
pub(super) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
    replaced: Vec<Waker>,
}

impl Wakes {
    fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }

    #[inline]
    pub(super) fn wake(self) {
        if self.first.is_some() || !self.replaced.is_empty() {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(self) {
        self.first
            .into_iter()
            .chain(self.more)
            .for_each(Waker::wake);
    }
}

impl Wakers {
    pub(super) fn wake_driver(&mut self, wakes: &mut Wakes) {
        if self.running {
            self.poked = true;
        } else {
            if let Some(driver) = self.driver.take() {
                wakes.push(driver);
            }
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
        for waker in mem::take(&mut self.closed) {
            let own = self.wake_endpoint(waker, wakes);
            wakes.replaced.extend(own);
        }
    }

    /// Saves the wake of an endpoint that the running driver polls anyway, and gives its waker back.
    fn wake_endpoint(&mut self, waker: Waker, wakes: &mut Wakes) -> Option<Waker> {
        let driver = self.driver.as_ref();
        if self.running && driver.is_some_and(|driver| driver.will_wake(&waker)) {
            self.endpoint_ready = true;
            return Some(waker);
        }
        wakes.push(waker);
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
