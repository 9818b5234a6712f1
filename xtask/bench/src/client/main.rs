//! The load generator of the benchmark. It measures the server process as well, from outside.
//!
//! Its result is a line of `key=value` on the standard output.
#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

mod compressed;
mod connection;
mod echo;
mod handshakes;
mod idle;
mod pings;
mod process;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process::Process;

#[derive(Debug, Parser)]
#[command(
    name = "bench-client",
    about = "Loads an echo server and tells what that cost it"
)]
struct Options {
    /// The server
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: SocketAddr,

    /// The server's process on this machine
    #[arg(long)]
    pid: u32,

    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Keeps messages in flight on every connection
    Echo(echo::Options),
    /// Sends compressed messages
    Compressed(compressed::Options),
    /// Opens and closes connections
    Handshakes(handshakes::Options),
    /// Opens connections and holds them
    Idle(idle::Options),
    /// Opens connections and answers their pings
    Pings(pings::Options),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<String> {
    let process = Process(options.pid);
    match &options.mode {
        Mode::Echo(mode) => echo::run(options.server, process, mode),
        Mode::Compressed(mode) => compressed::run(options.server, process, mode),
        Mode::Handshakes(mode) => handshakes::run(options.server, process, mode),
        Mode::Idle(mode) => idle::run(options.server, process, mode),
        Mode::Pings(mode) => pings::run(options.server, process, mode),
    }
}
