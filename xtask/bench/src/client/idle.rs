//! Connections that do nothing, and the server's memory for each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use clap::Args;

use crate::connection::{close, open};
use crate::process::Process;
use crate::wire::Wire;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connections are open
    #[arg(long, value_name = "COUNT")]
    connections: usize,

    /// The size in bytes of the one message that each echoes later
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024)]
    size: usize,
}

/// Measures a socket in three ways: the `first` ones against a server that never had any; `fresh` ones against the same
/// server after as many were opened and closed, for what it keeps from its busiest time is no socket's; and those after
/// they were `used`.
pub(crate) fn run(server: SocketAddr, process: Process, options: &Options) -> io::Result<String> {
    let count = options.connections;
    let memory = || {
        process.wait_until_idle()?;
        process.anonymous_memory()
    };
    let a_socket = |now: u64, before: u64| (now as f64 - before as f64) / count as f64;

    let before = memory()?;
    let streams = open_all(server, count)?;
    let first = a_socket(memory()?, before);
    streams.into_iter().try_for_each(close)?;

    let before = memory()?;
    let mut streams = open_all(server, count)?;
    let fresh = a_socket(memory()?, before);

    echo_on_each(&mut streams, &Wire::new(options.size, false))?;
    let used = a_socket(memory()?, before);
    Ok(format!(
        "connections={count} first_bytes={first} fresh_bytes={fresh} used_bytes={used}"
    ))
}

fn open_all(server: SocketAddr, connections: usize) -> io::Result<Vec<TcpStream>> {
    (0..connections).map(|_| open(server, false)).collect()
}

fn echo_on_each(streams: &mut [TcpStream], wire: &Wire) -> io::Result<()> {
    let mut buffer = vec![0; wire.echo.len()];
    for stream in streams {
        stream.write_all(&wire.request)?;
        stream.read_exact(&mut buffer)?;
        if buffer != wire.echo {
            return Err(io::Error::other("the echo is not what was sent"));
        }
    }
    Ok(())
}
