//! Both directions of the close handshake.

use towline_protocol::{CloseCode, CloseFrame};

use super::Caller;
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
    /// Its `recv` ended during the endpoint's run in the driver's own task, or it was woken since.
    ThisRun,
    Yes,
}

impl Close {
    pub(super) fn is_under_way(&self) -> bool {
        self.queued || self.requested.is_some() || self.received.is_some()
    }

    /// `recv` gave its `None`. For a handle outside of the endpoint nothing tells when its owner has run once more.
    pub(super) fn saw_end(&mut self, caller: Caller) {
        if caller == Caller::Endpoint && self.seen == Seen::No {
            self.seen = Seen::ThisRun;
        }
    }

    /// Those who waited to send, or for what was sent, are woken: the endpoint may have more to say when it has run.
    pub(super) fn woke_senders(&mut self) {
        if self.seen == Seen::Yes {
            self.seen = Seen::ThisRun;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::thread;

    use crate::outbox::Outbox;
    use crate::sender::SendOptions;
    use crate::shared::{Batch, HIGH_WATER, Shared, Written};

    fn recv_is_over(shared: &Shared) {
        let mut cx = Context::from_waker(Waker::noop());
        let received = shared.poll_recv(&mut VecDeque::new(), &mut cx);
        assert_eq!(received, Poll::Ready(None));
    }

    /// A socket in the middle of a run of the driver, in which the peer's Close has come.
    fn closing() -> Arc<Shared> {
        let shared = Shared::bare();
        let mut arrived = Batch::default();
        shared.peer_closed(&mut arrived, None);
        shared.deliver(&mut arrived, &mut Context::from_waker(Waker::noop()));
        shared
    }

    /// Whether the peer's Close is answered in the next rounds, in which all that is queued is written.
    fn is_answered(shared: &Shared) -> bool {
        for _ in 0..3 {
            shared.collect(
                &mut Outbox::default(),
                #[cfg(feature = "deflate")]
                None,
                false,
                false,
            );
            let (left, unflushed) = (0, false);
            shared.finish(Some(Written { left, unflushed }), false, false);
        }
        shared.orders().close_queued
    }

    /// Whether it is when `recv` was called in a run of the driver.
    fn answers(recv: impl FnOnce(&Shared)) -> bool {
        let shared = closing();
        let call = shared.endpoint_call();
        recv(&shared);
        drop(call);
        is_answered(&shared)
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

    #[test]
    fn the_answer_waits_for_who_waits_to_send() {
        let mut cx = Context::from_waker(Waker::noop());
        let full = || {
            let shared = closing();
            let call = shared.endpoint_call();
            recv_is_over(&shared);
            drop(call);
            shared.push(vec![0; HIGH_WATER + 1].into()).unwrap();
            shared
        };
        let shared = full();
        let (mut message, options) = ("last".into(), SendOptions::new());
        let mut waits = false;
        let mut send = || shared.poll_send(&mut message, options, &mut waits, &mut cx);
        assert!(send().is_pending());
        assert!(!is_answered(&shared));
        assert!(send().is_ready());
        assert!(is_answered(&shared));

        let shared = full();
        assert!(shared.poll_sink_ready(&mut cx).is_pending());
        assert!(!is_answered(&shared));
        assert!(shared.poll_sink_ready(&mut cx).is_ready());
        assert!(!is_answered(&shared), "before it is used");
        shared.push("last".into()).unwrap();
        assert!(is_answered(&shared));
    }
}
