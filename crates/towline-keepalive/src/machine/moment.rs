//! Times that take little room.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A time in nanoseconds, a century after the epoch: half as large as an [`Instant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl Moment {
    pub(super) fn new(epoch: Instant, at: Instant) -> Self {
        let since = (at + CENTURY).saturating_duration_since(epoch);
        Self(NonZeroU64::MIN)
            .after(since)
            .unwrap_or(Self(NonZeroU64::MAX))
    }

    pub(super) fn after(self, wait: Duration) -> Option<Self> {
        let wait = u64::try_from(wait.as_nanos()).ok()?;
        self.0.checked_add(wait).map(Self)
    }

    pub(super) fn instant(self, epoch: Instant) -> Option<Instant> {
        let since = Duration::from_nanos(self.0.get() - 1);
        epoch.checked_add(since)?.checked_sub(CENTURY)
    }
}
