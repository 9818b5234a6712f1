//! The bytes of a message: as the client sends it, and as it is to come back.

/// The mask of all frames. The server cannot know that it is always the same.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const MASKED: u8 = 0x80;

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
        let request = frame(BINARY, &payload, Some(KEY));
        let echo = if raw {
            request.clone()
        } else {
            frame(BINARY, &payload, None)
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
    frame(CLOSE, &1000_u16.to_be_bytes(), Some(KEY))
}

/// Whether a frame that begins with these bytes is a Close.
pub(crate) fn is_close(frame: &[u8]) -> bool {
    frame.first() == Some(&CLOSE)
}

/// The pong to a ping.
pub(crate) fn pong(ping: &[u8]) -> Option<Vec<u8>> {
    match ping {
        [PING, len, payload @ ..] if usize::from(*len) == payload.len() => {
            Some(frame(PONG, payload, Some(KEY)))
        }
        _ => None,
    }
}

fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = vec![first];
    let masked = if key.is_some() { MASKED } else { 0 };
    match payload.len() {
        len @ 0..126 => frame.push(masked | len as u8),
        len @ 126..65_536 => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend(key.into_iter().flatten());
    let key = key.unwrap_or_default();
    let payload = payload.iter().zip(key.iter().cycle());
    frame.extend(payload.map(|(byte, key)| byte ^ key));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_rfc() {
        // RFC 6455, 5.7.
        let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(frame(0x81, b"Hello", Some(KEY)), hello);
        assert_eq!(frame(0x81, b"Hello", None), b"\x81\x05Hello");
        assert!(is_close(&close()));
        assert_eq!(
            pong(b"\x89\x05Hello").as_deref(),
            Some(&b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..])
        );
        assert_eq!(pong(b"\x81\x05Hello"), None);
    }

    #[test]
    fn headers_grow_with_their_length() {
        for (size, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let wire = Wire::new(size, false);
            assert_eq!(wire.echo_header, header);
            assert_eq!(wire.echo.len(), header + size);
            assert_eq!(wire.request.len(), header + 4 + size);
            assert_eq!(Wire::new(size, true).echo, wire.request);
        }
    }
}
