//! `cargo xtask fuzz`: looks for inputs that break the protocol crate or a whole socket. The package `fuzz` has the targets
//! and the options.

use std::{process::Command, time::Duration};

use crate::{
    cargo::cargo,
    steps::{Steps, execute, execute_within},
};

/// Runs the targets as the command line says.
pub(crate) fn run(steps: &mut Steps, options: &[String]) -> Option<()> {
    steps.run("fuzz", || execute(fuzz().args(options)))
}

/// A run of some seconds that is the same each time, for the tests of the workspace.
pub(crate) fn try_short(steps: &mut Steps) -> Option<()> {
    // A decoder that stops getting ahead would go on for ever.
    const LIMIT: Duration = Duration::from_secs(600);

    steps.run("fuzz", || {
        execute_within(LIMIT, fuzz().args(["--iterations", "20000", "--seed", "1"]))
    })
}

fn fuzz() -> Command {
    cargo("run --profile fuzz --package fuzz --")
}
