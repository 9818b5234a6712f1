//! A policy of the run's own: does one thing at one of its events, or at a time.

use std::time::{Duration, Instant};

use towline_core::{Action, CloseCode, Event, PolicyFactory, SocketPolicy, SocketState};
use towline_keepalive::KeepAlive;

use super::plan::Settings;
use super::state::Cause;
use super::world::World;

/// How many policies there are: 1 to this.
pub(crate) const POLICIES: u32 = 11;

/// How many settings of keep-alive there are: 1 to this.
pub(crate) const KEEP_ALIVES: u32 = 3;

/// The code of a policy that closes, and of one that ends.
const CLOSES: CloseCode = CloseCode::POLICY;
const ENDS: CloseCode = CloseCode::INTERNAL_ERROR;

/// How long a policy pauses reading.
const PAUSE: Duration = Duration::from_millis(700);

pub(crate) fn factory(world: &World, settings: &Settings) -> PolicyFactory {
    let (world, settings) = (world.clone(), settings.clone());
    PolicyFactory::new(move |now| {
        let step = Duration::from_millis(50) * (settings.policy_at.min(200) + 1);
        let timed = settings.policy >= 7;
        Some(Policy {
            world: world.clone(),
            does: settings.policy,
            at: settings.policy_at,
            events: 0,
            messages: 0,
            step,
            deadline: timed.then(|| now + step),
            watches: settings.watch != 0,
            over: false,
        })
    })
}

/// Keep-alive without pings, because their times are random. Pings come from the policy above.
pub(crate) fn keep_alive(kind: u32) -> PolicyFactory {
    let keep_alive = KeepAlive::new().interval(None);
    let keep_alive = match kind {
        1 => keep_alive.idle_timeout(Duration::from_secs(2)),
        2 => keep_alive.write_timeout(Duration::from_secs(1)),
        _ => keep_alive.stall_timeout(Duration::from_secs(3)),
    };
    keep_alive.policy().expect("valid settings")
}

struct Policy {
    world: World,
    does: u32,
    at: u32,
    events: u32,
    messages: usize,
    step: Duration,
    deadline: Option<Instant>,
    watches: bool,
    over: bool,
}

impl Policy {
    /// `held`: the message that it is asked about.
    fn act(&mut self, now: Instant, held: Option<usize>) -> Action {
        let action = match self.does {
            1 | 10 => Action::Ping,
            2 => Action::UnsolicitedPong,
            3 | 11 => Action::PauseReading(now + PAUSE),
            4 | 7 => Action::close(CLOSES, "policy"),
            5 | 8 => Action::end(ENDS, "policy"),
            6 | 9 => Action::Abort("policy"),
            _ => Action::None,
        };
        let mut state = self.world.lock();
        match &action {
            Action::Close(frame) => state.cause(Cause::PolicyClose(frame.code())),
            Action::End(frame) => state.cause(Cause::PolicyEnd(frame.code())),
            Action::Abort(_) => state.cause(Cause::PolicyAbort),
            Action::PauseReading(until) => {
                let until = tokio::time::Instant::from_std(*until);
                if let Some(first) = held {
                    state.held = Some((first, until));
                }
                state.paused = state.paused.max(Some(until));
                state.reached("policy pause");
            }
            Action::Ping => state.reached("policy ping"),
            Action::UnsolicitedPong => state.reached("policy pong"),
            _ => {}
        }
        action
    }

    fn called(&self, what: &str) {
        if self.over {
            let text = format!("a policy hears {what} after CloseQueued");
            self.world.lock().find(None, text);
        }
    }
}

impl SocketPolicy for Policy {
    fn on_event(&mut self, now: Instant, event: Event, _: &SocketState) -> Action {
        self.called(&format!("{event:?}"));
        if event == Event::CloseQueued {
            self.over = true;
            self.world.lock().reached("policy hears CloseQueued");
        }
        let mut held = None;
        if let Event::MessageReceived { .. } = event {
            held = Some(self.messages);
            self.messages += 1;
        }
        self.events += 1;
        if self.does < 7 && self.events == self.at + 1 {
            self.act(now, held)
        } else {
            Action::None
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_deadline(&mut self, now: Instant, _: &SocketState) -> Action {
        self.called("a deadline");
        self.deadline = (self.does >= 10).then(|| now + self.step);
        self.act(now, None)
    }

    fn watches_messages(&self) -> bool {
        self.watches
    }
}
