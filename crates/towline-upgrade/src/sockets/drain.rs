//! The drain of many sockets: its settings, its course and its outcome.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};
use towline_core::{CloseCode, CloseFrame, InvalidClose, deadline_after};

use super::registry::Registry;
use crate::trace;

/// How long what was dropped at the deadline may take to be gone.
const UNWIND: Duration = Duration::from_secs(1);

/// How [`Sockets::drain`](crate::Sockets::drain) ends sockets.
///
/// Each duration may be [`Duration::MAX`], which means "for ever".
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is for `Sockets::drain`"]
pub struct Drain {
    code: CloseCode,
    reason: String,
    grace: Duration,
    spread: Duration,
    within: Duration,
}

impl Drain {
    /// A drain with the default settings.
    pub const fn new() -> Self {
        Self {
            code: CloseCode::GOING_AWAY,
            reason: String::new(),
            grace: Duration::ZERO,
            spread: Duration::ZERO,
            within: Duration::from_secs(30),
        }
    }

    /// The code of the Close frames. Default: 1001, going away.
    pub fn code(mut self, code: impl Into<CloseCode>) -> Self {
        self.code = code.into();
        self
    }

    /// Their reason, of at most 123 bytes. Default: none.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// How long endpoints have to finish by themselves, before the first Close frame. Default: 0 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// From the first Close frame to the last, evenly, so that not all clients connect to another server at once.
    /// Default: 0 s.
    pub fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// From the beginning to the end; what is left then is dropped. Not shorter than grace and spread together, and long
    /// enough that the last client may answer its Close. Default: 30 s.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    pub(super) async fn run(self, registry: &Registry) -> Result<Drained, InvalidDrain> {
        let frame = CloseFrame::new(self.code, self.reason).map_err(InvalidDrain::Close)?;
        if self.grace.saturating_add(self.spread) > self.within {
            return Err(InvalidDrain::Within(self.within));
        }
        let begin = Instant::now();
        let before = registry.ended();
        registry.begin_drain();
        let closing = async {
            registry.tell().await;
            until(deadline_after(begin, self.grace)).await;
            close_evenly(registry, &frame, self.spread).await;
            pending().await
        };
        let mut left = 0;
        tokio::select! {
            biased;
            () = registry.emptied() => {}
            () = until(deadline_after(begin, self.within)) => {
                registry.expire();
                let _ = timeout(UNWIND, registry.emptied()).await;
                left = registry.members();
            }
            () = closing => {}
        }
        let after = registry.ended();
        let drained = Drained {
            closed: after.closed - before.closed,
            aborted: after.aborted - before.aborted + left,
        };
        trace::drained(drained);
        Ok(drained)
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// One timer, however many there are.
async fn close_evenly(registry: &Registry, frame: &CloseFrame, spread: Duration) {
    let begin = Instant::now();
    let keys = registry.keys();
    for (turn, key) in keys.iter().enumerate() {
        // Less than 1: the product does not overflow.
        let share = turn as f64 / keys.len() as f64;
        until(deadline_after(begin, spread.mul_f64(share))).await;
        registry.close(*key, frame);
        consume_budget().await;
    }
}

/// Waits until `then`.
async fn until(then: Instant) {
    // A timer that is due would be late by its precision, and every turn with it.
    if then > Instant::now() {
        sleep_until(then).await;
    }
}

/// What became of the sockets that there were when a drain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Those that closed, by whomever and however, and whose endpoints returned.
    pub closed: usize,
    /// Those that were dropped at the deadline, or whose endpoint was; also handshakes that no endpoint had decided on.
    pub aborted: usize,
}

/// Why a drain does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidDrain {
    /// Code and reason make no Close frame.
    Close(InvalidClose),
    /// The time is shorter than grace and spread together: some sockets would be dropped before their turn to close.
    Within(Duration),
}

impl fmt::Display for InvalidDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(error) => error.fmt(f),
            Self::Within(within) => write!(
                f,
                "a drain within {within:?} has no time for its grace and spread"
            ),
        }
    }
}

impl Error for InvalidDrain {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Close(error) => error.source(),
            Self::Within(_) => None,
        }
    }
}
