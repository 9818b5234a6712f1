//! `cargo xtask soak`: thousands of random sockets against the echo application, and a watch on what they leave behind.
//! The package `soak` has the sockets, the watch and the options.

use std::{process::Command, time::Duration};

use crate::{
    cargo::{cargo, release_binary},
    steps::{Result, Steps, execute, execute_within},
};

/// Runs it as the command line says.
pub(crate) fn run(steps: &mut Steps, options: &[String]) -> Option<()> {
    build(steps)?;
    steps.run("soak", || execute(soak()?.args(options)))
}

/// A run of some seconds, for all that `ci` runs.
pub(crate) fn try_short(steps: &mut Steps) -> Option<()> {
    // It ends by itself, also when sockets hang.
    const LIMIT: Duration = Duration::from_secs(600);

    build(steps)?;
    steps.run("soak", || {
        execute_within(
            LIMIT,
            soak()?.args(["--seconds", "10", "--sockets", "1000"]),
        )
    })
}

fn build(steps: &mut Steps) -> Option<()> {
    if !cfg!(target_os = "linux") {
        println!("\nsoak: skipped, for it watches the server through /proc, which only Linux has");
        return None;
    }
    steps.run("build echo-server and soak", || {
        execute(&mut cargo(
            "build --release --package echo-server --package soak",
        ))
    })
}

fn soak() -> Result<Command> {
    let mut command = Command::new(release_binary("soak")?);
    command.arg("--server").arg(release_binary("echo-server")?);
    Ok(command)
}
