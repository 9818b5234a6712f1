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

use std::{env, process::ExitCode};

use crate::steps::Steps;

struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Steps) -> Option<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "test",
        about: "format, clippy, tests, doctests, docs, each feature alone, model, fuzzing, tidy; needs cargo only",
        run: test::run,
    },
    Task {
        name: "tidy",
        about: "the rules of the tree that no compiler checks",
        run: tidy::run,
    },
    Task {
        name: "model",
        about: "the driver and the handles of a socket in the orders in which their tasks can run: no wake-up is lost",
        run: model::run,
    },
    Task {
        name: "fuzz",
        about: "looks for inputs that break the protocol crate or a whole socket; takes options, --help lists them",
        run: fuzz::run,
    },
    Task {
        name: "browser",
        about: "the echo application's page in a headless Chromium, also from other origins, through nginx, and over TLS; \
                socket.io over HTTP/2",
        run: browser::run,
    },
    Task {
        name: "clients",
        about: "clients that are not ours: Node, Python, socket.io",
        run: clients::run,
    },
    Task {
        name: "conformance",
        about: "the Autobahn cases against the echo application, over TCP and over HTTP/2 behind HAProxy; with --all also those \
                that compress megabytes",
        run: conformance::run,
    },
    Task {
        name: "half-open",
        about: "a peer that vanishes without FIN or RST, between two network namespaces; needs root, or skips",
        run: half_open::run,
    },
    Task {
        name: "proxies",
        about: "the echo application through nginx, HAProxy and Caddy, as examples/proxies configures them",
        run: proxies::run,
    },
    Task {
        name: "bench",
        about: "what an echo costs, with peers in the same run; takes options, --help lists them",
        run: bench::run,
    },
    Task {
        name: "soak",
        about: "thousands of random sockets for a minute, and what they leave of the server's memory and descriptors; a drain \
                of them all; takes options, --help lists them; on Linux, or skips",
        run: soak::run,
    },
    Task {
        name: "external",
        about: "all that needs programs from outside: browser, clients, conformance, proxies, half-open; and a short soak",
        run: ci::external,
    },
    Task {
        name: "ci",
        about: "test, then external",
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let name = match args.as_slice() {
        [] => "--help",
        [name] => name.as_str(),
        [name, ..] if matches!(&**name, "bench" | "conformance" | "fuzz" | "soak") => name.as_str(),
        [_, extra, ..] => return bad_command_line(&format!("unexpected argument `{extra}`")),
    };
    if matches!(name, "-h" | "--help" | "help") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        return bad_command_line(&format!("there is no task `{name}`"));
    };

    let mut steps = Steps::new();
    // What failed is in the steps; a task returns early only to skip what cannot go on.
    let _ = (task.run)(&mut steps);
    match steps.finish() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask {name}: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn bad_command_line(error: &str) -> ExitCode {
    eprintln!("xtask: {error}\n\n{}", usage());
    ExitCode::from(2)
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask TASK\n\ntasks:");
    for Task { name, about, .. } in TASKS {
        text.push_str(&format!("\n  {name:<13}{about}"));
    }
    text
}
