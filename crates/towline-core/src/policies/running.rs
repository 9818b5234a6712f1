//! The policies of an open socket: what they are told, and what they have asked for.

use std::time::{Duration, Instant};
use std::{fmt, mem};

use super::Policies;
use super::activity::{Activity, read_clock};
use super::decision::{Asked, Decision, End};
use crate::connection::Transferred;
use crate::policy::{Event, SocketPolicy, SocketState};
use crate::shared::{Batch, Messages, News, SentPing};

/// How long after traffic the policies are told of more traffic.
const MIN_TICK: Duration = Duration::from_millis(10);
const MAX_TICK: Duration = Duration::from_secs(1);

/// How often they are told at once before a socket is busy: a ping and its pong need no further wake-up.
const AT_ONCE: u8 = 4;

/// The policies of one socket. An idle socket has this and the timer, so it is small.
pub(crate) struct Running<P: ?Sized = dyn Each> {
    /// `None` while nothing happens, which is most of a socket's life.
    activity: Option<Box<Activity>>,
    /// How often they were told of traffic since the timer fired without any.
    told: u8,
    /// There is nothing to tell but more traffic, and that waits for the tick. Reading goes on.
    coalesces: bool,
    /// A policy has paused reading.
    paused: bool,
    watches_messages: bool,
    stopped: bool,
    ends: bool,
    /// Our Close is queued: they are told nothing more.
    over: bool,
    /// Here and not behind a pointer of its own if there is but one.
    policies: P,
}

/// One policy, or several.
pub(crate) trait Each: Send + 'static {
    fn each(&mut self, call: &mut dyn FnMut(&mut dyn SocketPolicy));
}

impl<P: SocketPolicy> Each for P {
    fn each(&mut self, call: &mut dyn FnMut(&mut dyn SocketPolicy)) {
        call(self);
    }
}

pub(crate) struct Several(pub(crate) Vec<Box<dyn SocketPolicy>>);

impl Each for Several {
    fn each(&mut self, call: &mut dyn FnMut(&mut dyn SocketPolicy)) {
        for policy in &mut self.0 {
            call(&mut **policy);
        }
    }
}

impl<P: Each> Running<P> {
    pub(crate) fn new(mut policies: P) -> Self {
        let mut watches_messages = false;
        policies.each(&mut |policy| watches_messages |= policy.watches_messages());
        Self {
            activity: None,
            told: 0,
            coalesces: false,
            paused: false,
            watches_messages,
            stopped: false,
            ends: false,
            over: false,
            policies,
        }
    }
}

impl Running {
    /// The policies of a socket that opens now, if it has any.
    pub(crate) fn open(policies: &Policies) -> Option<Box<Self>> {
        policies.make(read_clock)
    }

    #[inline]
    pub(crate) fn watches_messages(&self) -> bool {
        self.watches_messages
    }

    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a policy ends the socket without waiting for the peer.
    pub(crate) fn ends(&self) -> bool {
        self.ends
    }

    #[inline]
    fn activity(&mut self) -> &mut Activity {
        self.activity.get_or_insert_default()
    }

    /// Bytes that they are to be told of.
    pub(crate) fn transferred(&mut self, transferred: Transferred) {
        let Transferred {
            received,
            written,
            progress,
        } = transferred;
        if progress {
            self.log().push(Event::WriteProgress);
        }
        if received + written > 0 {
            let activity = self.activity();
            activity.received += received;
            activity.written += written;
        }
    }

    /// For those that watch them.
    pub(crate) fn arrived(&mut self, arrived: &Batch) {
        let log = self.log();
        log.extend(arrived.iter().map(Event::message_received));
    }

    /// There is something to tell now.
    fn log(&mut self) -> &mut Vec<Event> {
        self.coalesces = false;
        &mut self.activity().log
    }

    pub(crate) fn pong(&mut self, token: u64, round_trip: Duration) {
        self.log().push(Event::Pong { token, round_trip });
    }

    /// What the handles did.
    pub(crate) fn note(&mut self, news: News) {
        let log = self.log();
        log.extend(news.sent);
        if news.signals.poked {
            log.push(Event::Poked);
        }
        if news.signals.draining {
            log.push(Event::Draining);
        }
        if let Some(SentPing { token, ahead }) = news.ping {
            let activity = self.activity();
            // What was written before, and not told yet, was not ahead of it.
            let ahead = ahead + activity.written;
            activity.ping = Some(SentPing { token, ahead });
        }
    }

