//! The echo application: `/` is a page, `/ws` sends every message back.

mod app;
mod cli;
mod connections;
mod duration;
mod listen;
mod log;
mod server;
mod shutdown;
mod tls;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Options;
use crate::server::Error;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return cli::refuse(&error),
    };
    match run(&options) {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}

fn run(options: &Options) -> Result<ExitCode, Error> {
    log::start()?;
    let runtime = runtime(options.threads).map_err(Error::Runtime)?;
    runtime.block_on(server::run(options))
}

/// Without a number there are as many threads as the machine has cores.
fn runtime(threads: Option<u16>) -> io::Result<Runtime> {
    let mut builder = match threads {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads.into());
    }
    builder.enable_all().build()
}
