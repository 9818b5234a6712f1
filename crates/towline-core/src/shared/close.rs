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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::{Context, Poll, Waker};
    use std::thread;

    use crate::outbox::Outbox;
    use crate::shared::{Batch, Shared};

    fn recv_is_over(shared: &Shared) {
        let mut cx = Context::from_waker(Waker::noop());
        let received = shared.poll_recv(&mut VecDeque::new(), &mut cx);
        assert_eq!(received, Poll::Ready(None));
    }

    /// Whether the peer's Close is answered when `recv` was called in a run of the driver.
    fn answers(recv: impl FnOnce(&Shared)) -> bool {
        let shared = Shared::bare();
        let mut cx = Context::from_waker(Waker::noop());
        let mut arrived = Batch::default();
        shared.peer_closed(&mut arrived, None);
        shared.deliver(&mut arrived, &mut cx);
        recv(&shared);
        for _ in 0..2 {
            shared.collect(
                &mut Outbox::default(),
                #[cfg(feature = "deflate")]
                None,
                false,
                false,
            );
        }
        shared.orders().close_queued
    }

    #[test]
    fn only_the_endpoint_in_the_drivers_task_is_run_once_more() {
        assert!(!answers(|_| {}));
        assert!(answers(recv_is_over));
        // At the same time, but elsewhere: what it has still to send may take longer.
        assert!(!answers(|shared| {
            thread::scope(|scope| scope.spawn(|| recv_is_over(shared)).join().unwrap());
        }));
    }
}
