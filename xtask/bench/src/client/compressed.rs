//! Compressed messages, one under way on each connection: all are sent, then all come back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderValue, Method, Version};
use towline::{Compression, PerMessageDeflate, handshake};
use towline_protocol::deflate::{Deflater, Fragment};
use towline_protocol::{Decoded, Decoder, Event, Limits, Opcode, Role, encode_frame};

use crate::connection::open_offering;
use crate::process::Process;
use crate::wire::KEY;

/// How many different messages there are.
const MESSAGES: usize = 61;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connections there are
    #[arg(long, value_name = "COUNT")]
    connections: usize,

    /// The size of a message before it is compressed
    #[arg(long, value_name = "BYTES")]
    size: usize,

    /// What is negotiated
    #[arg(long)]
    mode: Mode,

    /// Stop after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// No compression
    Off,
    /// Contexts last from message to message
    Takeover,
    /// Each message is compressed by itself
    NoTakeover,
}

impl Mode {
    fn offer(self) -> &'static str {
        match self {
            Self::Off => "",
            Self::Takeover => "permessage-deflate",
            Self::NoTakeover => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            }
        }
    }
}

pub(crate) fn run(server: SocketAddr, process: Process, options: &Options) -> io::Result<String> {
    let messages: Vec<_> = (0..MESSAGES)
        .map(|seed| text(seed as u32, options.size))
        .collect();
    let memory = || {
        process.wait_until_idle()?;
        process.anonymous_memory()
    };

    let before = memory()?;
    let connect = |_| Connection::open(server, options.mode);
    let mut connections: Vec<_> = (0..options.connections)
        .map(connect)
        .collect::<io::Result<_>>()?;
    // All contexts are there then.
    for message in &messages[..2] {
        go_round(&mut connections, message)?;
    }
    let socket = (memory()? as f64 - before as f64) / options.connections as f64;

    let bytes = |connections: &[Connection], of: fn(&Connection) -> u64| {
        connections.iter().map(of).sum::<u64>()
    };
    let (sent, received) = (
        bytes(&connections, |one| one.sent),
        bytes(&connections, |one| one.received),
    );
    let (started, cpu, mut rounds) = (Instant::now(), process.cpu()?, 0);
    while started.elapsed() < Duration::from_secs_f64(options.seconds) {
        go_round(&mut connections, &messages[rounds % MESSAGES])?;
        rounds += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = (process.cpu()? - cpu).as_nanos();
    let count = rounds * options.connections;
    let sent = bytes(&connections, |one| one.sent) - sent;
    let received = bytes(&connections, |one| one.received) - received;
    Ok(format!(
        "messages={count} seconds={seconds} cpu_ns={cpu} sent={sent} received={received} socket_bytes={socket}"
    ))
}

fn go_round(connections: &mut [Connection], message: &str) -> io::Result<()> {
    for connection in &mut *connections {
        connection.send(message)?;
    }
    for connection in connections {
        connection.receive(message)?;
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    deflater: Option<Deflater>,
    decoder: Decoder,
    sent: u64,
    received: u64,
}

impl Connection {
    fn open(server: SocketAddr, mode: Mode) -> io::Result<Self> {
        let (stream, answer) = open_offering(server, mode.offer())?;
        let missing = mode.offer().split("; ").find(|part| !answer.contains(part));
        if let Some(missing) = missing {
            return Err(io::Error::other(format!("no {missing} in `{answer}`")));
        }
        let settings = Compression::new();
        let decoder = Decoder::new(Role::Client, Limits::default());
        Ok(Self {
            stream,
            deflater: agree(mode.offer())
                .map(|agreed| Deflater::new(&agreed, &settings, Role::Client)),
            decoder: match agree(mode.offer()) {
                Some(agreed) => decoder.with_deflate(&agreed),
                None => decoder,
            },
            sent: 0,
            received: 0,
        })
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        let mut frame = Vec::new();
        let (text, payload) = (Opcode::Text, message.as_bytes());
        match &mut self.deflater {
            Some(deflater) => {
                deflater.encode(&mut frame, text, Fragment::WHOLE, payload, Some(KEY));
            }
            None => encode_frame(&mut frame, text, payload, Some(KEY)),
        }
        self.sent += frame.len() as u64;
        self.stream.write_all(&frame)
    }

    fn receive(&mut self, expected: &str) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            self.received += read as u64;
            let mut rest = &mut buffer[..read];
            while !rest.is_empty() {
                let decoded = self.decoder.decode(rest);
                let Decoded {
                    consumed, event, ..
                } = decoded.map_err(io::Error::other)?;
                rest = &mut rest[consumed..];
                match event {
                    Some(Event::Message(message)) if message.as_bytes() == expected.as_bytes() => {
                        return Ok(());
                    }
                    Some(_) => return Err(io::Error::other("the echo is not what was sent")),
                    None => {}
                }
            }
        }
    }
}

/// What a server makes of an offer, with its largest windows.
fn agree(offer: &str) -> Option<PerMessageDeflate> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "localhost"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !offer.is_empty() {
        headers.insert("sec-websocket-extensions", offer.parse().ok()?);
    }
    let request = handshake::Request {
        method: &Method::GET,
        uri: &"/".parse().ok()?,
        version: Version::HTTP_11,
        headers: &headers,
        protocol: None,
    };
    let widest = Compression::new().server_window_bits(15).ok()?;
    request.check().ok()?.negotiate(&widest)
}

/// Text as applications send it: objects of the same keys and other values.
fn text(seed: u32, size: usize) -> String {
    const NAMES: [&str; 8] = [
        "Ada", "Blaise", "Carl", "Dorothy", "Edsger", "Frances", "Grace", "Hedy",
    ];

    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let mut text = String::with_capacity(size + 200);
    while text.len() < size {
        let (id, name) = (random() % 1_000_000, NAMES[random() as usize % NAMES.len()]);
        let (price, count, is_open) = (random() % 100_000, random() % 500, random() % 2 == 0);
        text += &format!(
            "{{\"id\":{id},\"customer\":\"{name}\",\"price\":{}.{:02},\"quantity\":{count},\"open\":{is_open}}},",
            price / 100,
            price % 100,
        );
    }
    text.truncate(size);
    text
}
