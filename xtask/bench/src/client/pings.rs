//! Connections that do nothing but answer pings: when these come, and what they cost the server.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::connection::open;
use crate::process::Process;
use crate::wire;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connections are open
    #[arg(long, value_name = "COUNT")]
    connections: usize,

    /// How long they are watched once all are open
    #[arg(long, value_name = "SECONDS")]
    seconds: u64,
}

pub(crate) fn run(server: SocketAddr, process: Process, options: &Options) -> io::Result<String> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(options.connections);
    for index in 0..options.connections {
        let stream = open(server, false)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        streams.push(stream);
    }
    process.wait_until_idle()?;

    let (started, cpu) = (Instant::now(), process.cpu()?);
    let mut pings = vec![0_u64; options.seconds as usize];
    let mut events = Events::with_capacity(1024);
    let end = Duration::from_secs(options.seconds);
    while let Some(left) = end.checked_sub(started.elapsed()) {
        poll.poll(&mut events, Some(left))?;
        let second = started.elapsed().as_secs() as usize;
        for event in &events {
            answer(&mut streams[event.token().0])?;
            if let Some(pings) = pings.get_mut(second) {
                *pings += 1;
            }
        }
    }
    let cpu = (process.cpu()? - cpu).as_nanos();

    let all: u64 = pings.iter().sum();
    let mut report = format!("pings={all} cpu_ns={cpu}");
    for (second, pings) in pings.iter().enumerate() {
        report.push_str(&format!(" second_{second}={pings}"));
    }
    Ok(report)
}

/// Reads a ping and sends its pong. Both are so small that they go at once.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut frame = [0; 2 + 125];
    let read = stream.read(&mut frame)?;
    let pong = wire::pong(&frame[..read]).ok_or_else(|| io::Error::other("no ping came"))?;
    stream.write_all(&pong)
}