    pub(crate) fn awaits_ping(&self) -> bool {
        let activity = self.activity.as_ref();
        activity.is_some_and(|activity| activity.ping.is_some())
    }

    /// Nothing is left to write: compressed, what was ahead of a ping is less than it was.
    pub(crate) fn ping_left(&mut self) {
        if let Some(ping) = &mut self.activity().ping {
            ping.ahead = 0;
        }
    }

    /// Whether there is nothing to tell but more traffic, if no byte is blocked and reading goes on, and that can wait for
    /// the timer.
    #[inline]
    pub(crate) fn coalesces(&self) -> bool {
        self.coalesces
    }

    /// Tells the policies what has happened in this round, of which `blocked` bytes are left to write.
    pub(crate) fn tell(
        &mut self,
        blocked: usize,
        messages: impl FnOnce() -> Messages,
        close_queued: bool,
    ) -> Option<Box<Decision>> {
        if self.over {
            self.activity = None;
            return None;
        }
        if self.activity.is_none() && blocked == 0 && !close_queued {
            return None;
        }
        let activity = self.activity();
        let (received, written) = (
            mem::take(&mut activity.received),
            mem::take(&mut activity.written),
        );
        let was_blocked = mem::replace(&mut activity.state.blocked, blocked) > 0;
        if let Some(ping) = &mut activity.ping {
            ping.ahead = ping.ahead.saturating_sub(written);
            if ping.ahead == 0 {
                activity.log.push(Event::PingSent { token: ping.token });
                activity.ping = None;
            }
        }
        if blocked > 0 && !was_blocked {
            activity.log.push(Event::WriteBlocked);
        }
        if close_queued {
            activity.log.push(Event::CloseQueued);
        }
        // A flush that has come through is progress without a byte.
        let flushed = was_blocked && blocked == 0;
        let transferred = received + written > 0 || flushed;
        let log = mem::take(&mut activity.log);
        if !transferred && log.is_empty() {
            return None;
        }
        let now = activity.now();
        activity.note(messages());
        let mut asked = Asked::default();
        if transferred {
            self.tell_all(now, Event::Transferred { received, written }, &mut asked);
        }
        for event in log {
            self.tell_all(now, event, &mut asked);
        }
        if transferred {
            self.put_off(now);
        }
        let activity = self.activity();
        let coalesces = activity.only_traffic_waits();
        if coalesces {
            // Nothing more is to happen in this wake-up, and its end passes by here.
            activity.now = None;
        }
        self.coalesces = coalesces && !self.stopped;
        if close_queued {
            self.over = true;
            self.coalesces = false;
            self.paused = false;
            self.activity = None;
        }
        self.settle(asked)
    }

    /// They were told of traffic, and those of a busy socket wait for more. What they are told late is late by a fraction
    /// of the time that is left to the deadline.
    fn put_off(&mut self, now: Instant) {
        self.told = self.told.saturating_add(1);
        if self.told <= AT_ONCE {
            return;
        }
        let deadline = self.policies_deadline();
        let left = deadline.map(|at| at.saturating_duration_since(now));
        let wait = left.map_or(MAX_TICK, |left| (left / 16).clamp(MIN_TICK, MAX_TICK));
        self.activity().tick = Some(now + wait);
    }

    fn tell_all(&mut self, now: Instant, event: Event, asked: &mut Asked) {
        let state = self.state();
        self.policies
            .each(&mut |policy| asked.add(policy.on_event(now, event, &state)));
    }

    fn state(&self) -> SocketState {
        let activity = self.activity.as_ref();
        activity.map_or_else(SocketState::default, |activity| activity.state)
    }

