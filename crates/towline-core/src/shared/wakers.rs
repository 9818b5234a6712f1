//! The wakers of a socket, and the rule by which a wake-up is saved.
//!
//! No waker is kept for a future that registers inside the driver's own call of the endpoint, with the waker of the driver's
//! task ([`Caller::Endpoint`]): the driver polls the endpoint once more, or is woken itself. Equal wakers alone prove nothing.
//! A future beside the pipeline in the same task has the same waker, and the driver does not poll it.

use std::cell::Cell;
use std::mem;
use std::task::{Context, Waker};

use crate::sync::ENDPOINT_OF;

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) driver: Option<Waker>,
    pub(super) recv: Receiving,
    pub(super) send: Waiting,
    pong: Waiting,
    closed: Waiting,
    /// The driver is in `poll` and will look at the state again, so nobody needs to wake it.
    pub(super) running: bool,
    /// The driver was woken, and has not been polled since.
    pub(super) woken: bool,
    /// Something changed for the driver since it last looked.
    pub(super) poked: bool,
    /// That was, or something that goes on is, more than messages that are sent and taken.
    pub(super) attention: bool,
    /// Something changed for an endpoint in the driver's own task since that was last polled.
    pub(super) endpoint_ready: bool,
}

/// From where a handle is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// From the endpoint, which the driver of this socket is polling right now on this thread.
    Endpoint,
    /// From another task, or from a future that shares the driver's task but is not part of the endpoint.
    Elsewhere,
}

/// Lasts as long as the driver's call of the endpoint.
///
/// An endpoint that polls the pipeline of another socket counts as elsewhere from then on, which costs it a wake-up.
#[derive(Debug)]
pub(crate) struct EndpointCall(());

impl EndpointCall {
    #[inline]
    pub(super) fn begin(socket: usize) -> Self {
        ENDPOINT_OF.with(|it| it.set(socket));
        Self(())
    }
}

impl Drop for EndpointCall {
    #[inline]
    fn drop(&mut self) {
        ENDPOINT_OF.with(|it| it.set(0));
    }
}

impl Caller {
    #[inline]
    pub(super) fn of(socket: usize) -> Self {
        if ENDPOINT_OF.with(Cell::get) == socket {
            Self::Endpoint
        } else {
            Self::Elsewhere
        }
    }
}

/// The wait of the receiver, or of a future in its place: `accept` before, a read of a raw connection.
#[derive(Debug, Default)]
pub(super) enum Receiving {
    /// It does not wait.
    #[default]
    No,
    /// It is part of the endpoint.
    InEndpoint,
    Elsewhere(Waker),
}

/// What futures wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    /// Those of `send` and `flush`, and the `Sink`.
    Send,
    /// Those of `ping`.
    Pong,
    /// Those of `closed` and `draining`.
    Closed,
}

/// Futures that wait for the same, in any number of tasks. One that is dropped leaves its waker behind: it may be that of
/// others. So there may be more wakers than futures, but not many more.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// At least one of them is part of the endpoint.
    in_endpoint: bool,
    /// The wakers of the others.
    wakers: Vec<Waker>,
    futures: usize,
    /// The `Sink`, of which a socket has one, has waited: it counts as one of them from then on.
    sink: bool,
}

/// How many more, and how many of the newest are looked through for one's own.
const SLACK: usize = 16;

