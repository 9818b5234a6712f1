//! The header of a frame (RFC 6455 section 5.2), without judging what it says.

use std::ops::Deref;

use crate::violation::Violation;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an opcode that RFC 6455 does not define is refused"
)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The beginning or the end of the close handshake.
    Close = 0x8,
    /// A question whether the peer is there.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xA,
}

impl Opcode {
    /// Whether a frame of this opcode is a control frame, which may come between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

pub(crate) const FIN: u8 = 0b1000_0000;
/// The reserved bit that permessage-deflate has given a meaning (RFC 7692 section 6).
#[cfg(feature = "deflate")]
pub(crate) const RSV1: u8 = 0b0100_0000;
const RESERVED: u8 = 0b0111_0000;
const OPCODE: u8 = 0b0000_1111;
pub(crate) const MASKED: u8 = 0b1000_0000;
pub(crate) const LEN: u8 = 0b0111_1111;

/// The largest length that is in the 7 bits themselves.
pub(crate) const MAX_LEN_7: u8 = 125;
/// A value of the 7-bit length: the length is in the next 2 bytes.
pub(crate) const LEN_16: u8 = 126;
/// A value of the 7-bit length: the length is in the next 8 bytes.
const LEN_64: u8 = 127;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// RSV1 to RSV3, where they stand in the first byte.
    pub(crate) reserved: u8,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

impl Header {
    /// The most bytes that a header takes.
    pub(crate) const MAX_SIZE: usize = 14;

    /// Reads the header at the front of `bytes`, and tells how many of them it takes; `None` while it is incomplete.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };

        // Section 5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."
        let opcode = first & OPCODE;
        let Some(opcode) = Opcode::from_bits(opcode) else {
            return Err(Violation::UnknownOpcode(opcode));
        };

        // Section 5.2: "Note that in all cases, the minimal number of bytes MUST be used to encode the length".
        let (len, rest) = match second & LEN {
            LEN_16 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u16::from_be_bytes(*len);
                if len < u16::from(LEN_16) {
                    return Err(Violation::LengthNotMinimal);
                }
                (u64::from(len), rest)
            }
            LEN_64 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*len);
                // Section 5.2: "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant
                // bit MUST be 0)".
                if len > u64::MAX >> 1 {
                    return Err(Violation::LengthTopBit);
                }
                if len <= u64::from(u16::MAX) {
                    return Err(Violation::LengthNotMinimal);
                }
                (len, rest)
            }
            len => (u64::from(len), rest),
        };

        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*key), rest)
        };

        let header = Self {
            fin: first & FIN != 0,
            reserved: first & RESERVED,
            opcode,
            mask,
            len,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// The header as it goes on the wire.
    #[inline]
    pub(crate) fn encode(&self) -> HeaderBytes {
        let mut header = HeaderBytes::default();
        let masked = if self.mask.is_some() { MASKED } else { 0 };

        header.push([if self.fin { FIN } else { 0 } | self.reserved | self.opcode as u8]);
        match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len), _) if len < LEN_16 => header.push([masked | len]),
            (_, Ok(len)) => {
                header.push([masked | LEN_16]);
                header.push(len.to_be_bytes());
            }
            _ => {
                header.push([masked | LEN_64]);
                header.push(self.len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            header.push(key);
        }
        header
    }
}

/// A header on the stack, as [`encode_header`](crate::encode_header) returns it: 2 to 14 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderBytes {
    bytes: [u8; Header::MAX_SIZE],
    len: u8,
}

impl HeaderBytes {
    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        let len = usize::from(self.len);
        self.bytes[len..len + N].copy_from_slice(&bytes);
        self.len += N as u8;
    }
}

impl Deref for HeaderBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        let opcode = proptest::sample::select(vec![0x0, 0x1, 0x2, 0x8, 0x9, 0xa]);
        let len = prop_oneof![0..300_u64, 65_000..66_000_u64, 0..=u64::MAX >> 1];
        let bits = (any::<bool>(), 0..8_u8, any::<Option<[u8; 4]>>());
        (opcode, len, bits).prop_map(|(opcode, len, (fin, reserved, mask))| Header {
            fin,
            reserved: reserved << 4,
            opcode: Opcode::from_bits(opcode).unwrap(),
            mask,
            len,
        })
    }

    proptest! {
        #[test]
        fn a_header_reads_back_and_no_part_of_it_does(header in header(), payload: [u8; 3]) {
            let bytes = header.encode();
            for len in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..len]), Ok(None));
            }
            let wire = [&bytes[..], &payload].concat();
            prop_assert_eq!(Header::parse(&wire), Ok(Some((header, bytes.len()))));
        }
    }

    #[test]
    fn only_six_opcodes_are_known() {
        for bits in 0..16 {
            let opcode = Opcode::from_bits(bits);
            assert_eq!(opcode.is_some(), matches!(bits, 0..=2 | 8..=10), "{bits}");
            assert!(opcode.is_none_or(|opcode| opcode as u8 == bits));
            assert!(opcode.is_none_or(|opcode| opcode.is_control() == (bits >= 8)));
        }
    }
}
