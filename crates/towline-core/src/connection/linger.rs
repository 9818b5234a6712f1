//! How long input is read and discarded after our output has ended.
//!
//! A connection that is dropped over unread input is reset, and the reset overtakes our Close on its way to the peer. RFC 9112,
//! 9.6, describes this and its cure: to close the writing side first, and to read on until the peer closes.

use std::time::Duration;

use tokio::time::Instant;

/// After both Closes the peer has nothing more to send.
const AFTER_CLOSES: Duration = Duration::from_secs(1);

/// After a violation the peer may be in the middle of a message, and may read only when it has written that.
const SILENCE: Duration = Duration::from_secs(2);
const IN_ALL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) enum Linger {
    AfterCloses { end: Instant },
    AfterViolation { silence_end: Instant, end: Instant },
}

impl Linger {
    pub(super) fn begin(after_violation: bool, now: Instant) -> Self {
        if after_violation {
            Self::AfterViolation {
                silence_end: now + SILENCE,
                end: now + IN_ALL,
            }
        } else {
            let end = now + AFTER_CLOSES;
            Self::AfterCloses { end }
        }
    }

    /// Called when bytes were read.
    pub(super) fn note_read(&mut self, now: Instant) {
        if let Self::AfterViolation { silence_end, .. } = self {
            *silence_end = now + SILENCE;
        }
    }

    /// The time at which the connection is dropped.
    pub(super) fn end(self) -> Instant {
        match self {
            Self::AfterCloses { end } => end,
            Self::AfterViolation { silence_end, end } => silence_end.min(end),
        }
    }
}
