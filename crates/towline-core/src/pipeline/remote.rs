//! A handshake and its socket, as a registry of many reaches them.

use std::mem;
use std::sync::{Arc, Weak};

use towline_protocol::CloseFrame;

use super::{Slot, State};
use crate::shared::Shared;

/// A handshake on offer and the socket that comes of it, or that socket alone, as a registry reaches them.
#[derive(Clone, Debug)]
pub struct Remote(Target<Arc<Slot>, Arc<Shared>>);

/// A [`Remote`] that keeps nothing alive.
#[derive(Clone, Debug)]
pub struct WeakRemote(Target<Weak<Slot>, Weak<Shared>>);

#[derive(Clone, Debug)]
enum Target<O, S> {
    Offer(O),
    Socket(S),
}

impl Remote {
    pub(super) fn offer(slot: Arc<Slot>) -> Self {
        Self(Target::Offer(slot))
    }

    pub(crate) fn socket(shared: Arc<Shared>) -> Self {
        Self(Target::Socket(shared))
    }

    /// The same, for a registry to keep.
    #[must_use]
    pub fn downgrade(&self) -> WeakRemote {
        WeakRemote(match &self.0 {
            Target::Offer(slot) => Target::Offer(Arc::downgrade(slot)),
            Target::Socket(shared) => Target::Socket(Arc::downgrade(shared)),
        })
    }

    /// A drain begins: the socket's `draining()` is ready, and its policies are told. A handshake that was not accepted
    /// cannot be any more.
    pub fn drain(&self) {
        let socket = match &self.0 {
            Target::Offer(slot) => slot.drain(),
            Target::Socket(shared) => Some(Arc::clone(shared)),
        };
        if let Some(shared) = socket {
            shared.drain();
        }
    }

    /// Closes the socket with `frame`, behind what is queued. The first close of a socket stands.
    ///
    /// A raw connection gets no Close: only its endpoint knows where a frame may begin.
    pub fn close(&self, frame: CloseFrame) {
        let socket = match &self.0 {
            Target::Offer(slot) => slot.state.lock().socket(),
            Target::Socket(shared) => Some(Arc::clone(shared)),
        };
        if let Some(shared) = socket {
            shared.close_drained(frame);
        }
    }

    /// Drops the connection at once. A handshake that was not accepted is to be answered by the layer.
    pub fn abort(&self) {
        let socket = match &self.0 {
            Target::Offer(slot) => slot.abort(),
            Target::Socket(shared) => Some(Arc::clone(shared)),
        };
        if let Some(shared) = socket {
            shared.abort_drained();
        }
    }
}

impl WeakRemote {
    /// The same, unless that has ended.
    #[must_use]
    pub fn upgrade(&self) -> Option<Remote> {
        Some(Remote(match &self.0 {
            Target::Offer(slot) => Target::Offer(slot.upgrade()?),
            Target::Socket(shared) => Target::Socket(shared.upgrade()?),
        }))
    }
}

impl Slot {
    /// Refuses an accept that has not come; gives the socket of one that has.
    fn drain(&self) -> Option<Arc<Shared>> {
        let mut state = self.state.lock();
        if let State::Offered { draining, .. } = &mut *state {
            *draining = true;
        }
        state.socket()
    }

    /// Takes the offer back; gives the socket if that was accepted.
    fn abort(&self) -> Option<Arc<Shared>> {
        let mut state = self.state.lock();
        let socket = state.socket();
        let previous = match &*state {
            State::Offered { .. } => mem::replace(&mut *state, State::Aborted),
            _ => return socket,
        };
        drop(state);
        if let State::Offered {
            layer: Some(waker), ..
        } = previous
        {
            waker.wake();
        }
        socket
    }
}

impl State {
    fn socket(&self) -> Option<Arc<Shared>> {
        match self {
            Self::Accepted(chosen) => Some(Arc::clone(&chosen.shared)),
            Self::Taken(shared) => shared.upgrade(),
            Self::Offered { .. } | Self::Answered | Self::Cancelled | Self::Aborted => None,
        }
    }
}
