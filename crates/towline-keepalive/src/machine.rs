//! What keep-alive decides on, as time is told to it: no clock, no runtime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use towline_core::{Action, CloseCode, Event, SocketPolicy, SocketState};

use crate::layer::Strategy;

/// What a socket is held to. No duration is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) strategy: Strategy,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
}

impl Settings {
    /// Whether there is anything to hold a socket to.
    pub(crate) fn any(&self) -> bool {
        let all = [
            self.interval,
            self.idle_timeout,
            self.max_lifetime,
            self.write_timeout,
            self.stall_timeout,
        ];
        all.iter().any(Option::is_some)
    }
}

/// The keep-alive of one socket.
#[derive(Debug)]
pub(crate) struct Machine {
    settings: Arc<Settings>,
    jitter: Jitter,
    opened: Instant,
    probe: Probe,
    /// How long nothing must come until the next question.
    wait: Option<Duration>,
    /// The last message, or when reading went on behind it.
    message: Instant,
    /// How many messages there were.
    messages: u64,
    /// Since when the transport has taken nothing of what is queued.
    blocked: Option<Instant>,
    /// Since when nothing is read.
    stopped: Option<Instant>,
    /// How many messages the endpoint had taken then.
    taken: u64,
    /// The socket is to end: nothing more is decided.
    over: bool,
}

/// The question whether the peer is there.
#[derive(Debug)]
enum Probe {
    /// It is not asked; since then nothing came.
    Waiting(Instant),
    /// A ping stands in line.
    Queued,
    /// It has left; since then nothing came.
    Sent(Instant),
    /// Nothing is read, so nothing can be asked.
    Suspended,
}

impl Machine {
    pub(crate) fn new(settings: Arc<Settings>, seed: u64, now: Instant) -> Self {
        let mut jitter = Jitter(seed);
        // Sockets that were opened together come apart in the first interval, not by and by.
        let first = |interval| jitter.between(interval / 2, interval);
        Self {
            wait: settings.interval.map(first),
            settings,
            jitter,
            opened: now,
            probe: Probe::Waiting(now),
            message: now,
            messages: 0,
            blocked: None,
            stopped: None,
            taken: 0,
            over: false,
        }
    }

    fn transferred(&mut self, now: Instant, received: usize, written: usize, state: &SocketState) {
        if received > 0 {
            if self.settings.strategy == Strategy::PingPong && self.stopped.is_none() {
                self.probe = Probe::Waiting(now);
            }
            if state.received != self.messages {
                self.messages = state.received;
                self.message = now;
            }
        }
        if self.blocked.is_some() && (written > 0 || state.blocked == 0) {
            self.blocked = (state.blocked > 0).then_some(now);
            // A peer that takes what is queued is alive, and may have much to read before the ping.
            if let Probe::Sent(since) = &mut self.probe {
                *since = now;
            }
        }
    }

    fn stopped(&mut self, now: Instant, state: &SocketState) {
        self.stopped = Some(now);
        self.taken = state.taken;
        if self.settings.strategy == Strategy::PingPong {
            self.probe = Probe::Suspended;
        }
    }

    fn resumed(&mut self, now: Instant) {
        self.stopped = None;
        self.message = now;
        if self.settings.strategy == Strategy::PingPong {
            self.probe = Probe::Waiting(now);
        }
    }

    /// What is due, the strongest first, and since when.
    fn dues(&self) -> [(Due, Option<Instant>); 6] {
        let Settings {
            timeout,
            idle_timeout,
            max_lifetime,
            write_timeout,
            stall_timeout,
            ..
        } = *self.settings;
        let after = |since: Option<Instant>, wait: Option<Duration>| since?.checked_add(wait?);
        let (waiting, sent) = match self.probe {
            Probe::Waiting(since) => (Some(since), None),
            Probe::Sent(since) => (None, Some(since)),
            Probe::Queued | Probe::Suspended => (None, None),
        };
        let reading = self.stopped.is_none();
        [
            (Due::Write, after(self.blocked, write_timeout)),
            (Due::Answer, after(sent, timeout)),
            (Due::Lifetime, after(Some(self.opened), max_lifetime)),
            (Due::Stall, after(self.stopped, stall_timeout)),
            (
                Due::Idle,
                after(reading.then_some(self.message), idle_timeout),
            ),
            (Due::Probe, after(waiting, self.wait)),
        ]
    }

