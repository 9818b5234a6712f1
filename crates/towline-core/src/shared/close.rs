//! Both directions of the close handshake.

use towline_protocol::{CloseCode, CloseFrame};

use crate::closed::ClosedBy;

/// Both directions of the close handshake.
#[derive(Debug, Default)]
pub(super) struct Close {
    /// What ended the input, an event behind the messages before it.
    pub(super) received: Option<Received>,
    pub(super) seen: Seen,
    /// The Close that is to go out behind what is queued.
    pub(super) requested: Option<Request>,
    /// A Close is in the outbox, and nothing follows it.
    pub(super) queued: bool,
    /// Who closed first, with which code and reason.
    pub(super) first: Option<(ClosedBy, CloseCode, String)>,
}

/// The peer's Close, or a frame of it that cannot be taken.
#[derive(Debug)]
pub(super) struct Received {
    /// The Close that answers it.
    pub(super) answer: Option<CloseFrame>,
    /// Whether it was a Close.
    pub(super) is_close: bool,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) frame: CloseFrame,
    pub(super) by: ClosedBy,
    /// Asked for by a handle's drop, before it is known whether the endpoint failed.
    pub(super) tentative: bool,
}

/// Whether the endpoint knows that the input ended. It may answer what came before it until it has run once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    No,
    /// Its `recv` ended during the endpoint's run in the driver's own task.
    ThisRun,
    Yes,
}

impl Close {
    pub(super) fn is_under_way(&self) -> bool {
        self.queued || self.requested.is_some() || self.received.is_some()
    }

    /// `recv` gave its `None`. Outside of the driver's task nothing tells when the endpoint has run once more.
    pub(super) fn saw_end(&mut self, in_driver: bool) {
        if in_driver && self.seen == Seen::No {
            self.seen = Seen::ThisRun;
        }
    }
}
