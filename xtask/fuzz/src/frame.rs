//! A frame as RFC 6455 section 5.2 draws it, and no wiser: it can say anything. Written apart from the protocol crate's
//! own, so that the two do not share their mistakes.

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 to RSV3 as a number of three bits.
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: Length,
    /// Before masking.
    pub(crate) payload: Vec<u8>,
}

/// How a frame says how long its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// In as few bytes as it takes.
    Shortest,
    /// In two more bytes, which the lower bits have to fit into.
    Two,
    /// In eight more bytes.
    Eight,
    /// In eight more bytes, and it need not be true.
    Claim(u64),
}

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

impl Frame {
    /// A frame with nothing wrong: whole, without a mask.
    pub(crate) const fn new(opcode: u8, payload: Vec<u8>) -> Self {
        Self {
            fin: true,
            reserved: 0,
            opcode,
            mask: None,
            length: Length::Shortest,
            payload,
        }
    }

    /// Appends the frame to `wire`.
    pub(crate) fn encode(&self, wire: &mut Vec<u8>) {
        wire.push(u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode);
        let masked = u8::from(self.mask.is_some()) << 7;
        let len = self.payload.len();
        match self.length {
            Length::Shortest if len < 126 => wire.push(masked | len as u8),
            Length::Shortest if len > 0xffff => put_eight(wire, masked, len as u64),
            Length::Shortest | Length::Two => {
                wire.push(masked | 126);
                wire.extend((len as u16).to_be_bytes());
            }
            Length::Eight => put_eight(wire, masked, len as u64),
            Length::Claim(len) => put_eight(wire, masked, len),
        }
        match self.mask {
            None => wire.extend(&self.payload),
            Some(key) => {
                wire.extend(key);
                wire.extend(masked_payload(&self.payload, key));
            }
        }
    }
}

fn put_eight(wire: &mut Vec<u8>, masked: u8, len: u64) {
    wire.push(masked | 127);
    wire.extend(len.to_be_bytes());
}

/// Section 5.3: octet i of the payload XOR octet i modulo 4 of the key.
pub(crate) fn masked_payload(payload: &[u8], key: [u8; 4]) -> impl Iterator<Item = u8> {
    payload
        .iter()
        .zip(key.into_iter().cycle())
        .map(|(byte, key)| byte ^ key)
}

/// How long the header at the front of `wire` is, and how long it says that its payload is. Bytes of the header that are
/// missing count as zeros.
pub(crate) fn sizes(wire: &[u8]) -> (usize, usize) {
    let at = |index: usize| wire.get(index).copied().unwrap_or(0);
    let (extra, len) = match at(1) & 127 {
        126 => (2, 0),
        127 => (8, 0),
        len => (0, usize::from(len)),
    };
    let len = (2..2 + extra).fold(len, |len, index| len << 8 | usize::from(at(index)));
    let mask = if at(1) & 128 == 0 { 0 } else { 4 };
    (2 + extra + mask, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        let mut frame = Frame::new(TEXT, b"Hello".to_vec());
        frame.mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        let mut wire = Vec::new();
        frame.encode(&mut wire);
        assert_eq!(wire, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        let mut wire = Vec::new();
        Frame::new(BINARY, vec![0; 256]).encode(&mut wire);
        assert_eq!(wire[..4], *b"\x82\x7e\x01\x00");
        let mut wire = Vec::new();
        Frame::new(BINARY, vec![0; 65_536]).encode(&mut wire);
        assert_eq!(wire[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn the_sizes_are_what_the_header_says() {
        for len in [0, 125, 126, 65_535, 65_536] {
            for length in [Length::Shortest, Length::Eight] {
                let mut frame = Frame::new(BINARY, vec![0; len]);
                frame.length = length;
                frame.mask = (len % 2 == 0).then_some([1; 4]);
                let mut wire = Vec::new();
                frame.encode(&mut wire);
                let header = wire.len() - len;
                assert_eq!(sizes(&wire), (header, len));
                assert_eq!(sizes(&wire[..header]), (header, len));
            }
        }
        assert_eq!(sizes(&[0xff; 10]), (14, usize::MAX));
        assert_eq!(sizes(b""), (2, 0));
    }
}
