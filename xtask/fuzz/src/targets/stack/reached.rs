//! Counts the runs by what they reached: a fuzzer that reaches little finds little.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use towline_core::{Closed, ClosedBy};

use super::state::State;
use super::world::World;

static REACHED: Mutex<(u64, BTreeMap<&str, u64>)> = Mutex::new((0, BTreeMap::new()));

pub(crate) fn add(world: &World) {
    let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    reached.0 += 1;
    for what in &world.lock().reached {
        *reached.1.entry(what).or_default() += 1;
    }
}

/// A line for each, with its share of all runs.
pub(crate) fn table() -> String {
    let reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let runs = reached.0.max(1);
    let lines = reached.1.iter().map(|(what, count)| {
        let share = *count as f64 * 100.0 / runs as f64;
        format!("{share:>7.2} %  {what}\n")
    });
    lines.collect()
}

impl State {
    /// The results of a whole run.
    pub(super) fn note_reached(&mut self, closed: &Closed) {
        self.reached(match closed.by() {
            ClosedBy::Peer => "closed by the peer",
            ClosedBy::Endpoint => "closed by the endpoint",
            ClosedBy::Violation(_) => "closed by a violation",
            ClosedBy::Policy => "closed by a policy",
            ClosedBy::Drain => "closed by a drain",
            _ => "closed by the transport",
        });
        let rows = [
            (closed.is_clean(), "clean close"),
            (!self.output.pongs.is_empty(), "pong out"),
            (self.wire.write_failed.is_some(), "failed write"),
            (self.wire.end_read.is_some(), "end of input read"),
            (self.output.compressed > 0, "compressed message out"),
            (self.received > 0, "message received"),
            (!self.output.messages.is_empty(), "message sent"),
            (closed.duration() > Duration::from_secs(10), "open for 10 s"),
            (closed.duration() > Duration::from_secs(60), "open for 60 s"),
            (!self.output.is_whole(), "frame cut off"),
            (self.settings.place >= 2, "joint task"),
            (self.settings.place == 1, "owner in another task"),
        ];
        for (reached, what) in rows {
            if reached {
                self.reached(what);
            }
        }
    }
}
