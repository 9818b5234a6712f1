//! What keep-alive decides on, as time is told to it: no clock, no runtime.

mod moment;

use std::sync::Arc;
use std::time::{Duration, Instant};

use towline_core::{Action, CloseCode, Event, SocketPolicy, SocketState};

use self::moment::Moment;
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

/// What the sockets of a layer have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) settings: Settings,
    /// Some time, which need not come before that of a socket: a test's clock may be slower.
    pub(crate) epoch: Instant,
}

/// The keep-alive of one socket. A server has one for each, so it is small.
#[derive(Debug)]
pub(crate) struct Machine {
    common: Arc<Common>,
    opened: Moment,
    /// Since when nothing came, or went while bytes were blocked. For [`Probe::Waiting`] and [`Probe::Sent`].
    silent: Moment,
    reading: Reading,
    /// Since when the transport has taken nothing of what is queued.
    blocked: Option<Moment>,
    jitter: Jitter,
    probe: Probe,
    /// The first wait is not over.
    fresh: bool,
    /// The socket is to end: nothing more is decided.
    over: bool,
}

/// The question whether the peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// It is not asked.
    Waiting,
    /// A ping stands in line.
    Queued,
    /// It has left.
    Sent,
    /// Nothing is read, so nothing can be asked.
    Suspended,
}

/// Whether the socket is read. Of the counts the lower half is enough to see that they change.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// The last of so many messages came then, or reading went on behind it.
    On { messages: u32, since: Moment },
    /// Nothing is read; the endpoint had taken so many then.
    Stopped { taken: u32, since: Moment },
}

impl Machine {
    pub(crate) fn new(common: Arc<Common>, seed: u32, now: Instant) -> Self {
        let opened = Moment::new(common.epoch, now);
        Self {
            common,
            opened,
            silent: opened,
            reading: Reading::On {
                messages: 0,
                since: opened,
            },
            blocked: None,
            jitter: Jitter(seed),
            probe: Probe::Waiting,
            fresh: true,
            over: false,
        }
    }

    fn transferred(&mut self, now: Moment, received: usize, written: usize, state: &SocketState) {
        if received > 0
            && let Reading::On { messages, since } = &mut self.reading
        {
            if *messages != state.received as u32 {
                *messages = state.received as u32;
                *since = now;
            }
            if self.common.settings.strategy == Strategy::PingPong {
                self.wait(now);
            }
        }
        if written > 0 || state.blocked == 0 {
            self.progress(now, state);
        }
    }

    /// The peer takes what was written.
    fn progress(&mut self, now: Moment, state: &SocketState) {
        if self.blocked.is_some() {
            self.blocked = (state.blocked > 0).then_some(now);
            // Whoever does that is alive, and may have much to read before the ping.
            if self.probe == Probe::Sent {
                self.silent = now;
            }
        }
    }

    fn stopped(&mut self, now: Moment, state: &SocketState) {
        self.reading = Reading::Stopped {
            taken: state.taken as u32,
            since: now,
        };
        if self.common.settings.strategy == Strategy::PingPong {
            self.probe = Probe::Suspended;
        }
    }

