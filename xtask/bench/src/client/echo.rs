//! Messages in flight on many connections, driven by one thread that does little besides its system calls.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::connection::open;
use crate::process::Process;
use crate::wire::Wire;

/// The most that one read takes.
const READ: usize = 256 * 1024;

/// Of so many echoes one is compared byte for byte; of the others, the header.
const SAMPLE: u64 = 64;

/// A server that sends nothing for so long hangs.
const STALLED: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connections there are
    #[arg(long, value_name = "COUNT")]
    connections: usize,

    /// The size of a message's payload
    #[arg(long, value_name = "BYTES")]
    size: usize,

    /// How many messages of a connection are under way
    #[arg(long, value_name = "COUNT")]
    in_flight: usize,

    /// Send the next messages when all of those under way have come back, not each when one has
    #[arg(long)]
    bursts: bool,

    /// The server is a raw one: no handshake, and frames come back as they were sent
    #[arg(long)]
    raw: bool,

    /// How long each turn takes
    #[arg(
        long,
        value_name = "SECONDS",
        conflicts_with = "messages",
        default_value_t = 1.0
    )]
    seconds: f64,

    /// How long the warm-up takes
    #[arg(
        long,
        value_name = "SECONDS",
        conflicts_with = "messages",
        default_value_t = 0.2
    )]
    warm_up: f64,

    /// Send so many messages on each connection, a multiple of those in flight, instead of taking turns
    #[arg(long, value_name = "COUNT")]
    messages: Option<u64>,
}

/// Warms up, then has a turn for each line that comes in, and reports each time of all turns so far. Thus the clients of
/// several servers take turns.
pub(crate) fn run(server: SocketAddr, process: Process, options: &Options) -> io::Result<String> {
    let wire = Wire::new(options.size, options.raw);
    let mut load = Load::connect(server, &wire, options)?;
    let turn = |seconds| Some(Duration::from_secs_f64(seconds));
    if options.messages.is_none() {
        load.run(u64::MAX, turn(options.warm_up))?;
    }
    // For all turns at once: of the last bit of one, the kernel may tell only when the server sleeps.
    let (before, cpu) = (load.messages(), process.cpu()?);
    let report = |load: &Load<'_>, took: Duration| {
        Ok::<_, io::Error>(format!(
            "messages={} seconds={} cpu_ns={}",
            load.messages() - before,
            took.as_secs_f64(),
            (process.cpu()? - cpu).as_nanos()
        ))
    };
    if let Some(messages) = options.messages {
        let took = load.run(messages, None)?;
        return report(&load, took);
    }
    let mut took = Duration::ZERO;
    println!("{}", report(&load, took)?);
    for line in io::stdin().lines() {
        line?;
        took += load.run(u64::MAX, turn(options.seconds))?;
        println!("{}", report(&load, took)?);
    }
    report(&load, took)
}

struct Load<'a> {
    poll: Poll,
    events: Events,
    connections: Vec<Connection<'a>>,
    buffer: Vec<u8>,
    /// How many messages of a connection may be under way.
    in_flight: u64,
}

impl<'a> Load<'a> {
    fn connect(server: SocketAddr, wire: &'a Wire, options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let burst = wire.request.repeat(options.in_flight);
        let connect = |index| {
            let stream = open(server, options.raw)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(index), interest)?;
            Ok(Connection::new(stream, wire, burst.clone(), options.bursts))
        };
        Ok(Self {
            connections: (0..options.connections)
                .map(connect)
                .collect::<io::Result<_>>()?,
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ],
            in_flight: options.in_flight as u64,
        })
    }

    /// How many messages have come back.
    fn messages(&self) -> u64 {
        let messages = self.connections.iter();
        messages.map(|connection| connection.received).sum()
    }

    /// Sends so many messages on each connection, or those of so much time, and waits until all have come back; how long
    /// that took.
    fn run(&mut self, messages: u64, limit: Option<Duration>) -> io::Result<Duration> {
        let started = Instant::now();
        for connection in &mut self.connections {
            connection.to_send = messages;
            connection.begin(self.in_flight);
            connection.write()?;
        }
        while self.connections.iter().any(Connection::is_busy) {
            if limit.is_some_and(|limit| started.elapsed() >= limit) {
                for connection in &mut self.connections {
                    connection.to_send = 0;
                }
            }
            self.poll.poll(&mut self.events, Some(STALLED))?;
            if self.events.is_empty() {
                return Err(io::Error::other("the server does not answer"));
            }
            for event in &self.events {
                let connection = &mut self.connections[event.token().0];
                if event.is_readable() {
                    connection.read(&mut self.buffer)?;
                }
                connection.write()?;
            }
        }
        Ok(started.elapsed())
    }
}

struct Connection<'a> {
    stream: TcpStream,
    wire: &'a Wire,
    /// As many messages as may be in flight.
    burst: Vec<u8>,
    /// Whether to send only whole bursts.
    bursts: bool,
    /// How many messages are to be sent and are not in `unsent`.
    to_send: u64,
    under_way: u64,
    received: u64,
    /// How many bytes may be sent now, and where in the burst they begin.
    unsent: usize,
    sent: usize,
    /// How many bytes of the next echo have arrived.
    arrived: usize,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, wire: &'a Wire, burst: Vec<u8>, bursts: bool) -> Self {
        Self {
            stream,
            wire,
            burst,
            bursts,
            to_send: 0,
            under_way: 0,
            received: 0,
            unsent: 0,
            sent: 0,
            arrived: 0,
        }
    }

    fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// Lets `messages` more be under way, or as many as there are.
    fn begin(&mut self, messages: u64) {
        let messages = messages.min(self.to_send);
        self.to_send -= messages;
        self.under_way += messages;
        self.unsent += messages as usize * self.wire.request.len();
    }

    fn write(&mut self) -> io::Result<()> {
        while self.unsent > 0 {
            let end = self.burst.len().min(self.sent + self.unsent);
            match self.stream.write(&self.burst[self.sent..end]) {
                Ok(written) => {
                    self.unsent -= written;
                    self.sent = (self.sent + written) % self.burst.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until nothing is left: the next event comes when there is more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the server closed the connection")),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.take(&buffer[..read])?;
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Holds what arrived against what was sent, and begins as many messages as came back.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut messages = 0;
        while !bytes.is_empty() {
            let expected = &self.wire.echo[self.arrived..];
            let taken = expected.len().min(bytes.len());
            let compared = if (self.received + messages).is_multiple_of(SAMPLE) {
                taken
            } else {
                taken.min(self.wire.echo_header.saturating_sub(self.arrived))
            };
            if bytes[..compared] != expected[..compared] {
                return Err(io::Error::other("the echo is not what was sent"));
            }
            bytes = &bytes[taken..];
            self.arrived += taken;
            if self.arrived == self.wire.echo.len() {
                self.arrived = 0;
                messages += 1;
            }
        }
        self.came_back(messages)
    }

    fn came_back(&mut self, messages: u64) -> io::Result<()> {
        self.received += messages;
        self.under_way = self
            .under_way
            .checked_sub(messages)
            .ok_or_else(|| io::Error::other("more came back than was sent"))?;
        if !self.bursts {
            self.begin(messages);
        } else if self.under_way == 0 {
            self.begin((self.burst.len() / self.wire.request.len()) as u64);
        }
        Ok(())
    }
}
