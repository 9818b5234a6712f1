//! Opening and closing handshakes, one after the other on each of a few threads.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use clap::Args;

use crate::connection::{close, open};
use crate::process::Process;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connections are opened and closed
    #[arg(long, value_name = "COUNT")]
    count: usize,

    /// How many there are at a time
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    at_a_time: usize,
}

pub(crate) fn run(server: SocketAddr, process: Process, options: &Options) -> io::Result<String> {
    let each = (options.count / options.at_a_time).max(1);
    open_and_close(server, options.at_a_time, each / 10)?;
    process.wait_until_idle()?;

    let (started, cpu) = (Instant::now(), process.cpu()?);
    open_and_close(server, options.at_a_time, each)?;
    let seconds = started.elapsed().as_secs_f64();
    process.wait_until_idle()?;
    let cpu = (process.cpu()? - cpu).as_nanos();
    let handshakes = each * options.at_a_time;
    Ok(format!(
        "handshakes={handshakes} seconds={seconds} cpu_ns={cpu}"
    ))
}

fn open_and_close(server: SocketAddr, threads: usize, each: usize) -> io::Result<()> {
    let one_after_the_other = || (0..each).try_for_each(|_| close(open(server, false)?));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(one_after_the_other))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let result = thread.join();
            result.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    })
}
