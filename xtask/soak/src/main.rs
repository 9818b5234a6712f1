//! Thousands of random sockets against the echo application, which has to end in order what ends in order, survive the
//! rest, and keep nothing of either.
#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

mod connect;
mod content;
mod conversation;
mod crowd;
mod drain;
mod limit;
mod random;
mod report;
mod server;
mod socket;
mod tally;
mod transport;
mod wire;
mod world;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;

use crate::report::Report;
use crate::server::Server;
use crate::world::World;

/// How long the warm-up takes, of the time of the run; it has to see every kind of socket, and their ends.
const WARM_UP: f64 = 0.25;
const SHORTEST_WARM_UP: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
#[command(
    name = "soak",
    override_usage = "cargo xtask soak [OPTIONS]",
    about = "Thousands of random sockets against the echo application, and a watch on what they leave behind"
)]
struct Options {
    /// How long sockets come and go, behind a warm-up of a quarter of that, or 5 s
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// How many sockets there are at a time
    #[arg(long, value_name = "COUNT", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    sockets: u32,

    /// What the random numbers begin with; the time unless told
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// The echo application
    #[arg(long, value_name = "FILE", hide = true)]
    server: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                eprintln!("soak: {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all three acts and prints the figures; what was wrong.
async fn run(options: &Options) -> io::Result<Vec<String>> {
    let sockets = limit::raise(options.sockets as usize)?;
    let time = Duration::from_secs(options.seconds);
    let seed = options.seed.unwrap_or_else(now);
    println!("{sockets} sockets, {} s, --seed {seed}", options.seconds);

    let server = Server::start(&options.server).await?;
    let watch = server.watch;
    let start = watch.settle(usize::MAX).await?;
    let world = Arc::new(World::new(server.address, seed));

    println!("warm-up");
    let warm_up = time.mul_f64(WARM_UP).max(SHORTEST_WARM_UP);
    crowd::gather(&world, sockets, warm_up, watch).await?;
    let warm = watch.settle(start.descriptors).await?;
    let before = opened(&world);

    println!("soak");
    let peak = crowd::gather(&world, sockets, time, watch).await?;
    let end = watch.settle(start.descriptors).await?;
    let since_warm = opened(&world) - before;

    println!("drain");
    let drained = drain::drain(&world, sockets, server).await?;

    let report = Report {
        seed,
        sockets,
        seconds: options.seconds,
        tally: &world.tally,
        start,
        warm,
        peak,
        end,
        since_warm,
        drained,
    };
    println!("\n{report}");
    let (count, mut failures) = world.tally.failures();
    if count > 0 {
        failures.push(format!("{count} failures; the same again by --seed {seed}"));
    }
    failures.extend(report.leaks());
    Ok(failures)
}

fn opened(world: &World) -> u64 {
    let (http1, http2) = world.tally.sockets();
    http1 + http2
}

/// A seed that is another one each time, and short enough to type.
fn now() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::from(now.subsec_micros())
}
