//! Fuzzing of the protocol crate and of whole sockets, on a stable toolchain: `cargo xtask fuzz` builds and starts it.
//!
//! A target makes inputs out of random choices and checks what has to hold for every input. An input is a file as it
//! stands in `corpus/`: it does not depend on how it was made. One that fails is minimised and written there, and every
//! ordinary test run tries the whole corpus again.
//!
//! - `targets.rs`, `targets/`: what is checked; the inputs of `targets/handshake.rs` are heads of requests,
//! - `targets/stack.rs`: a whole socket, with its peer, its endpoint and its server; an input has the steps of all of them,
//! - `stream.rs`, `generate.rs`, `frame.rs`: of the others they are bytes of a connection; good ones, and what spoils them,
//! - `drive.rs`, `peer.rs`: a stream through our decoder and through tungstenite,
//! - `run.rs`, `choices.rs`, `minimise.rs`, `corpus.rs`, `panics.rs`: the loop.
#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

mod choices;
mod corpus;
mod drive;
mod frame;
mod generate;
mod minimise;
mod panics;
mod peer;
mod run;
mod stream;
mod targets;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::run::Budget;
use crate::targets::stack::known::{self, Fault};
use crate::targets::{TARGETS, Target};

#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask fuzz",
    about = "Looks for an input that breaks the protocol crate or a whole socket"
)]
struct Options {
    /// A target by its name; may be repeated; all unless told
    #[arg(long, value_name = "NAME", value_parser = target)]
    target: Vec<&'static Target>,

    /// How long each target runs
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "10",
        conflicts_with = "iterations"
    )]
    seconds: u64,

    /// How many inputs each target tries, instead of a time; a tenth of it for `stack`
    #[arg(long, value_name = "COUNT")]
    iterations: Option<u64>,

    /// What the choices come from; the same seed gives the same inputs; a new one unless told
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Only checks this input, with every target that is told
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Switches on the check of a known fault by its number; may be repeated; see `targets/stack/known.rs`
    #[arg(long, value_name = "NUMBER", value_parser = known::by_number)]
    check: Vec<Fault>,

    /// Switches on the checks of all known faults; each that is found is switched off again, and the run goes on
    #[arg(long)]
    all_checks: bool,

    /// Prints how many runs of `stack` reached each result
    #[arg(long)]
    stats: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let budget = match options.iterations {
        Some(iterations) => Budget::Iterations(iterations),
        None => Budget::Time(Duration::from_secs(options.seconds)),
    };
    let targets = if options.target.is_empty() {
        TARGETS.iter().collect()
    } else {
        options.target.clone()
    };

    known::check(&options.check);
    if options.all_checks {
        known::check_all();
    }
    println!("seed {seed}");
    panics::silence();
    let mut code = ExitCode::SUCCESS;
    for target in targets {
        while let Err((failure, goes_on)) = try_target(target, &options, seed, budget) {
            eprintln!("{:<13}FAILED: {failure}", target.name);
            code = ExitCode::FAILURE;
            if !goes_on {
                break;
            }
        }
    }
    if options.stats {
        print!("{}", targets::stack::reached::table());
    }
    code
}

/// Runs a target, or only one input. The error has the finding, and whether to look for more.
fn try_target(
    target: &Target,
    options: &Options,
    seed: u64,
    budget: Budget,
) -> Result<(), (String, bool)> {
    match &options.input {
        Some(path) => run::run_file(target, path).map_err(|failure| (failure, false)),
        None => run::run(target, seed, budget)
            .map_err(|failure| (failure.to_string(), failure.is_known)),
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        format!("the targets are {}", names.join(", "))
    })
}
