//! A client that writes what it likes over HTTP/1.1.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// First bytes of whole messages and control frames.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// The client's end of an open socket.
#[derive(Debug)]
pub(crate) struct Socket(TcpStream);

impl Socket {
    /// Opens a socket at `path` of `authority`, which is `HOST:PORT`.
    pub(crate) fn open(authority: &str, path: &str) -> io::Result<Self> {
        let mut stream = connect(authority)?;
        stream.write_all(handshake(authority, path, &[]).as_bytes())?;
        let head = read_head(&mut stream)?;
        if head.starts_with("HTTP/1.1 101 ") {
            Ok(Self(stream))
        } else {
            Err(io::Error::other(format!("the handshake got {head:?}")))
        }
    }

    /// Sends a whole frame with a mask of zero.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame)
    }

    /// The first byte and the payload of the next frame.
    pub(crate) fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let [first, length] = self.bytes()?;
        let length = match length {
            126 => u16::from_be_bytes(self.bytes()?).into(),
            127 => u64::from_be_bytes(self.bytes()?),
            length => length.into(),
        };
        let mut payload = Vec::new();
        let read = (&mut self.0).take(length).read_to_end(&mut payload)?;
        if read as u64 == length {
            Ok((first, payload))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// All that comes before the end of the connection.
    pub(crate) fn rest(mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A connection that gives up reading after a while.
pub(crate) fn connect(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A good opening handshake, in which `changes` replace whole lines.
pub(crate) fn handshake(authority: &str, path: &str, changes: &[(&str, &str)]) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for (from, to) in changes {
        assert!(head.contains(from), "no `{from}` in {head:?}");
        head = head.replace(from, to);
    }
    head
}

/// Reads up to the empty line behind the headers.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
