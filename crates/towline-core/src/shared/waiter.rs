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
    use std::task::{Context, Wake, Waker};

    use super::super::HIGH_WATER;
    use super::*;
    use crate::control::Control;
    use crate::sender::Sender;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Whatever waits, it waits.
    fn wait<'a, R>(future: impl Future<Output = R> + 'a) -> Wait<'a> {
        Box::pin(async {
            future.await;
        })
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_is_forgotten() {
        let shared = Shared::bare();
        shared.open();
        shared.push(vec![0; HIGH_WATER + 1].into()).unwrap();
        let (sender, control) = (Sender::new(Arc::clone(&shared)), Control::new(shared));
        for (name, mut future) in [
            ("send", wait(sender.send("late"))),
            ("flush", wait(sender.flush())),
            ("ping", wait(sender.ping())),
            ("closed", wait(control.closed())),
            ("draining", wait(control.draining())),
        ] {
            let task = Arc::new(Task);
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
}
