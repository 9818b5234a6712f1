//! Time limits and elapsed time, on the real clock and on a paused one.

use std::ops::RangeInclusive;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Longer than anything takes in real time: what runs into it hangs.
pub const LONG: Duration = Duration::from_secs(20);

/// An hour of virtual time: only what will never happen takes as long.
pub const NEVER: Duration = Duration::from_secs(3600);

/// The output of `future`. Fails after [`LONG`], in real time.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    limited(LONG, future)
}

/// The output of `future`. On a paused clock a test that would wait for ever fails at once.
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    limited(NEVER, future)
}

/// The output of `future`. Fails after `limit`.
#[track_caller]
pub(crate) fn limited<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing came, waited for at {caller}"),
        }
    }
}

/// Lets every task run until it waits for something: a paused clock moves only then.
pub async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// The time since the start of a part of a test.
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// As much time has passed, to the timer's precision.
    #[track_caller]
    pub fn assert(&self, expected: RangeInclusive<Duration>) {
        let elapsed = self.0.elapsed();
        let late = *expected.end() + Duration::from_millis(20);
        assert!((*expected.start()..=late).contains(&elapsed), "{elapsed:?}");
    }

    /// So much time has passed, to the timer's precision and a [`settle`] or two.
    #[track_caller]
    pub fn assert_about(&self, expected: Duration) {
        let elapsed = self.0.elapsed();
        let most = expected + Duration::from_millis(10);
        assert!(
            (expected..most).contains(&elapsed),
            "{elapsed:?}, not {expected:?}"
        );
    }
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
