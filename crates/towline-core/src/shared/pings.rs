//! Pings that the endpoint asks for. One is under way at a time; whoever asks meanwhile shares the next.

use std::time::Duration;

use tokio::time::Instant;

use crate::closed::RoundTrip;

#[derive(Debug, Default)]
pub(super) struct Pings {
    /// The turns that were asked for, sent and answered: each at most one ahead of the next.
    asked: u64,
    sent: u64,
    answered: u64,
    /// The next does not wait for the answer to the one under way.
    supersedes: bool,
    sent_at: Option<Instant>,
    round_trip: Option<RoundTrip>,
}

impl Pings {
    /// The turn of a ping that is asked for now: the next, since the one under way may have left long ago.
    pub(super) fn ask(&mut self) -> u64 {
        self.asked = self.sent + 1;
        self.asked
    }

    /// Asks for a ping that does not wait for the answer to another, which may never come.
    pub(super) fn supersede(&mut self) {
        self.ask();
        self.supersedes = true;
    }

    /// Whether one is to be sent, now or behind the answer to another.
    pub(super) fn is_asked(&self) -> bool {
        self.asked != self.sent
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_asked() && (self.sent == self.answered || self.supersedes)
    }

    /// The number of the ping to send now, if one is due. Its payload is [`payload`] of it.
    pub(super) fn next(&mut self, now: impl FnOnce() -> Instant) -> Option<u64> {
        if !self.is_due() {
            return None;
        }
        self.supersedes = false;
        self.sent = self.asked;
        self.sent_at = Some(now());
        Some(self.sent)
    }

    /// A pong; if it answers the newest ping, that one's number and the round-trip time.
    pub(super) fn pong(
        &mut self,
        payload: &[u8],
        now: impl FnOnce() -> Instant,
    ) -> Option<(u64, Duration)> {
        // RFC 6455, 5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application data"".
        let under_way = self.sent != self.answered;
        if !under_way || payload != self::payload(self.sent) {
            return None;
        }
        self.answered = self.sent;
        let last = now().saturating_duration_since(self.sent_at?);
        self.round_trip = Some(match self.round_trip {
            Some(before) => before.then(last),
            None => RoundTrip::first(last),
        });
        Some((self.sent, last))
    }

    /// The round-trip time of the ping of this turn or a later one.
    pub(super) fn answered(&self, turn: u64) -> Option<Duration> {
        let round_trip = self.round_trip.filter(|_| self.answered >= turn)?;
        Some(round_trip.last())
    }

    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        self.round_trip
    }
}

/// What tells the pong to this ping from others.
pub(super) fn payload(token: u64) -> [u8; 8] {
    token.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_under_way_at_a_time() {
        let start = Instant::now();
        let later = start + Duration::from_millis(5);
        let mut pings = Pings::default();
        assert_eq!(pings.next(|| start), None);

        let first = pings.ask();
        let sent = pings.next(|| start).unwrap();
        // Asked while the first is under way: both share the second.
        let (second, shared) = (pings.ask(), pings.ask());
        assert_eq!((second, shared), (first + 1, first + 1));
        assert_eq!(pings.next(|| start), None);

        assert_eq!(pings.pong(b"unsolicited", || later), None);
        assert_eq!(pings.answered(first), None);
        assert!(pings.pong(&payload(sent), || later).is_some());
        assert_eq!(pings.answered(first), Some(Duration::from_millis(5)));
        assert_eq!(pings.answered(second), None);
        assert_eq!(pings.pong(&payload(sent), || later), None, "answered twice");

        let sent = pings.next(|| later).unwrap();
        assert!(pings.pong(&payload(sent), || later).is_some());
        assert_eq!(pings.answered(second), Some(Duration::ZERO));
    }

    #[test]
    fn one_that_supersedes_answers_for_the_one_before() {
        let start = Instant::now();
        let late = start + Duration::from_secs(50);
        let mut pings = Pings::default();
        let first = pings.ask();
        let lost = pings.next(|| start).unwrap();
        pings.supersede();
        let sent = pings.next(|| late).unwrap();
        assert_eq!(pings.next(|| late), None);

        assert_eq!(pings.pong(&payload(lost), || late), None, "too late");
        let answered = pings.pong(&payload(sent), || late);
        assert_eq!(answered, Some((sent, Duration::ZERO)));
        assert_eq!(pings.answered(first), Some(Duration::ZERO));
    }

    #[test]
    fn round_trips_are_smoothed() {
        let start = Instant::now();
        let mut pings = Pings::default();
        for (millis, smoothed) in [(80, 80), (160, 90), (90, 90), (10, 80)] {
            pings.ask();
            let sent = pings.next(|| start).unwrap();
            let last = Duration::from_millis(millis);
            assert!(pings.pong(&payload(sent), || start + last).is_some());
            let round_trip = pings.round_trip().unwrap();
            assert_eq!(round_trip.last(), last);
            assert_eq!(round_trip.smoothed(), Duration::from_millis(smoothed));
        }
    }
}
