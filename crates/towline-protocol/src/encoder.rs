//! Frames to bytes.

use bytes::BufMut;

use crate::close::CloseFrame;
use crate::frame::{Header, HeaderBytes, Opcode};
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
#[inline]
pub fn encode_frame(dst: &mut impl BufMut, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(
        !opcode.is_control() || payload.len() <= 125,
        "a control frame carries at most 125 bytes"
    );

    dst.put_slice(&encode_header(opcode, payload.len(), true, mask));
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
