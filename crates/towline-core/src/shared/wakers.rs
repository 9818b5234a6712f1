//! Who waits for what, and how a wake is saved.

use std::mem;
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) driver: Option<Waker>,
    pub(super) recv: Option<Waker>,
    /// Of `send`, `flush` and `ping`, in any number of tasks.
    pub(super) send: Vec<Waker>,
    pub(super) closed: Vec<Waker>,
    /// The driver is in `poll` and will look at the state again, so nobody needs to wake it.
    pub(super) running: bool,
    /// Where, while there is attention.
    pub(super) thread: Option<ThreadId>,
    /// The driver was woken, and has not been polled since.
    pub(super) woken: bool,
    /// Something changed for the driver since it last looked.
    pub(super) poked: bool,
    /// That was, or something that goes on is, more than messages that are sent and taken.
    pub(super) attention: bool,
    /// Something changed for an endpoint in the driver's own task since that was last polled.
    pub(super) endpoint_ready: bool,
}

/// Wakers to call, and others to drop, when the lock is released: either may run code that takes it again.
///
/// Mostly there are none, and then this is one pointer that is null.
#[derive(Default)]
pub(super) struct Wakes(Option<Box<Lists>>);

#[derive(Default)]
struct Lists {
    wake: Vec<Waker>,
    replaced: Vec<Waker>,
}

impl Wakes {
    #[cold]
    fn lists(&mut self) -> &mut Lists {
        self.0.get_or_insert_default()
    }

    #[inline]
    pub(super) fn wake(self) {
        if let Some(lists) = self.0 {
            lists.wake();
        }
    }
}

impl Lists {
    #[cold]
    fn wake(self) {
        // What was replaced is dropped behind this.
        for waker in self.wake {
            waker.wake();
        }
    }
}

impl Wakers {
    /// For whatever the driver has to see to besides messages.
    pub(super) fn wake_driver(&mut self, wakes: &mut Wakes) {
        self.attention = true;
        self.wake_driver_for_messages(wakes);
    }

    /// There is more to send, or more room for what arrives.
    #[inline]
    pub(super) fn wake_driver_for_messages(&mut self, wakes: &mut Wakes) {
        if self.running {
            self.poked = true;
        } else if !self.woken
            && let Some(driver) = &self.driver
        {
            self.woken = true;
            wakes.lists().wake.push(driver.clone());
        }
    }

    /// The driver runs here.
    #[cold]
    pub(super) fn note_thread(&mut self) {
        self.thread = Some(thread::current().id());
    }

    /// Whether the caller is the endpoint that the driver runs, and not one in another task at the same time.
    pub(super) fn is_in_driver(&self) -> bool {
        self.running && self.thread == Some(thread::current().id())
    }

    /// A waker of the driver's own task stays where it is.
    pub(super) fn wake_recv(&mut self, wakes: &mut Wakes) {
        match &self.recv {
            Some(waker) if self.saves_wake_of(waker) => self.endpoint_ready = true,
            Some(_) => wakes.lists().wake.extend(self.recv.take()),
            None => {}
        }
    }

    #[inline]
    pub(super) fn wake_send(&mut self, wakes: &mut Wakes) {
        if !self.send.is_empty() {
            self.wake_all_send(wakes);
        }
    }

    #[cold]
    fn wake_all_send(&mut self, wakes: &mut Wakes) {
        for waker in mem::take(&mut self.send) {
            if let Some(own) = self.wake_endpoint(waker, wakes) {
                wakes.lists().replaced.push(own);
            }
        }
    }

    pub(super) fn wake_closed(&mut self, wakes: &mut Wakes) {
        for waker in mem::take(&mut self.closed) {
            if let Some(own) = self.wake_endpoint(waker, wakes) {
                wakes.lists().replaced.push(own);
            }
        }
    }

    fn saves_wake_of(&self, waker: &Waker) -> bool {
        let driver = self.driver.as_ref();
        self.running && driver.is_some_and(|driver| driver.will_wake(waker))
    }

    /// Saves the wake of an endpoint that the running driver polls anyway, and gives its waker back.
    fn wake_endpoint(&mut self, waker: Waker, wakes: &mut Wakes) -> Option<Waker> {
        if self.saves_wake_of(&waker) {
            self.endpoint_ready = true;
            return Some(waker);
        }
        wakes.lists().wake.push(waker);
        None
    }
}

impl Wakes {
    /// Whether that is another waker than the one before.
    #[inline]
    pub(super) fn register(&mut self, slot: &mut Option<Waker>, cx: &mut Context<'_>) -> bool {
        let same = slot.as_ref().is_some_and(|it| it.will_wake(cx.waker()));
        if !same && let Some(replaced) = slot.replace(cx.waker().clone()) {
            self.lists().replaced.push(replaced);
        }
        !same
    }
}

/// Adds a waker to those of several tasks.
pub(super) fn register(waiting: &mut Vec<Waker>, cx: &mut Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}
