//! Pings that the endpoint asks for. One is under way at a time; whoever asks meanwhile shares the next.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Pings {
    /// The turns that were asked for, sent and answered: each at most one ahead of the next.
    asked: u64,
    sent: u64,
    answered: u64,
    sent_at: Option<Instant>,
    round_trip: Duration,
}

impl Pings {
    /// The turn of a ping that is asked for now: the next, since the one under way may have left long ago.
    pub(super) fn ask(&mut self) -> u64 {
        self.asked = self.sent + 1;
        self.asked
    }

    /// The payload of the ping to send now, if one is due.
    pub(super) fn next(&mut self, now: impl FnOnce() -> Instant) -> Option<Bytes> {
        if self.asked == self.sent || self.sent != self.answered {
            return None;
        }
        self.sent = self.asked;
        self.sent_at = Some(now());
        Some(Bytes::copy_from_slice(&self.sent.to_be_bytes()))
    }

    /// A pong; whether it answers the ping under way.
    pub(super) fn pong(&mut self, payload: &[u8], now: impl FnOnce() -> Instant) -> bool {
        // RFC 6455, 5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application data"".
        let under_way = self.sent != self.answered;
        if !under_way || payload != self.sent.to_be_bytes() {
            return false;
        }
        self.answered = self.sent;
        if let Some(sent_at) = self.sent_at {
            self.round_trip = now().saturating_duration_since(sent_at);
        }
        true
    }

    /// The round-trip time of the ping of this turn or a later one.
    pub(super) fn answered(&self, turn: u64) -> Option<Duration> {
        (self.answered >= turn).then_some(self.round_trip)
    }
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
        let payload = pings.next(|| start).unwrap();
        // Asked while the first is under way: both share the second.
        let (second, shared) = (pings.ask(), pings.ask());
        assert_eq!((second, shared), (first + 1, first + 1));
        assert_eq!(pings.next(|| start), None);

        assert!(!pings.pong(b"unsolicited", || later));
        assert_eq!(pings.answered(first), None);
        assert!(pings.pong(&payload, || later));
        assert_eq!(pings.answered(first), Some(Duration::from_millis(5)));
        assert_eq!(pings.answered(second), None);
        assert!(!pings.pong(&payload, || later), "answered twice");

        let payload = pings.next(|| later).unwrap();
        assert!(pings.pong(&payload, || later));
        assert_eq!(pings.answered(second), Some(Duration::ZERO));
    }
}