    fn act(&mut self, due: Due, now: Instant, state: &SocketState) -> Action {
        match due {
            Due::Write => Action::Abort("write timeout"),
            Due::Answer => Action::end(CloseCode::INTERNAL_ERROR, "keep-alive timeout"),
            Due::Lifetime => Action::close(CloseCode::GOING_AWAY, "maximum lifetime"),
            Due::Idle => Action::close(CloseCode::GOING_AWAY, "idle timeout"),
            Due::Stall if state.full && state.taken == self.taken => {
                Action::close(CloseCode::INTERNAL_ERROR, "stall timeout")
            }
            Due::Stall => {
                self.stopped = Some(now);
                self.taken = state.taken;
                Action::None
            }
            Due::Probe => {
                self.wait = self.settings.interval.map(|it| self.jitter.around(it));
                self.probe(now)
            }
        }
    }

    fn probe(&mut self, now: Instant) -> Action {
        match self.settings.strategy {
            Strategy::PingPong => {
                self.probe = Probe::Queued;
                Action::Ping
            }
            Strategy::UnsolicitedPong => {
                self.probe = Probe::Waiting(now);
                Action::UnsolicitedPong
            }
        }
    }

    /// It is our own stall that the deadline was missed by so much: whatever the peer or the endpoint did meanwhile has not
    /// been seen. Everything starts over.
    fn start_over(&mut self, due: Due, now: Instant) -> Action {
        match due {
            Due::Write => self.blocked = Some(now),
            Due::Idle => self.message = now,
            Due::Stall => self.stopped = Some(now),
            Due::Answer => return self.probe(now),
            Due::Lifetime | Due::Probe => {}
        }
        Action::None
    }
}

/// What comes due.
#[derive(Clone, Copy, Debug)]
enum Due {
    Write,
    Answer,
    Lifetime,
    Stall,
    Idle,
    Probe,
}

impl Due {
    /// How late the deadline may be noticed, if lateness matters.
    fn tolerance(self, settings: &Settings) -> Option<Duration> {
        let timeout = match self {
            Self::Write => settings.write_timeout,
            Self::Answer => settings.timeout,
            Self::Stall => settings.stall_timeout,
            Self::Idle => settings.idle_timeout,
            Self::Lifetime | Self::Probe => None,
        };
        timeout.map(|timeout| timeout / 2)
    }
}

impl SocketPolicy for Machine {
    fn on_event(&mut self, now: Instant, event: Event, state: &SocketState) -> Action {
        match event {
            Event::Transferred { received, written } => {
                self.transferred(now, received, written, state);
            }
            Event::WriteBlocked => self.blocked = Some(now),
            Event::PingSent { .. } => {
                if let Probe::Queued = self.probe {
                    self.probe = Probe::Sent(now);
                }
            }
            Event::ReadingStopped => self.stopped(now, state),
            Event::ReadingResumed => self.resumed(now),
            _ => {}
        }
        Action::None
    }

    fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        self.dues().into_iter().filter_map(|(_, at)| at).min()
    }

    fn on_deadline(&mut self, now: Instant, state: &SocketState) -> Action {
        let mut probe = Action::None;
        for (due, at) in self.dues() {
            let Some(late) = at.and_then(|at| now.checked_duration_since(at)) else {
                continue;
            };
            let tolerance = due.tolerance(&self.settings);
            let action = if tolerance.is_some_and(|tolerance| late > tolerance) {
                self.start_over(due, now)
            } else {
                self.act(due, now, state)
            };
            match action {
                Action::None => {}
                Action::Ping | Action::UnsolicitedPong => probe = action,
                end => {
                    self.over = true;
                    return end;
                }
            }
        }
        probe
    }
}

/// Numbers that differ from socket to socket (SplitMix64).
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// Up to a tenth shorter or longer.
    fn around(&mut self, duration: Duration) -> Duration {
        let tenth = duration / 10;
        self.between(duration - tenth, duration.saturating_add(tenth))
    }

    fn between(&mut self, from: Duration, to: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // In steps of 1 / 65536.
        (to - from) / 65_536 * (mixed >> 48) as u32 + from
    }
}

#[cfg(test)]
mod tests;