impl Waiting {
    /// Whether nobody is to be woken.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty() && !self.in_endpoint
    }

    fn is_bloated(&self) -> bool {
        self.wakers.len() > 2 * self.futures + SLACK
    }
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

    /// Registers the receiver, or the future in its place.
    #[inline]
    pub(super) fn wait_recv(&mut self, caller: Caller, cx: &mut Context<'_>, wakes: &mut Wakes) {
        let in_endpoint = self.is_endpoint(caller, cx);
        if in_endpoint && !matches!(self.recv, Receiving::Elsewhere(_)) {
            self.recv = Receiving::InEndpoint;
        } else {
            self.move_recv(in_endpoint, cx, wakes);
        }
    }

    /// Registers a receiver that is not part of the endpoint, or that was not.
    #[cold]
    fn move_recv(&mut self, in_endpoint: bool, cx: &mut Context<'_>, wakes: &mut Wakes) {
        let now = match &self.recv {
            _ if in_endpoint => Receiving::InEndpoint,
            Receiving::Elsewhere(waker) if waker.will_wake(cx.waker()) => return,
            _ => Receiving::Elsewhere(cx.waker().clone()),
        };
        if let Receiving::Elsewhere(replaced) = mem::replace(&mut self.recv, now) {
            wakes.lists().replaced.push(replaced);
        }
    }

    #[inline]
    pub(super) fn wake_recv(&mut self, wakes: &mut Wakes) {
        match self.recv {
            Receiving::No => {}
            Receiving::InEndpoint => self.wake_endpoint(wakes),
            Receiving::Elsewhere(_) => self.wake_recv_elsewhere(wakes),
        }
    }

    #[cold]
    fn wake_recv_elsewhere(&mut self, wakes: &mut Wakes) {
        if let Receiving::Elsewhere(waker) = mem::take(&mut self.recv) {
            wakes.lists().wake.push(waker);
        }
    }

    /// Has the driver poll the endpoint: once more if it is running, else in the first round after it was woken.
    #[inline]
    fn wake_endpoint(&mut self, wakes: &mut Wakes) {
        if self.running {
            self.endpoint_ready = true;
        } else {
            self.wake_driver_for_messages(wakes);
        }
    }

    /// Returns `true` if a future is polled whenever the driver polls the endpoint.
    ///
    /// A future with another waker may be a part of the endpoint that is polled only if it was woken itself, as in a
    /// `FuturesUnordered`.
    #[inline]
    fn is_endpoint(&self, caller: Caller, cx: &Context<'_>) -> bool {
        let driver = self.driver.as_ref();
        caller == Caller::Endpoint && driver.is_some_and(|driver| driver.will_wake(cx.waker()))
    }

    /// A future waits, as it may have done before; from the first time on it is one of them until it
    /// [leaves](Self::leave).
    pub(super) fn wait(
        &mut self,
        list: List,
        waits: &mut bool,
        caller: Caller,
        cx: &mut Context<'_>,
        wakes: &mut Wakes,
    ) {
        self.list(list).futures += usize::from(!mem::replace(waits, true));
        self.register(list, caller, cx, wakes);
    }

    /// Adds one of them, which may be woken for want of room in the list.
    #[cold]
    fn register(&mut self, list: List, caller: Caller, cx: &mut Context<'_>, wakes: &mut Wakes) {
        if self.is_endpoint(caller, cx) {
            self.list(list).in_endpoint = true;
            return;
        }
        let waiting = self.list(list);
        let mut newest = waiting.wakers.iter().rev().take(SLACK);
        if !newest.any(|waker| waker.will_wake(cx.waker())) {
            waiting.wakers.push(cx.waker().clone());
            self.trim(list, wakes);
        }
    }

    pub(super) fn wait_in_sink(
        &mut self,
        list: List,
        caller: Caller,
        cx: &mut Context<'_>,
        wakes: &mut Wakes,
    ) {
        let waiting = self.list(list);
        waiting.futures += usize::from(!mem::replace(&mut waiting.sink, true));
        self.register(list, caller, cx, wakes);
    }

    pub(super) fn leave(&mut self, list: List, wakes: &mut Wakes) {
        let waiting = self.list(list);
        waiting.futures -= 1;
        if waiting.futures == 0 {
            waiting.in_endpoint = false;
            let gone = mem::take(&mut waiting.wakers);
            if !gone.is_empty() {
                wakes.lists().replaced.extend(gone);
            }
        }
        self.trim(list, wakes);
    }

    /// Wakes all when there are too many: those that still wait say so again.
    fn trim(&mut self, list: List, wakes: &mut Wakes) {
        if self.list(list).is_bloated() {
            self.wake_all(list, wakes);
        }
    }

    fn list(&mut self, list: List) -> &mut Waiting {
        match list {
            List::Send => &mut self.send,
            List::Pong => &mut self.pong,
            List::Closed => &mut self.closed,
        }
    }

    #[inline]
    pub(super) fn wake_send(&mut self, wakes: &mut Wakes) {
        if !self.send.is_empty() {
            self.wake_all(List::Send, wakes);
        }
    }

    #[cold]
    pub(super) fn wake_all(&mut self, list: List, wakes: &mut Wakes) {
        let waiting = self.list(list);
        let wakers = mem::take(&mut waiting.wakers);
        let in_endpoint = mem::take(&mut waiting.in_endpoint);
        if !wakers.is_empty() {
            wakes.lists().wake.extend(wakers);
        }
        if in_endpoint {
            self.wake_endpoint(wakes);
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    fn wait(wakers: &mut Wakers, task: &Arc<Task>) -> Wakes {
        let waker = Waker::from(Arc::clone(task));
        let mut cx = Context::from_waker(&waker);
        let mut wakes = Wakes::default();
        let (waits, caller) = (&mut false, Caller::Elsewhere);
        wakers.wait(List::Closed, waits, caller, &mut cx, &mut wakes);
        wakes
    }

    #[test]
    fn a_task_is_woken_once() {
        let mut wakers = Wakers::default();
        let tasks = [(); 3].map(|()| Arc::new(Task));
        for task in tasks.iter().chain(&tasks) {
            wait(&mut wakers, task);
        }
        assert_eq!(wakers.closed.futures, 6);
        let mut wakes = Wakes::default();
        wakers.wake_all(List::Closed, &mut wakes);
        assert_eq!(wakes.lists().wake.len(), 3);
        assert!(wakers.closed.is_empty());
    }

    #[test]
    fn those_that_are_gone_do_not_pile_up() {
        let mut wakers = Wakers::default();
        let stays = Arc::new(Task);
        wait(&mut wakers, &stays);
        let mut woken = 0;
        for _ in 0..1000 {
            let gone = Arc::new(Task);
            let mut wakes = wait(&mut wakers, &gone);
            wakers.leave(List::Closed, &mut wakes);
            woken += wakes.0.map_or(0, |lists| lists.wake.len());
            assert!(wakers.closed.wakers.len() <= 2 + SLACK);
        }
        // Whoever stays is woken now and then, to wait again.
        assert!((900..1000).contains(&woken), "{woken}");

        let mut wakes = Wakes::default();
        wakers.leave(List::Closed, &mut wakes);
        assert!(wakers.closed.is_empty() && wakers.closed.futures == 0);
    }
}
