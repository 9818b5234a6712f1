//! How long the answer to the peer's Close, or to a violation, waits for what the endpoint has to say before.

use std::time::Duration;

use tokio::time::Instant;

use crate::shared::Orders;

/// How long the endpoint may do nothing, and the peer take no byte of it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// An endpoint that takes none of its messages answers none, once it has sent so many since the last, for so long.
const ANSWERS: u64 = 64;
const ANSWERING: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Grace {
    end: Instant,
    /// The endpoint's counts when that was last put off.
    taken: u64,
    sent: u64,
    /// When it last took a message, and how many it had sent then.
    taken_at: Instant,
    sent_then: u64,
    /// It only sends.
    used_up: bool,
}

impl Grace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            end: now + CLOSE_GRACE,
            taken: 0,
            sent: 0,
            taken_at: now,
            sent_then: 0,
            used_up: false,
        }
    }

    /// When the answer goes out.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// An endpoint that goes on taking and sending has more time.
    pub(super) fn note(&mut self, now: Instant, orders: &Orders) {
        let Orders { taken, sent, .. } = *orders;
        if (taken, sent) == (self.taken, self.sent) {
            return;
        }
        if taken != self.taken {
            (self.taken_at, self.sent_then) = (now, sent);
        }
        (self.taken, self.sent) = (taken, sent);
        self.used_up = sent - self.sent_then > ANSWERS && now - self.taken_at > ANSWERING;
        self.put_off(now);
    }

    /// The peer has taken bytes, and the endpoint may be waiting for room for its next message.
    pub(super) fn note_written(&mut self, now: Instant) {
        self.put_off(now);
    }

    fn put_off(&mut self, now: Instant) {
        if !self.used_up {
            self.end = now + CLOSE_GRACE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(taken: u64, sent: u64) -> Orders {
        Orders {
            taken,
            sent,
            ..Orders::default()
        }
    }

    #[test]
    fn who_answers_has_more_time() {
        let mut now = Instant::now();
        let mut grace = Grace::new(now);
        for count in 1..100 {
            now += CLOSE_GRACE / 2;
            grace.note(now, &orders(count, count - 1));
            assert_eq!(grace.end(), now + CLOSE_GRACE);
            now += CLOSE_GRACE / 2;
            grace.note(now, &orders(count, count));
            assert_eq!(grace.end(), now + CLOSE_GRACE);
        }
        grace.note(now + CLOSE_GRACE / 2, &orders(99, 99));
        assert_eq!(grace.end(), now + CLOSE_GRACE, "it did nothing more");
    }

    #[test]
    fn so_has_who_waits_for_a_slow_peer() {
        let mut now = Instant::now();
        let mut grace = Grace::new(now);
        for _ in 0..100 {
            grace.note(now, &orders(7, 1000));
            grace.note_written(now);
            assert_eq!(grace.end(), now + CLOSE_GRACE);
            now += CLOSE_GRACE / 2;
        }
    }

    #[test]
    fn who_only_sends_has_not_for_ever() {
        for pause in [1, 100, 900].map(Duration::from_millis) {
            let begin = Instant::now();
            let mut grace = Grace::new(begin);
            let (mut now, mut sent) = (begin, 1000);
            while now <= grace.end() {
                grace.note(now, &orders(7, sent));
                grace.note_written(now);
                now += pause;
                sent += 1;
            }
            let last = ANSWERING.max(pause * 64) + CLOSE_GRACE;
            let took = now - begin;
            assert!((last..last + 3 * pause).contains(&took), "{took:?}");
        }
    }
}
