//! The bytes of a message: as the client sends it, and as it is to come back.

use towline_protocol::{Opcode, encode_frame};

/// The mask of all frames. The server cannot know that it is always the same.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// First bytes of whole frames.
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// A message in one frame.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) request: Vec<u8>,
    pub(crate) echo: Vec<u8>,
    /// How much of the echo is its header.
    pub(crate) echo_header: usize,
}

impl Wire {
    /// A binary message of `size` bytes. A raw server sends it back as it was.
    pub(crate) fn new(size: usize, raw: bool) -> Self {
        let payload: Vec<u8> = (0..size).map(|at| (at * 31 + at / 256) as u8).collect();
        let request = frame(Opcode::Binary, &payload, Some(KEY));
        let echo = if raw {
            request.clone()
        } else {
            frame(Opcode::Binary, &payload, None)
        };
        let echo_header = echo.len() - size;
        Self {
            request,
            echo,
            echo_header,
        }
    }
}

/// A Close of code 1000.
pub(crate) fn close() -> Vec<u8> {
    frame(Opcode::Close, &1000_u16.to_be_bytes(), Some(KEY))
}

/// Whether a frame that begins with these bytes is a Close.
pub(crate) fn is_close(frame: &[u8]) -> bool {
    frame.first() == Some(&CLOSE)
}

/// The pong to a ping.
pub(crate) fn pong(ping: &[u8]) -> Option<Vec<u8>> {
    match ping {
        [PING, len, payload @ ..] if usize::from(*len) == payload.len() => {
            Some(frame(Opcode::Pong, payload, Some(KEY)))
        }
        _ => None,
    }
}

fn frame(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(&mut frame, opcode, payload, key);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_has_the_payload_of_its_ping() {
        let pong = pong(b"\x89\x05Hello");
        // RFC 6455, 5.7, has the same mask.
        let expected = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(pong.as_deref(), Some(&expected[..]));
        assert_eq!(super::pong(b"\x81\x05Hello"), None);
    }

    #[test]
    fn the_header_of_an_echo_grows_with_its_length() {
        for (size, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let wire = Wire::new(size, false);
            assert_eq!(wire.echo_header, header);
            assert_eq!(wire.request.len(), header + 4 + size);
            assert_eq!(Wire::new(size, true).echo, wire.request);
        }
    }
}
