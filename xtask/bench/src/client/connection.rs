//! Opening and closing a connection, one step after the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::wire;

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A server that takes longer hangs, or runs in an emulator that is slow.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Connects, and unless the server is a raw one makes the opening handshake.
pub(crate) fn open(server: SocketAddr, raw: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    if !raw {
        stream.write_all(HANDSHAKE)?;
        read_head(&mut stream)?;
    }
    Ok(stream)
}

/// Closes as a client does: its Close, the server's Close, the end.
pub(crate) fn close(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&wire::close())?;
    let mut frame = [0; 2];
    match stream.read_exact(&mut frame) {
        Ok(()) if wire::is_close(&frame) => Ok(()),
        Ok(()) => Err(io::Error::other("no Close came back")),
        // Not polite, but some peers end so.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads the server's answer, which has to be a 101. Nothing follows it before a message was sent.
fn read_head(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other("the server closed in the handshake")),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        Ok(())
    } else {
        let head = String::from_utf8_lossy(&head);
        Err(io::Error::other(format!("the handshake failed: {head}")))
    }
}
