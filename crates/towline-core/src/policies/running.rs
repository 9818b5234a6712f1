//! The policies of an open socket: what they are told, and what they have asked for.

use std::time::{Duration, Instant};
use std::{fmt, mem};

use towline_protocol::CloseFrame;

use super::Policies;
use crate::policy::{Action, Event, SocketPolicy, SocketState};
use crate::shared::{Batch, News, SentPing};

/// How long after traffic the policies are told of more traffic.
const MIN_TICK: Duration = Duration::from_millis(10);
const MAX_TICK: Duration = Duration::from_secs(1);

/// The policies of one socket, with what has happened since they were last told.
pub(crate) struct Running {
    policies: Box<[Box<dyn SocketPolicy>]>,
    /// The next deadline of a policy, as of when they were last asked. Traffic leaves it as it is.
    deadline: Option<Instant>,
    /// The policies were told of traffic, and are told of more of it then: a busy socket does not read the clock for each
    /// message.
    tick: Option<Instant>,
    /// The time of this wake-up, if it was read.
    now: Option<Instant>,
    /// Until when a policy has paused reading.
    paused: Option<Instant>,
    /// What else has happened since the policies were told.
    log: Vec<Event>,
    received: usize,
    written: usize,
    state: SocketState,
    /// The ping on its way, and how much is to be written until it has left.
    ping: Option<SentPing>,
    watches_messages: bool,
    stopped: bool,
    ends: bool,
}

/// What the policies ask for, of all the strongest.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) ping: bool,
    pub(crate) pong: bool,
    /// The driver's own affair: see [`Running::is_paused`].
    pause: Option<Instant>,
    pub(crate) end: Option<End>,
}

#[derive(Debug)]
pub(crate) enum End {
    Close(CloseFrame),
    /// Attempt a Close and drop the connection.
    Now(CloseFrame),
    Abort(&'static str),
}

impl Running {
    /// The policies of a socket that opens now, if it has any.
    pub(crate) fn open(policies: &Policies) -> Option<Box<Self>> {
        let policies = policies.make(read_clock);
        if policies.is_empty() {
            return None;
        }
        let watches_messages = policies.iter().any(|policy| policy.watches_messages());
        let mut running = Self {
            policies: policies.into(),
            deadline: None,
            tick: None,
            now: None,
            paused: None,
            log: Vec::new(),
            received: 0,
            written: 0,
            state: SocketState::default(),
            ping: None,
            watches_messages,
            stopped: false,
            ends: false,
        };
        running.rearm();
        Some(Box::new(running))
    }

    pub(crate) fn watches_messages(&self) -> bool {
        self.watches_messages
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Whether a policy ends the socket without waiting for the peer.
    pub(crate) fn ends(&self) -> bool {
        self.ends
    }

    pub(crate) fn read(&mut self, bytes: usize) {
        self.received += bytes;
    }

    pub(crate) fn arrived(&mut self, arrived: &Batch) {
        self.state.received += arrived.messages() as u64;
        if self.watches_messages {
            self.log.extend(arrived.iter().map(Event::message_received));
        }
    }

    pub(crate) fn pong(&mut self, token: u64, round_trip: Duration) {
        self.log.push(Event::Pong { token, round_trip });
    }

    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// What the handles did.
    pub(crate) fn note(&mut self, news: News) {
        self.log.extend(news.sent);
        if news.ping.is_some() {
            self.ping = news.ping;
        }
        if news.signals.poked {
            self.log.push(Event::Poked);
        }
        if news.signals.draining {
            self.log.push(Event::Draining);
        }
    }

    /// How many messages the endpoint has taken, which matters when reading stops.
    pub(crate) fn note_taken(&mut self, taken: u64) {
        self.state.taken = taken;
    }

    /// Whether there is nothing to tell but more traffic, if no byte is blocked, and that can wait for the timer as it is.
    #[inline]
    pub(crate) fn waits_for_tick(&self) -> bool {
        let told = self.log.is_empty() && self.ping.is_none() && self.state.blocked == 0;
        self.tick.is_some() && told
    }

    /// Tells the policies what has happened in this round, of which `blocked` bytes are left to write.
    pub(crate) fn tell(&mut self, blocked: usize, close_queued: bool) -> Option<Box<Decision>> {
        if self.policies.is_empty() {
            self.log = Vec::new();
            return None;
        }
        let (received, written) = (mem::take(&mut self.received), mem::take(&mut self.written));
        let was_blocked = mem::replace(&mut self.state.blocked, blocked) > 0;
        if let Some(ping) = &mut self.ping {
            ping.ahead = ping.ahead.saturating_sub(written);
            if ping.ahead == 0 {
                self.log.push(Event::PingSent { token: ping.token });
                self.ping = None;
            }
        }
        if blocked > 0 && !was_blocked {
            self.log.push(Event::WriteBlocked);
        }
        if close_queued {
            self.log.push(Event::CloseQueued);
        }
        // A flush that has come through is progress without a byte.
        let flushed = was_blocked && blocked == 0;
        let transferred = received + written > 0 || flushed;
        if !transferred && self.log.is_empty() {
            return None;
        }
        let transfer = transferred.then_some(Event::Transferred { received, written });
        let now = self.now();
        let mut asked = Asked::default();
        if let Some(event) = transfer {
            self.tell_all(now, event, &mut asked);
            self.tick = Some(self.next_tick(now));
        }
        if self.log.is_empty() && asked.0.is_none() {
            return None;
        }
        self.tell_log(now, asked, close_queued)
    }

    fn tell_log(
        &mut self,
        now: Instant,
        mut asked: Asked,
        close_queued: bool,
    ) -> Option<Box<Decision>> {
        let log = mem::take(&mut self.log);
        for &event in &log {
            self.tell_all(now, event, &mut asked);
        }
        if close_queued {
            self.policies = Box::default();
            self.paused = None;
            self.tick = None;
        }
        self.settle(asked)
    }

    fn tell_all(&mut self, now: Instant, event: Event, asked: &mut Asked) {
        for policy in &mut self.policies {
            asked.add(policy.on_event(now, event, &self.state));
        }
    }

    /// When the timer is to fire.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match (self.deadline, self.tick) {
            (Some(deadline), Some(tick)) => Some(deadline.min(tick)),
            (deadline, tick) => deadline.or(tick),
        }
    }

