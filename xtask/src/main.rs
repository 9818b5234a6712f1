//! The developer tasks of the workspace: `cargo xtask TASK`.
//!
//! A file a task. `test` needs nothing but cargo; what needs programs from outside is behind `ci`.
#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

mod bench;
mod browser;
mod ci;
mod clients;
mod conformance;
mod fuzz;
mod half_open;
mod model;
mod proxies;
mod soak;
mod test;
mod tidy;

mod cargo;
mod node;
mod programs;
mod proxy;
mod python;
mod server;
mod steps;
mod tls;
mod websocket;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{conformance::Cases, steps::Steps};

#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "The developer tasks of the workspace",
    disable_help_subcommand = true
)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Format, clippy, tests, doctests, docs, each feature alone, model, fuzzing, tidy; needs cargo only
    Test,

    /// The rules of the tree that neither the compiler nor clippy checks
    Tidy,

    /// The driver and the handles of a socket in the orders in which their tasks can run: no wake-up is lost
    Model,

    /// Looks for inputs that break the protocol crate or a whole socket; --help lists its options
    #[command(disable_help_flag = true)]
    Fuzz {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },

    /// The echo application's page in a headless Chromium, also from other origins, through nginx, and over TLS; socket.io
    /// over HTTP/2
    Browser,

    /// Clients written by others: Node, Python, socket.io
    Clients,

    /// The Autobahn cases against the echo application, over TCP and over HTTP/2 behind HAProxy
    Conformance {
        /// Also run the cases that compress megabytes
        #[arg(long)]
        all: bool,
    },

    /// A peer that vanishes without FIN or RST, between two network namespaces; needs root, or skips
    HalfOpen,

    /// The echo application through nginx, HAProxy and Caddy, as examples/proxies configures them
    Proxies,

    /// The cost of an echo, beside other servers in the same run
    Bench(bench::Options),

    /// Thousands of random sockets for a minute, the memory and descriptors that they leave in the server, and a drain of
    /// them all; on Linux, or skips; --help lists its options
    #[command(disable_help_flag = true)]
    Soak {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },

    /// All that needs programs from outside: browser, clients, conformance, proxies, half-open; and a short soak
    External,

    /// test, then external
    Ci,
}

fn main() -> ExitCode {
    let Options { task } = Options::parse();
    let mut steps = Steps::new();
    // The steps hold the failures; a task returns early only to skip what cannot go on.
    let _ = task.run(&mut steps);
    match steps.finish() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask: {failed}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    fn run(&self, steps: &mut Steps) -> Option<()> {
        match self {
            Self::Test => test::run(steps),
            Self::Tidy => tidy::run(steps),
            Self::Model => model::run(steps),
            Self::Fuzz { options } => fuzz::run(steps, options),
            Self::Browser => browser::run(steps),
            Self::Clients => clients::run(steps),
            Self::Conformance { all: true } => conformance::run(steps, Cases::All),
            Self::Conformance { all: false } => conformance::run(steps, Cases::Quick),
            Self::HalfOpen => half_open::run(steps),
            Self::Proxies => proxies::run(steps),
            Self::Bench(options) => bench::run(steps, options),
            Self::Soak { options } => soak::run(steps, options),
            Self::External => ci::external(steps),
            Self::Ci => ci::run(steps),
        }
    }
}
