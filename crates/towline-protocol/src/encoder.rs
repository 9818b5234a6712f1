//! Frames to bytes.

use bytes::BufMut;

use crate::close::CloseFrame;
use crate::frame::{FIN, Header, HeaderBytes, MAX_LEN_7, Opcode};
use crate::mask::Mask;

/// Encodes the header of a frame whose payload, `len` bytes, is written by itself.
///
/// A client passes a fresh random `mask` with every frame, and masks the payload with it; a server passes `None`.
///
/// ```
/// use towline_protocol::{Opcode, encode_header};
///
/// let header = encode_header(Opcode::Binary, 65_536, true, None);
/// assert_eq!(*header, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
/// ```
#[inline]
#[must_use]
pub fn encode_header(opcode: Opcode, len: usize, fin: bool, mask: Option<[u8; 4]>) -> HeaderBytes {
    let header = Header {
        fin,
        reserved: 0,
        opcode,
        mask,
        len: len as u64,
    };
    header.encode()
}

/// Appends a whole frame to `dst`: one that is not fragmented, its payload masked where there is a `mask`.
///
/// The payload of a control frame must not have more than 125 bytes.
///
/// ```
/// use towline_protocol::{Opcode, encode_frame};
///
/// let mut wire = Vec::new();
/// encode_frame(&mut wire, Opcode::Text, b"Hello", None);
/// assert_eq!(wire, b"\x81\x05Hello");
/// ```
#[inline(always)]
pub fn encode_frame(dst: &mut impl BufMut, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(
        !opcode.is_control() || payload.len() <= 125,
        "a control frame carries at most 125 bytes"
    );

    match (mask, u8::try_from(payload.len())) {
        // What a server sends most: the header is a constant and a length.
        (None, Ok(len @ ..=MAX_LEN_7)) => {
            dst.put_slice(&[FIN | opcode as u8, len]);
            dst.put_slice(payload);
        }
        _ => put_frame(dst, opcode, true, 0, payload, mask),
    }
}

/// Appends a frame whose reserved bits are those.
pub(crate) fn put_frame(
    dst: &mut impl BufMut,
    opcode: Opcode,
    fin: bool,
    reserved: u8,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) {
    let header = Header {
        fin,
        reserved,
        opcode,
        mask,
        len: payload.len() as u64,
    };
    dst.put_slice(&header.encode());
    match mask {
        None => dst.put_slice(payload),
        Some(key) => put_masked(dst, payload, Mask::new(key)),
    }
}

/// Appends a close frame to `dst`, an empty one for `None`.
pub fn encode_close(dst: &mut impl BufMut, close: Option<&CloseFrame>, mask: Option<[u8; 4]>) {
    let mut body = Vec::new();
    if let Some(close) = close {
        body.extend_from_slice(&u16::from(close.code()).to_be_bytes());
        body.extend_from_slice(close.reason().as_bytes());
    }
    encode_frame(dst, Opcode::Close, &body, mask);
}

/// Appends `payload` through a block on the stack, since a [`BufMut`] does not show again what it was given.
fn put_masked(dst: &mut impl BufMut, payload: &[u8], mut mask: Mask) {
    let mut block = [0; 512];
    for piece in payload.chunks(block.len()) {
        let block = &mut block[..piece.len()];
        block.copy_from_slice(piece);
        mask.apply(block);
        dst.put_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;

    #[test]
    fn the_examples_of_the_rfc() {
        let mut wire = Vec::new();
        encode_frame(
            &mut wire,
            Opcode::Text,
            b"Hello",
            Some([0x37, 0xfa, 0x21, 0x3d]),
        );
        assert_eq!(wire, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");

        assert_eq!(*encode_header(Opcode::Text, 3, false, None), *b"\x01\x03");
        assert_eq!(
            *encode_header(Opcode::Continuation, 2, true, None),
            *b"\x80\x02"
        );
        assert_eq!(
            *encode_header(Opcode::Binary, 256, true, None),
            *b"\x82\x7e\x01\x00"
        );
    }

    #[test]
    fn a_long_payload_is_masked_throughout() {
        let key = [1, 2, 3, 4];
        let payload: Vec<u8> = (0..1500).map(|i| (i % 256) as u8).collect();
        let mut wire = b"before".to_vec();
        encode_frame(&mut wire, Opcode::Binary, &payload, Some(key));

        let header = encode_header(Opcode::Binary, payload.len(), true, Some(key));
        let masked: Vec<u8> = payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4])
            .collect();
        assert_eq!(wire, [b"before", &header[..], &masked].concat());
    }

    #[test]
    fn close_frames() {
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye").unwrap();
        let mut wire = Vec::new();
        encode_close(&mut wire, Some(&close), None);
        encode_close(&mut wire, Some(&close.reply()), None);
        encode_close(&mut wire, None, None);
        assert_eq!(wire, b"\x88\x05\x03\xe9bye\x88\x02\x03\xe9\x88\x00");
    }
}
