//! A client that offers permessage-deflate and compresses what it sends.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};
use towline_protocol::deflate::{Compression, Deflater, Fragment, PerMessageDeflate};
use towline_protocol::{Decoded, Decoder, Event, Limits, Message, Opcode, Role, handshake};

use crate::frame::{BINARY, KEY, TEXT, unmasked};
use crate::peer::Wire;
use crate::server::Http;

/// The first byte's bit of a message that is compressed.
pub const RSV1: u8 = 0x40;

/// The least that a client can offer.
pub const OFFER: &str = "permessage-deflate";

/// A client's socket where compression was negotiated.
pub struct Client {
    pub wire: Wire,
    deflater: Deflater,
    inflater: Decoder,
    /// The first byte of the message that comes in.
    begun: u8,
}

impl Client {
    /// Opens a socket at a server of these settings, by an offer that it accepts.
    pub async fn open(http: Http, address: SocketAddr, offer: &str, settings: Compression) -> Self {
        let agreed = agree(offer, settings).unwrap();
        let (wire, answer) = Wire::offer(http, address, offer).await;
        assert_eq!(answer, Some(agreed.to_string()));
        Self::over(wire, &agreed, settings)
    }

    pub fn over(wire: Wire, agreed: &PerMessageDeflate, settings: Compression) -> Self {
        Self {
            wire,
            deflater: Deflater::new(agreed, &settings, Role::Client),
            inflater: Decoder::new(Role::Client, Limits::default()).with_deflate(agreed),
            begun: 0,
        }
    }

    /// A compressed frame.
    pub fn frame(&mut self, opcode: Opcode, fragment: Fragment, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.deflater
            .encode(&mut frame, opcode, fragment, payload, Some(KEY));
        frame
    }

    /// A compressed message in one frame.
    pub fn text(&mut self, text: &str) -> Vec<u8> {
        self.frame(Opcode::Text, Fragment::WHOLE, text.as_bytes())
    }

    /// The same, binary.
    pub fn binary(&mut self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.frame(Opcode::Binary, Fragment::WHOLE, payload.as_ref())
    }

    /// The next message or control frame, and its first byte; of a message, that of its first frame.
    pub async fn next(&mut self) -> Option<(u8, Event)> {
        loop {
            let (first, payload) = self.wire.frame().await?;
            if let 0x1 | 0x2 = first & 0x0f {
                self.begun = first;
            }
            let mut frame = unmasked(first, &payload);
            let mut rest = &mut frame[..];
            while !rest.is_empty() {
                let Decoded {
                    consumed, event, ..
                } = self.inflater.decode(rest).unwrap();
                rest = &mut rest[consumed..];
                match event {
                    Some(Event::Message(message)) => {
                        return Some((self.begun, Event::Message(message)));
                    }
                    Some(control) => return Some((first, control)),
                    None => {}
                }
            }
        }
    }

    /// The next message, and the first byte of its first frame.
    pub async fn message(&mut self) -> (u8, Message) {
        match self.next().await {
            Some((first, Event::Message(message))) => (first, message),
            other => panic!("a message was expected, not {other:?}"),
        }
    }

    /// A compressed message goes and comes back compressed.
    pub async fn echo(&mut self, message: impl Into<Message>) {
        let message = message.into();
        let (opcode, first) = match message {
            Message::Text(_) => (Opcode::Text, TEXT),
            Message::Binary(_) => (Opcode::Binary, BINARY),
        };
        let frame = self.frame(opcode, Fragment::WHOLE, message.as_bytes());
        self.wire.write(frame).await;
        let (begun, echoed) = self.message().await;
        assert_eq!(begun | 0x80, first | RSV1);
        assert!(echoed == message, "{} bytes", message.len());
    }
}

/// What a server of these settings makes of an offer.
pub fn agree(offer: &str, settings: Compression) -> Option<PerMessageDeflate> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("sec-websocket-extensions", offer.parse().unwrap());
    let request = handshake::Request {
        method: &Method::GET,
        uri: &"/ws".parse().unwrap(),
        version: Version::HTTP_11,
        headers: &headers,
        protocol: None,
    };
    request.check().unwrap().negotiate(&settings)
}

/// Bytes that nothing makes shorter.
pub fn noise(len: usize) -> Bytes {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
