//! A future that waits with others for something of a socket.

use std::ops::Deref;

use super::{List, Shared};

/// Says so when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter<S: Deref<Target = Shared>> {
    shared: S,
    list: List,
    waits: bool,
}

impl<S: Deref<Target = Shared>> Waiter<S> {
    pub(crate) fn new(shared: S, list: List) -> Self {
        Self {
            shared,
            list,
            waits: false,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn poll<R>(&mut self, poll: impl FnOnce(&Shared, &mut bool) -> R) -> R {
        poll(&self.shared, &mut self.waits)
    }
}

impl<S: Deref<Target = Shared>> Drop for Waiter<S> {
    fn drop(&mut self) {
        if self.waits {
            self.shared.leave(self.list);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;

    use super::super::HIGH_WATER;
    use super::*;
    use crate::control::Control;
    use crate::outbox::Outbox;
    use crate::sender::Sender;

    /// Whether it was woken.
    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Whatever waits, it waits.
    fn wait<'a, R>(future: impl Future<Output = R> + 'a) -> Wait<'a> {
        Box::pin(async {
            future.await;
        })
    }

    /// No more fits into its queue.
    fn full() -> Arc<Shared> {
        let shared = Shared::bare();
        shared.open();
        shared.push(vec![0; HIGH_WATER + 1].into()).unwrap();
        shared
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_is_forgotten() {
        let shared = full();
        let (sender, control) = (Sender::new(Arc::clone(&shared)), Control::new(shared));
        for (name, mut future) in [
            ("send", wait(sender.send("late"))),
            ("flush", wait(sender.flush())),
            ("ping", wait(sender.ping())),
            ("closed", wait(control.closed())),
            ("draining", wait(control.draining())),
        ] {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let mut cx = Context::from_waker(&waker);
            for _ in 0..2 {
                assert!(future.as_mut().poll(&mut cx).is_pending(), "{name}");
            }
            drop(waker);
            assert!(Arc::strong_count(&task) > 1, "{name} waits");
            drop(future);
            assert_eq!(Arc::strong_count(&task), 1, "{name}");
        }
    }

    #[tokio::test]
    async fn who_leaves_takes_nobody_along() {
        let shared = full();
        let sender = Sender::new(Arc::clone(&shared));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut cx = Context::from_waker(Waker::noop());
                while !over.load(Ordering::Relaxed) {
                    assert!(wait(sender.flush()).as_mut().poll(&mut cx).is_pending());
                }
            });
            for tried in 0..100_000 {
                let task = Arc::new(Task::default());
                let waker = Waker::from(Arc::clone(&task));
                let mut send = wait(sender.send("late"));
                assert!(
                    send.as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_pending()
                );
                drop(waker);
                let is_known = Arc::strong_count(&task) > 1 || task.0.load(Ordering::Relaxed);
                if !is_known {
                    over.store(true, Ordering::Relaxed);
                }
                assert!(is_known, "after {tried}");
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    #[tokio::test]
    async fn a_message_that_is_sent_waits_no_longer() {
        let shared = full();
        let sender = Sender::new(Arc::clone(&shared));
        let mut cx = Context::from_waker(Waker::noop());
        let mut send = Box::pin(sender.send("late"));
        assert!(send.as_mut().poll(&mut cx).is_pending());
        assert_eq!(shared.with(|state, _| state.sends_waiting), 1);
        shared.with(|state, _| state.outbox = Outbox::default());
        assert!(matches!(send.as_mut().poll(&mut cx), Poll::Ready(Ok(()))));
        assert_eq!(shared.with(|state, _| state.sends_waiting), 0);
        drop(send);
        assert_eq!(shared.with(|state, _| state.sends_waiting), 0);
    }

    #[tokio::test]
    #[should_panic(expected = "after it was ready")]
    async fn a_message_is_sent_once() {
        let shared = Shared::bare();
        let sender = Sender::new(Arc::clone(&shared));
        let mut cx = Context::from_waker(Waker::noop());
        let mut send = Box::pin(sender.send("once"));
        assert!(send.as_mut().poll(&mut cx).is_ready());
        let _ = send.as_mut().poll(&mut cx);
    }
}
