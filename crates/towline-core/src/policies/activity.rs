//! What a socket has in store for its policies.

use std::time::Instant;

use crate::policy::{Event, SocketState};
use crate::shared::{Messages, SentPing};

/// What has happened since the policies were last told, and a while longer.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The policies were told of traffic, and are told of more of it then: a busy socket does not read the clock for each
    /// message.
    pub(super) tick: Option<Instant>,
    /// The time of this wake-up, if it was read.
    pub(super) now: Option<Instant>,
    /// Until when a policy has paused reading.
    pub(super) paused: Option<Instant>,
    /// What else has happened.
    pub(super) log: Vec<Event>,
    pub(super) received: usize,
    pub(super) written: usize,
    /// As the policies know it.
    pub(super) state: SocketState,
    /// The ping on its way, and how much is to be written until it has left.
    pub(super) ping: Option<SentPing>,
}

impl Activity {
    /// The time, read once in a wake-up.
    pub(super) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(read_clock)
    }

    pub(super) fn note(&mut self, messages: Messages) {
        let Messages {
            received,
            taken,
            full,
        } = messages;
        let blocked = self.state.blocked;
        self.state = SocketState {
            blocked,
            received,
            taken,
            full,
        };
    }

    /// Whether more traffic, if no byte is blocked, is told with the tick.
    pub(super) fn only_traffic_waits(&self) -> bool {
        self.tick.is_some() && self.ping.is_none() && self.state.blocked == 0
    }

    pub(super) fn has_ended(&self) -> bool {
        let waits = self.tick.is_some() || self.paused.is_some() || self.ping.is_some();
        let untold = self.received + self.written > 0 || !self.log.is_empty();
        !waits && !untold && self.state.blocked == 0
    }
}

/// tokio's clock, which tests may pause.
pub(super) fn read_clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
