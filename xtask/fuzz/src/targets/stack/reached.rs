//! How many runs came to what: a fuzzer that never gets anywhere finds nothing either.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
