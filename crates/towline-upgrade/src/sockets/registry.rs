//! Who is there: handshakes on offer, and sockets, all reached without keeping them alive.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use towline_core::CloseFrame;
use towline_core::pipeline::{Driver, Offer, Remote, WeakRemote};

#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// Told when nobody is left during a drain.
    empty: Notify,
}

#[derive(Debug, Default)]
struct State {
    links: Slab<Link>,
    /// How many of the links are sockets that have not been released: neither [`Link::Offered`] nor [`Link::Released`].
    sockets: usize,
    draining: bool,
    /// The time of a drain is up.
    expired: bool,
    ended: Ended,
}

/// How a member is reached.
#[derive(Debug)]
enum Link {
    Offered(WeakRemote),
    Socket(WeakRemote),
    /// The socket has closed and the endpoint has returned. The transport is still there.
    Released(WeakRemote),
    /// The socket has ended, and the endpoint goes on in this task.
    Unwinding(Waker),
    /// The end of a drain dropped it.
    Cut,
}

/// How many sockets have ended, and how many of them by the end of a drain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    pub(super) closed: usize,
    pub(super) aborted: usize,
}

impl Registry {
    pub(super) fn sockets(&self) -> usize {
        self.state.lock().sockets
    }

    /// With the handshakes on offer.
    pub(super) fn members(&self) -> usize {
        self.state.lock().links.len()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    pub(super) fn ended(&self) -> Ended {
        self.state.lock().ended
    }

    /// From here on nobody is let in.
    pub(super) fn begin_drain(&self) {
        self.state.lock().draining = true;
    }

    /// Tells those who are there of the drain.
    pub(super) async fn tell(&self) {
        for key in self.keys() {
            if let Some(remote) = self.remote(key) {
                remote.drain();
            }
            // There may be very many.
            consume_budget().await;
        }
    }

    /// Those who are there. While a drain goes on nobody takes the key of another.
    pub(super) fn keys(&self) -> Vec<usize> {
        let state = self.state.lock();
        state.links.iter().map(|(key, _)| key).collect()
    }

    pub(super) fn close(&self, key: usize, frame: &CloseFrame) {
        if let Some(remote) = self.remote(key) {
            remote.close(frame.clone());
        }
    }

    /// Drops whoever is left.
    pub(super) fn expire(&self) {
        self.state.lock().expired = true;
        for key in self.keys() {
            if let Some(remote) = self.remote(key) {
                remote.abort();
            }
            if let Some(task) = self.unwinding(key) {
                task.wake();
            }
        }
    }

    /// Waits until nobody is left; only during a drain.
    pub(super) async fn emptied(&self) {
        loop {
            let empty = self.empty.notified();
            if self.state.lock().links.is_empty() {
                return;
            }
            empty.await;
        }
    }

    /// Upgraded under the lock: an offer lives until its link is that of the socket, so one of both is found.
    fn remote(&self, key: usize) -> Option<Remote> {
        match self.state.lock().links.get(key)? {
            Link::Offered(remote) | Link::Socket(remote) | Link::Released(remote) => {
                remote.upgrade()
            }
            Link::Unwinding(_) | Link::Cut => None,
        }
    }

    fn unwinding(&self, key: usize) -> Option<Waker> {
        match self.state.lock().links.get(key)? {
            Link::Unwinding(task) => Some(task.clone()),
            _ => None,
        }
    }
}

/// One that is there, until this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    registry: Arc<Registry>,
    key: usize,
}

impl Member {
    /// Lets an offer in; `None` once a drain has begun.
    pub(crate) fn enroll(registry: &Arc<Registry>, offer: &Offer) -> Option<Self> {
        let link = Link::Offered(offer.remote().downgrade());
        let mut state = registry.state.lock();
        if state.draining {
            drop(state);
            return None;
        }
        let key = state.links.insert(link);
        drop(state);
        let registry = Arc::clone(registry);
        Some(Self { registry, key })
    }

    /// The offer was accepted, and is still there.
    pub(crate) fn accepted(&self, driver: &Driver) {
        let link = Link::Socket(driver.remote().downgrade());
        let mut state = self.registry.state.lock();
        state.sockets += 1;
        let offered = mem::replace(&mut state.links[self.key], link);
        drop(state);
        drop(offered);
    }

    /// The socket has closed and the endpoint has returned: it is not active any more.
    pub(crate) fn release(&self) {
        let mut state = self.registry.state.lock();
        let link = &mut state.links[self.key];
        if let Link::Socket(remote) = link {
            *link = Link::Released(remote.clone());
            state.sockets -= 1;
        }
    }

    /// The socket has ended, and the endpoint has not; whether it is to be dropped. If not, `task` is woken when it is.
    pub(crate) fn is_expired(&self, task: &Waker) -> bool {
        let mut state = self.registry.state.lock();
        let link = if state.expired {
            Link::Cut
        } else {
            Link::Unwinding(task.clone())
        };
        let expired = state.expired;
        let previous = mem::replace(&mut state.links[self.key], link);
        drop(state);
        drop(previous);
        expired
    }

    /// The end of a drain has dropped it.
    pub(crate) fn cut(&self) {
        let mut state = self.registry.state.lock();
        if let Link::Offered(_) | Link::Released(_) = state.links[self.key] {
            state.sockets += 1;
        }
        let previous = mem::replace(&mut state.links[self.key], Link::Cut);
        drop(state);
        drop(previous);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        let link = state.links.remove(self.key);
        match link {
            Link::Offered(_) => {}
            Link::Socket(_) | Link::Released(_) | Link::Unwinding(_) => state.ended.closed += 1,
            Link::Cut => state.ended.aborted += 1,
        }
        if !matches!(link, Link::Offered(_) | Link::Released(_)) {
            state.sockets -= 1;
        }
        let empty = state.draining && state.links.is_empty();
        drop(state);
        drop(link);
        if empty {
            self.registry.empty.notify_waiters();
        }
    }
}