    /// What is told late is late by a fraction of the time that is left to the deadline.
    fn next_tick(&self, now: Instant) -> Instant {
        let left = self.deadline.map(|at| at.saturating_duration_since(now));
        let wait = left.map_or(MAX_TICK, |left| (left / 16).clamp(MIN_TICK, MAX_TICK));
        now + wait
    }

    /// The timer has fired for `deadline`: asks those whose time has really come.
    pub(crate) fn fire(&mut self, deadline: Instant) -> Option<Box<Decision>> {
        // The time of this wake-up may have been read just before.
        let now = self.now().max(deadline);
        self.now = Some(now);
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
        }
        let mut asked = Asked::default();
        let (received, written) = (mem::take(&mut self.received), mem::take(&mut self.written));
        self.tick = None;
        if received + written > 0 {
            let event = Event::Transferred { received, written };
            self.tell_all(now, event, &mut asked);
        }
        for policy in &mut self.policies {
            if policy.deadline().is_some_and(|deadline| deadline <= now) {
                asked.add(policy.on_deadline(now, &self.state));
            }
        }
        let decision = self.settle(asked);
        if received + written > 0 {
            self.tick = Some(self.next_tick(now));
        }
        decision
    }

    fn settle(&mut self, asked: Asked) -> Option<Box<Decision>> {
        if let Some(decision) = &asked.0 {
            self.ends |= matches!(decision.end, Some(End::Now(_)));
            if !self.policies.is_empty() {
                self.paused = self.paused.max(decision.pause);
            }
        }
        self.rearm();
        asked.0
    }

    fn rearm(&mut self) {
        let deadlines = self.policies.iter().filter_map(|policy| policy.deadline());
        self.deadline = deadlines.chain(self.paused).min();
    }

    /// The round is over, and nothing is left to do; whether the policies know that reading has `stopped`, because the
    /// inbox is `full` or for another reason, or goes on.
    pub(crate) fn rest(&mut self, stopped: bool, full: bool) -> bool {
        self.state.full = full;
        if stopped != self.stopped {
            self.stopped = stopped;
            self.log.push(if stopped {
                Event::ReadingStopped
            } else {
                Event::ReadingResumed
            });
            return false;
        }
        self.now = None;
        true
    }

    /// The time, read once in a wake-up.
    fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(read_clock)
    }

    /// The wake-up is over.
    pub(crate) fn forget_time(&mut self) {
        self.now = None;
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut running = f.debug_struct("Running");
        running.field("policies", &self.policies.len());
        running.field("deadline", &self.deadline);
        running.finish_non_exhaustive()
    }
}

/// tokio's clock, which tests may pause.
fn read_clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What policies have asked for so far.
#[derive(Default)]
struct Asked(Option<Box<Decision>>);

impl Asked {
    #[inline]
    fn add(&mut self, action: Action) {
        if !matches!(action, Action::None) {
            self.weigh(action);
        }
    }

    #[cold]
    fn weigh(&mut self, action: Action) {
        let decision = self.0.get_or_insert_default();
        let end = match action {
            Action::None => return,
            Action::Ping => return decision.ping = true,
            Action::UnsolicitedPong => return decision.pong = true,
            Action::PauseReading(until) => return decision.pause = decision.pause.max(Some(until)),
            Action::Close(frame) => End::Close(frame),
            Action::End(frame) => End::Now(frame),
            Action::Abort(reason) => End::Abort(reason),
        };
        let strength = |end: &End| match end {
            End::Close(_) => 1,
            End::Now(_) => 2,
            End::Abort(_) => 3,
        };
        let stands = decision.end.as_ref().map_or(0, strength);
        if strength(&end) > stands {
            decision.end = Some(end);
        }
    }
}
