//! Frames by hand: independent of the code under test, and broken where a test likes.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The first byte's bit of the last fragment of a message.
pub const FIN: u8 = 0x80;

/// First bytes of whole messages and control frames: FIN and an opcode.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// The first byte of the last fragment of a message.
pub const CONTINUATION: u8 = 0x80;

/// The masking key of the examples in RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame with the shortest form of its length.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    let masked = payload.iter().zip(KEY.iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a masked frame that declares this length.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = unmasked_header(first, length);
    header[1] |= 0x80;
    header.extend(KEY);
    header
}

/// A frame as a server sends it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&unmasked_header(first, payload.len() as u64), payload].concat()
}

fn unmasked_header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(length as u8),
        126..=0xffff => {
            header.push(126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

pub fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The first byte and the payload of the next frame; `None` at an end between frames.
pub async fn read_frame(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let first = match io.read_u8().await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        first => first?,
    };
    let length = match io.read_u8().await? {
        126 => io.read_u16().await?.into(),
        127 => io.read_u64().await?,
        length => length.into(),
    };
    let mut payload = vec![0; length.try_into().expect("a length")];
    io.read_exact(&mut payload).await?;
    Ok(Some((first, payload)))
}
