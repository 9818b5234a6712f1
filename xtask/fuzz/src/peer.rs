//! A stream through tungstenite, which knows nothing of our decoder.

use std::io::{self, Read, Write};

use towline_protocol::{Event, Message, Role};
use tungstenite::error::Error;
use tungstenite::protocol::{self, CloseFrame, WebSocket, WebSocketConfig};

use crate::stream::Stream;

/// An event in the terms that both share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// What tungstenite made of a stream.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) seen: Vec<Seen>,
    pub(crate) refused: Option<Error>,
}

/// Lets tungstenite read `wire` by the role and the limits of `stream`, up to the close.
pub(crate) fn read(stream: &Stream, wire: &[u8]) -> Heard {
    let role = match stream.role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let limits = stream.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(limits.max_message_size))
        .max_frame_size(Some(max_frame_size(stream)));
    let mut socket = WebSocket::from_raw_socket(Transport(wire), role, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => seen.extend(of_peer(message)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Heard {
                    seen,
                    refused: None,
                };
            }
            Err(error) => {
                return Heard {
                    seen,
                    refused: Some(error),
                };
            }
        }
        if let Some(Seen::Close(_)) = seen.last() {
            return Heard {
                seen,
                refused: None,
            };
        }
    }
}

/// Its limit of frames holds for control frames too, which ours does not.
fn max_frame_size(stream: &Stream) -> usize {
    let limits = stream.limits;
    limits
        .max_frame_size
        .unwrap_or(limits.max_message_size)
        .max(125)
}

fn of_peer(message: protocol::Message) -> Option<Seen> {
    Some(match message {
        protocol::Message::Text(text) => Seen::Text(text.as_bytes().to_vec()),
        protocol::Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        protocol::Message::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        protocol::Message::Pong(bytes) => Seen::Pong(bytes.to_vec()),
        protocol::Message::Close(close) => {
            let body = |close: CloseFrame| (close.code.into(), close.reason.as_str().to_owned());
            Seen::Close(close.map(body))
        }
        protocol::Message::Frame(_) => return None,
    })
}

impl From<&Event> for Seen {
    fn from(event: &Event) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.as_bytes().to_vec()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => {
                let body = |close: &towline_protocol::CloseFrame| {
                    (close.code().into(), close.reason().to_owned())
                };
                Self::Close(close.as_ref().map(body))
            }
        }
    }
}

/// The bytes of the wire, then nothing for now; what is written is gone.
#[derive(Debug)]
struct Transport<'a>(&'a [u8]);

impl Read for Transport<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Transport<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
