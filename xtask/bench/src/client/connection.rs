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
    Sec-WebSocket-Version: 13\r\n";

/// A server that takes longer hangs, or runs in an emulator that is slow.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Connects, and unless the server is a raw one makes the opening handshake.
pub(crate) fn open(server: SocketAddr, raw: bool) -> io::Result<TcpStream> {
    let mut stream = connect(server)?;
    if !raw {
        shake_hands(&mut stream, "")?;
    }
    Ok(stream)
}

/// Connects and offers extensions; with it, the head of the answer.
pub(crate) fn open_offering(server: SocketAddr, offer: &str) -> io::Result<(TcpStream, String)> {
    let mut stream = connect(server)?;
    let head = shake_hands(&mut stream, offer)?;
    Ok((stream, head))
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn shake_hands(stream: &mut TcpStream, offer: &str) -> io::Result<String> {
    let mut request = HANDSHAKE.to_vec();
    if !offer.is_empty() {
        write!(request, "Sec-WebSocket-Extensions: {offer}\r\n")?;
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request)?;
    read_head(stream)
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
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other("the server closed in the handshake")),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.starts_with("HTTP/1.1 101 ") {
        Ok(head)
    } else {
        Err(io::Error::other(format!("the handshake failed: {head}")))
    }
}
