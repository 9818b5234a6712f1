//! The state that all tasks of a run share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use towline_protocol::Limits;
use towline_protocol::deflate::PerMessageDeflate;

use super::plan::Settings;
use super::state::{State, Waits};
use super::wire::ReadEnd;

/// A handle to the state of a run.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The peer has something to look at.
    reflex: Notify,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub(crate) fn new(
        settings: Settings,
        limits: Limits,
        agreed: Option<PerMessageDeflate>,
        request: &[u8],
    ) -> Self {
        let state = State::new(settings, limits, agreed, request);
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            reflex: Notify::new(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // An endpoint that panics holds no lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next message that the endpoint makes.
    pub(crate) fn next_message(&self) -> u32 {
        let mut state = self.lock();
        state.messages_made += 1;
        state.messages_made
    }

    /// Something of the transport changed that the server may wait for.
    pub(crate) fn change_wire(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            state.progress("the peer");
            state.wire.wake()
        };
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }

    /// The peer sends these bytes.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change_wire(|state| {
            if state.wire.read_end.is_none() {
                state.input.push(bytes);
                // A connection that is dropped is not read.
                if state.wire.dropped.is_none() {
                    state.wire.inbound.extend(bytes);
                }
            }
        });
    }

    /// The peer ends what it sends.
    pub(crate) fn end_input(&self, end: ReadEnd) {
        self.change_wire(|state| {
            state.wire.read_end.get_or_insert(end);
        });
    }

    pub(crate) fn wake_reflex(&self) {
        self.0.reflex.notify_one();
    }

    pub(crate) async fn reflex(&self) {
        self.0.reflex.notified().await;
    }

    /// Notes that a future waits for something, for as long as it does.
    pub(crate) async fn waiting<F: Future>(&self, waits: Waits, future: F) -> F::Output {
        let key = self.lock().begin_wait(waits);
        let _guard = Waiting { world: self, key };
        future.await
    }

    /// A summary of the run, by which runs are compared.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> String {
        self.lock().summary()
    }

    /// The finding of the run, if there is one.
    pub(crate) fn findings(&self) -> Vec<String> {
        self.lock().findings().to_vec()
    }
}

struct Waiting<'a> {
    world: &'a World,
    key: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.world.lock().end_wait(self.key);
    }
}