    fn resumed(&mut self, now: Moment, state: &SocketState) {
        self.reading = Reading::On {
            messages: state.received as u32,
            since: now,
        };
        if self.common.settings.strategy == Strategy::PingPong {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Moment) {
        self.probe = Probe::Waiting;
        self.silent = now;
    }

    /// What is due, the strongest first, and since when.
    fn dues(&self) -> [(Due, Option<Moment>); 6] {
        let Settings {
            timeout,
            idle_timeout,
            max_lifetime,
            write_timeout,
            stall_timeout,
            ..
        } = self.common.settings;
        let after = |since: Option<Moment>, wait: Option<Duration>| since?.after(wait?);
        let silent = |probe| (self.probe == probe).then_some(self.silent);
        let (message, stopped) = match self.reading {
            Reading::On { since, .. } => (Some(since), None),
            Reading::Stopped { since, .. } => (None, Some(since)),
        };
        [
            (Due::Write, after(self.blocked, write_timeout)),
            (Due::Answer, after(silent(Probe::Sent), timeout)),
            (Due::Lifetime, after(Some(self.opened), max_lifetime)),
            (Due::Stall, after(stopped, stall_timeout)),
            (Due::Idle, after(message, idle_timeout)),
            (Due::Probe, after(silent(Probe::Waiting), self.interval())),
        ]
    }

    /// How long nothing must come until the next question.
    fn interval(&self) -> Option<Duration> {
        let interval = self.common.settings.interval?;
        Some(if self.fresh {
            // Sockets that were opened together come apart in the first interval, not by and by.
            self.jitter.between(interval / 2, interval)
        } else {
            self.jitter.around(interval)
        })
    }

    fn act(&mut self, due: Due, now: Moment, state: &SocketState) -> Action {
        match due {
            Due::Write => Action::Abort("write timeout"),
            Due::Answer => Action::end(CloseCode::INTERNAL_ERROR, "keep-alive timeout"),
            Due::Lifetime => Action::close(CloseCode::GOING_AWAY, "maximum lifetime"),
            Due::Idle => Action::close(CloseCode::GOING_AWAY, "idle timeout"),
            Due::Stall => self.stall(now, state),
            Due::Probe => {
                self.fresh = false;
                self.jitter.advance();
                self.probe(now)
            }
        }
    }

    fn stall(&mut self, now: Moment, state: &SocketState) -> Action {
        let unchanged = match self.reading {
            Reading::On { .. } => false,
            Reading::Stopped { taken, .. } => taken == state.taken as u32,
        };
        if state.full && unchanged {
            return Action::close(CloseCode::INTERNAL_ERROR, "stall timeout");
        }
        self.reading = Reading::Stopped {
            taken: state.taken as u32,
            since: now,
        };
        Action::None
    }

    fn probe(&mut self, now: Moment) -> Action {
        match self.common.settings.strategy {
            Strategy::PingPong => {
                self.probe = Probe::Queued;
                Action::Ping
            }
            Strategy::UnsolicitedPong => {
                self.wait(now);
                Action::UnsolicitedPong
            }
        }
    }

    /// It is our own stall that the deadline was missed by so much: whatever the peer or the endpoint did meanwhile has not
    /// been seen. Everything starts over.
    fn start_over(&mut self, due: Due, now: Moment) -> Action {
        match due {
            Due::Write => self.blocked = Some(now),
            Due::Idle | Due::Stall => match &mut self.reading {
                Reading::On { since, .. } | Reading::Stopped { since, .. } => *since = now,
            },
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
        let now = Moment::new(self.common.epoch, now);
        match event {
            Event::Transferred { received, written } => {
                self.transferred(now, received, written, state);
            }
            Event::WriteBlocked => self.blocked = Some(now),
            Event::WriteProgress => self.progress(now, state),
            Event::PingSent { .. } if self.probe == Probe::Queued => {
                self.probe = Probe::Sent;
                self.silent = now;
            }
            Event::ReadingStopped => self.stopped(now, state),
            Event::ReadingResumed => self.resumed(now, state),
            _ => {}
        }
        Action::None
    }

    fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let first = self.dues().into_iter().filter_map(|(_, at)| at).min()?;
        first.instant(self.common.epoch)
    }

    fn on_deadline(&mut self, now: Instant, state: &SocketState) -> Action {
        let now = Moment::new(self.common.epoch, now);
        let mut probe = Action::None;
        for (due, at) in self.dues() {
            let Some(at) = at.filter(|at| *at <= now) else {
                continue;
            };
            let tolerated = due
                .tolerance(&self.common.settings)
                .and_then(|it| at.after(it));
            let action = if tolerated.is_some_and(|until| now > until) {
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

/// Numbers that differ from socket to socket.
#[derive(Debug)]
struct Jitter(u32);

impl Jitter {
    fn advance(&mut self) {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
    }

    /// Up to a tenth shorter or longer.
    fn around(&self, duration: Duration) -> Duration {
        let tenth = duration / 10;
        self.between(duration - tenth, duration.saturating_add(tenth))
    }

    fn between(&self, from: Duration, to: Duration) -> Duration {
        // MurmurHash3's last step, which makes neighbours strangers.
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^= mixed >> 16;
        // In steps of 1 / 65536.
        (to - from) / 65_536 * (mixed >> 16) + from
    }
}

#[cfg(test)]
mod tests;
