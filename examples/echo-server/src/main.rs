//! The echo application: `/` is a page, `/ws` sends every message back.

mod app;
mod cli;
mod duration;
mod server;
mod shutdown;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Options;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return cli::refuse(&error),
    };
    match server::run(&options).await {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
