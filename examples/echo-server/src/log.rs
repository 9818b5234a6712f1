//! The log, on standard error: what the variable RUST_LOG asks for. Without it the warnings of towline and of the
//! application, and the errors of everything else.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. RUST_LOG is a level, or levels by target: `info`, `echo_server=debug,towline_upgrade=trace`.
///
/// # Errors
///
/// RUST_LOG is neither.
pub(crate) fn start() -> Result<(), ParseError> {
    let targets = match env::var("RUST_LOG") {
        Ok(targets) if !targets.is_empty() => targets.parse()?,
        _ => default_targets(),
    };
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
    Ok(())
}

/// Peers must not be able to fill the log. `h2` writes a warning for each connection that it ends because of its peer: one
/// client that opens connections and resets streams caused 24 161 of them in 10 s.
fn default_targets() -> Targets {
    Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("towline", LevelFilter::WARN)
        .with_target("echo_server", LevelFilter::WARN)
}