    /// When the timer is to fire.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let tick = self.activity.as_ref().and_then(|activity| activity.tick);
        earlier(self.policies_deadline(), tick)
    }

    /// When a policy has something to do.
    fn policies_deadline(&mut self) -> Option<Instant> {
        let mut first = self.activity.as_ref().and_then(|activity| activity.paused);
        self.policies
            .each(&mut |policy| first = earlier(first, policy.deadline()));
        first
    }

    /// The timer has fired for `deadline`, and of traffic there is none to tell: asks those whose time has really come.
    pub(crate) fn fire(&mut self, deadline: Instant, messages: Messages) -> Option<Box<Decision>> {
        self.told = 0;
        self.coalesces = false;
        let activity = self.activity();
        // The time of this wake-up may have been read just before.
        let now = activity.now().max(deadline);
        activity.now = Some(now);
        activity.note(messages);
        activity.tick = None;
        activity.paused = activity.paused.filter(|until| *until > now);
        self.paused = activity.paused.is_some();
        let mut asked = Asked::default();
        let state = self.state();
        self.policies.each(&mut |policy| {
            if policy.deadline().is_some_and(|deadline| deadline <= now) {
                asked.add(policy.on_deadline(now, &state));
            }
        });
        self.settle(asked)
    }

    fn settle(&mut self, asked: Asked) -> Option<Box<Decision>> {
        if let Some(decision) = &asked.0 {
            self.ends |= matches!(decision.end, Some(End::Now(_)));
            if decision.pause.is_some() && !self.over {
                let activity = self.activity();
                activity.paused = activity.paused.max(decision.pause);
                self.paused = true;
                self.coalesces = false;
            }
        }
        asked.0
    }

    /// The round is over, and nothing is left to do; whether the policies know that reading has `stopped`, or goes on.
    pub(crate) fn rest(&mut self, stopped: bool) -> bool {
        if stopped != self.stopped {
            self.stopped = stopped;
            self.log().push(if stopped {
                Event::ReadingStopped
            } else {
                Event::ReadingResumed
            });
            return false;
        }
        self.forget_time();
        true
    }

    /// The wake-up is over.
    pub(crate) fn forget_time(&mut self) {
        if let Some(activity) = &mut self.activity {
            activity.now = None;
            if activity.has_ended() {
                self.activity = None;
            }
        }
    }
}

impl<P: ?Sized> fmt::Debug for Running<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut running = f.debug_struct("Running");
        running.field("activity", &self.activity);
        running.finish_non_exhaustive()
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::policy::Action;
    use crate::shared::Signals;

    fn written(written: usize) -> Transferred {
        Transferred {
            written,
            ..Transferred::default()
        }
    }

    struct Later(Instant);

    impl SocketPolicy for Later {
        fn deadline(&self) -> Option<Instant> {
            Some(self.0)
        }
    }

    /// Writes down which pings have left.
    struct Pings(Arc<Mutex<Vec<u64>>>);

    impl SocketPolicy for Pings {
        fn on_event(&mut self, _: Instant, event: Event, _: &SocketState) -> Action {
            if let Event::PingSent { token } = event {
                self.0.lock().push(token);
            }
            Action::None
        }
    }

    #[test]
    fn a_ping_has_left_when_all_before_it_is_written() {
        let left = Arc::default();
        let mut running: Box<Running> = Box::new(Running::new(Pings(Arc::clone(&left))));
        let none = Messages {
            received: 0,
            taken: 0,
            full: false,
        };
        // In a round whose traffic may be told later.
        running.transferred(written(1000));
        let (token, ahead) = (7, 500);
        running.note(News {
            sent: Vec::new(),
            ping: Some(SentPing { token, ahead }),
            signals: Signals::default(),
        });
        for (bytes, left_then) in [(0, &[][..]), (499, &[]), (1, &[7])] {
            running.transferred(written(bytes));
            assert!(running.tell(0, || none, false).is_none());
            assert_eq!(*left.lock(), left_then, "{bytes}");
        }
    }

    #[test]
    fn only_a_busy_socket_waits_for_more_traffic() {
        let later = read_clock() + Duration::from_secs(3600);
        let none = Messages {
            received: 0,
            taken: 0,
            full: false,
        };
        let mut running: Box<Running> = Box::new(Running::new(Later(later)));
        for _ in 0..AT_ONCE {
            running.transferred(written(1));
            assert!(running.tell(0, || none, false).is_none());
            assert_eq!(running.deadline(), Some(later));
            assert!(running.rest(false) && running.activity.is_none());
        }
        running.transferred(written(1));
        assert!(running.tell(0, || none, false).is_none());
        let tick = running.deadline().unwrap();
        assert!(tick < later);
        assert!(running.coalesces());

        // Bytes that are blocked, and then are not, are told of at once.
        for blocked in [5, 0] {
            running.transferred(written(1));
            assert!(running.tell(blocked, || none, false).is_none());
            assert_eq!(running.coalesces(), blocked == 0);
        }

        assert!(running.fire(tick, none).is_none());
        assert_eq!(running.deadline(), Some(later));
        assert!(running.rest(false) && running.activity.is_none());
    }
}
