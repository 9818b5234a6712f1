//! Deadlines that do not overflow.

use std::ops::Add;
use std::time::Duration;

/// The longest wait. tokio's own `sleep` waits no longer either.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the instant `wait` after `now`, or 30 years after it if `wait` is longer.
///
/// So [`Duration::MAX`] means "for ever" in every setting that is a duration; a plain addition would panic. `I` is the
/// `Instant` of the standard library or of tokio.
///
/// ```
/// use std::time::{Duration, Instant};
/// use towline_core::deadline_after;
///
/// let now = Instant::now();
/// let minute = Duration::from_secs(60);
/// assert_eq!(deadline_after(now, minute), now + minute);
/// assert!(deadline_after(now, Duration::MAX) > now + 10_000 * 24 * 60 * minute);
/// ```
pub fn deadline_after<I>(now: I, wait: Duration) -> I
where
    I: Add<Duration, Output = I>,
{
    now + wait.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_most_thirty_years() {
        let now = std::time::Instant::now();
        let tick = Duration::from_nanos(1);
        for (wait, expected) in [
            (Duration::ZERO, Duration::ZERO),
            (tick, tick),
            (FOR_EVER - tick, FOR_EVER - tick),
            (FOR_EVER, FOR_EVER),
            (FOR_EVER + tick, FOR_EVER),
            (Duration::from_secs(i64::MAX as u64), FOR_EVER),
            (Duration::MAX / 2, FOR_EVER),
            (Duration::MAX, FOR_EVER),
        ] {
            assert_eq!(deadline_after(now, wait), now + expected, "{wait:?}");
            let tokio = tokio::time::Instant::from_std(now);
            assert_eq!(deadline_after(tokio, wait), tokio + expected, "{wait:?}");
        }
    }
}
