//! Whom a layer lets in, and what each takes up there.

use std::sync::Arc;
use std::task::Waker;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use towline_core::HandshakeErrorKind;
use towline_core::pipeline::{Driver, Offer};

use crate::sockets::{Member, Sockets};

/// What a layer asks of a valid handshake; clones are of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(crate) sockets: Option<Sockets>,
    pub(crate) slots: Option<Arc<Semaphore>>,
}

impl Admission {
    pub(crate) fn admit(&self, offer: &Offer) -> Result<Place, HandshakeErrorKind> {
        let member = self.sockets.as_ref().map(|sockets| {
            Member::enroll(sockets.registry(), offer).ok_or(HandshakeErrorKind::Draining)
        });
        let slot = self.slots.as_ref().map(|slots| {
            let slot = Arc::clone(slots).try_acquire_owned();
            slot.map_err(|_| HandshakeErrorKind::TooManySockets)
        });
        Ok(Place {
            member: member.transpose()?,
            slot: slot.transpose()?,
        })
    }
}

/// What a handshake takes up, and then its socket and endpoint, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    member: Option<Member>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// The offer was accepted, and is still there.
    pub(crate) fn accepted(&self, driver: &Driver) {
        if let Some(member) = &self.member {
            member.accepted(driver);
        }
    }

    /// The socket has closed and the endpoint has returned: only the transport is left.
    pub(crate) fn release(&mut self) {
        self.slot = None;
        if let Some(member) = &self.member {
            member.release();
        }
    }

    /// The socket has ended, and the endpoint has not; whether it is to be dropped. If not, `task` is woken when it is.
    pub(crate) fn is_expired(&self, task: &Waker) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.is_expired(task))
    }

    /// The end of a drain has dropped it.
    pub(crate) fn cut(&self) {
        if let Some(member) = &self.member {
            member.cut();
        }
    }
}
