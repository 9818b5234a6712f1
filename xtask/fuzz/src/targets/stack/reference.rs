//! The expected result of the bytes in each direction, from the protocol crate's decoders and a walk over the frames.

use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::{CloseCode, Decoded, Decoder, Event, Limits, Message, Role, Violation};

use crate::frame::CLOSE;

/// All that the peer has sent.
#[derive(Debug)]
pub(crate) struct Input {
    decoder: Decoder,
    pub(crate) len: usize,
    pub(crate) messages: Vec<Received>,
    pub(crate) pings: Vec<(Vec<u8>, usize)>,
    /// How many pongs there are, and where the last ends.
    pub(crate) pongs: (usize, usize),
    pub(crate) end: Option<InputEnd>,
}

/// A whole message, and where it ends.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: Message,
    pub(crate) end: usize,
}

/// A Close or a violation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputEnd {
    pub(crate) kind: EndKind,
    /// The earliest and the latest number of read bytes at which the server can have seen it.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndKind {
    Close(CloseCode),
    Violation(Violation),
}

impl InputEnd {
    pub(crate) fn code(&self) -> CloseCode {
        match self.kind {
            EndKind::Close(code) => code,
            EndKind::Violation(violation) => violation.close_code(),
        }
    }
}

impl Input {
    pub(crate) fn new(limits: Limits, agreed: Option<&PerMessageDeflate>) -> Self {
        Self {
            decoder: decoder(Role::Server, limits, agreed),
            len: 0,
            messages: Vec::new(),
            pings: Vec::new(),
            pongs: (0, 0),
            end: None,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let start = self.len;
        self.len += bytes.len();
        let mut bytes = bytes.to_vec();
        let mut at = 0;
        while self.end.is_none() {
            match self.decoder.decode(&mut bytes[at..]) {
                Ok(Decoded {
                    consumed, event, ..
                }) => {
                    at += consumed;
                    let end = start + at;
                    match event {
                        Some(Event::Message(message)) => {
                            self.messages.push(Received { message, end });
                        }
                        Some(Event::Ping(payload)) => self.pings.push((payload.to_vec(), end)),
                        Some(Event::Pong(_)) => self.pongs = (self.pongs.0 + 1, end),
                        Some(Event::Close(frame)) => {
                            let code = frame.map_or(CloseCode::NO_STATUS, |frame| frame.code());
                            let kind = EndKind::Close(code);
                            let (from, to) = (end, end);
                            self.end = Some(InputEnd { kind, from, to });
                        }
                        None => return,
                    }
                }
                Err(violation) => {
                    let kind = EndKind::Violation(violation);
                    let (from, to) = (start + at, self.len);
                    self.end = Some(InputEnd { kind, from, to });
                }
            }
        }
    }
}

/// All bytes that the server has written after its response head.
#[derive(Debug)]
pub(crate) struct Output {
    /// The bytes of the head, until it is whole.
    head: Vec<u8>,
    pub(crate) is_open: bool,
    pub(crate) len: usize,
    decoder: Decoder,
    walk: Vec<u8>,
    pub(crate) messages: Vec<Message>,
    pub(crate) payload_bytes: usize,
    pub(crate) pings: Vec<Vec<u8>>,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) closes: Vec<CloseCode>,
    has_close: bool,
    /// The opcodes of whole frames after the first Close.
    after_close: Vec<u8>,
    pub(crate) fragments: usize,
    pub(crate) compressed: usize,
    pub(crate) violation: Option<Violation>,
}

impl Output {
    pub(crate) fn new(agreed: Option<&PerMessageDeflate>) -> Self {
        let mut limits = Limits::default();
        limits.max_message_size = 64 * 1024 * 1024;
        Self {
            head: Vec::new(),
            is_open: false,
            len: 0,
            decoder: decoder(Role::Client, limits, agreed),
            walk: Vec::new(),
            messages: Vec::new(),
            payload_bytes: 0,
            pings: Vec::new(),
            pongs: Vec::new(),
            closes: Vec::new(),
            has_close: false,
            after_close: Vec::new(),
            fragments: 0,
            compressed: 0,
            violation: None,
        }
    }

    /// Returns `true` if the last frame is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.walk.is_empty()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.is_open {
            for (at, &byte) in bytes.iter().enumerate() {
                self.head.push(byte);
                if self.head.ends_with(b"\r\n\r\n") {
                    self.is_open = true;
                    self.push(&bytes[at + 1..]);
                    return;
                }
            }
            return;
        }
        self.len += bytes.len();
        self.walk.extend_from_slice(bytes);
        self.walk_frames();
        let mut bytes = bytes.to_vec();
        let mut at = 0;
        while at < bytes.len() && self.violation.is_none() {
            match self.decoder.decode(&mut bytes[at..]) {
                Ok(Decoded {
                    consumed, event, ..
                }) => {
                    at += consumed;
                    match event {
                        Some(Event::Message(message)) => {
                            self.payload_bytes += message.len();
                            self.messages.push(message);
                        }
                        Some(Event::Ping(payload)) => self.pings.push(payload.to_vec()),
                        Some(Event::Pong(payload)) => self.pongs.push(payload.to_vec()),
                        Some(Event::Close(frame)) => {
                            let code = frame.map_or(CloseCode::NO_STATUS, |frame| frame.code());
                            self.closes.push(code);
                        }
                        None => {}
                    }
                }
                Err(violation) => self.violation = Some(violation),
            }
        }
    }

    /// Reads the headers, also those after a Close, which the decoder does not read.
    fn walk_frames(&mut self) {
        let mut at = 0;
        while let Some((opcode, len)) = self.walk.get(at..).and_then(whole_frame) {
            let first = self.walk[at];
            self.fragments += usize::from(first & 0x80 == 0);
            self.compressed += usize::from(first & 0x40 != 0);
            if self.has_close {
                self.after_close.push(opcode);
            }
            self.has_close |= opcode == CLOSE;
            at += len;
        }
        self.walk.drain(..at);
    }

    /// Returns `true` if a frame, or the first byte of one, follows the Close.
    pub(crate) fn follows_close(&self) -> bool {
        !self.after_close.is_empty() || (self.has_close && !self.walk.is_empty())
    }
}

/// The opcode and the length of the frame at the front of `wire`, which has no mask, if it is whole.
fn whole_frame(wire: &[u8]) -> Option<(u8, usize)> {
    let (&[first, second], rest) = wire.split_first_chunk()?;
    let (extra, len) = match second & 127 {
        126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
        len => (0, u64::from(len)),
    };
    let whole = usize::try_from(len).ok()?.checked_add(2 + extra)?;
    (wire.len() >= whole).then_some((first & 15, whole))
}

fn decoder(role: Role, limits: Limits, agreed: Option<&PerMessageDeflate>) -> Decoder {
    let decoder = Decoder::new(role, limits);
    match agreed {
        Some(agreed) => decoder.with_deflate(agreed),
        None => decoder,
    }
}
