//! The bytes that a client sends: messages whole and in fragments, pings, Closes, and what breaks the protocol.

use towline_protocol::{Opcode, encode_header};

use crate::content::Piece;
use crate::random::Random;

/// Appends a masked frame.
pub(crate) fn frame(wire: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8], mask: u64) {
    let mask = (mask as u32).to_ne_bytes();
    wire.extend_from_slice(&encode_header(opcode, payload.len(), fin, Some(mask)));
    let masked = payload.iter().zip(mask.iter().cycle());
    wire.extend(masked.map(|(byte, mask)| byte ^ mask));
}

/// Appends a message, now and then in fragments with pings between them; `pings` counts those.
pub(crate) fn message(wire: &mut Vec<u8>, piece: Piece<'_>, pings: &mut u64, random: &mut Random) {
    let opcode = if piece.is_text {
        Opcode::Text
    } else {
        Opcode::Binary
    };
    if !random.percent(15) {
        return frame(wire, opcode, true, piece.payload, random.next());
    }
    let mut rest = piece.payload;
    let mut opcode = opcode;
    for _ in 0..random.between(1, 5) {
        // Also one that is empty, and in the middle of a character.
        let (fragment, behind) = rest.split_at(random.between(0, rest.len() + 1));
        frame(wire, opcode, false, fragment, random.next());
        (opcode, rest) = (Opcode::Continuation, behind);
        if random.percent(30) {
            ping(wire, pings, random);
        }
    }
    frame(wire, opcode, true, rest, random.next());
}

/// Appends a ping that carries its number, from 1.
pub(crate) fn ping(wire: &mut Vec<u8>, pings: &mut u64, random: &mut Random) {
    *pings += 1;
    frame(
        wire,
        Opcode::Ping,
        true,
        &pings.to_be_bytes(),
        random.next(),
    );
}

/// Appends a Close, an empty one without a code.
pub(crate) fn close(wire: &mut Vec<u8>, code: Option<u16>, mask: u64) {
    let code = code.map(u16::to_be_bytes);
    let body = code.as_ref().map_or(&[][..], |code| code);
    frame(wire, Opcode::Close, true, body, mask);
}

/// What breaks the protocol, and the code that answers it.
pub(crate) const VIOLATIONS: [(&[u8], u16); 9] = [
    // Unmasked.
    (b"\x81\x02hi", 1002),
    // A reserved bit.
    (b"\xa1\x80\0\0\0\0", 1002),
    // An unknown opcode.
    (b"\x83\x80\0\0\0\0", 1002),
    // A continuation of nothing.
    (b"\x80\x80\0\0\0\0", 1002),
    // A ping in fragments.
    (b"\x09\x80\0\0\0\0", 1002),
    // A Close whose code nobody may send.
    (b"\x88\x82\0\0\0\0\x03\xed", 1002),
    // Text that is none.
    (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
    // Text that is none, in a message that goes on.
    (b"\x01\x81\0\0\0\0\xff", 1007),
    // A message of 4 GiB, of which a header comes.
    (b"\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0", 1009),
];

#[cfg(test)]
mod tests {
    use towline_protocol::{Decoder, Event, Limits, Role};

    use super::*;

    #[test]
    fn a_decoder_finds_the_messages_again() {
        let mut random = Random::new(1, 1);
        let (mut wire, mut pings) = (Vec::new(), 0);
        let piece = Piece {
            is_text: true,
            payload: "größer als €".as_bytes(),
        };
        for _ in 0..100 {
            message(&mut wire, piece, &mut pings, &mut random);
        }
        close(&mut wire, Some(4000), 7);

        let mut decoder = Decoder::new(Role::Server, Limits::default());
        let (mut messages, mut pinged, mut at) = (0, 0, 0);
        while at < wire.len() {
            let decoded = decoder.decode(&mut wire[at..]).unwrap();
            at += decoded.consumed;
            match decoded.event.unwrap() {
                Event::Message(message) => {
                    assert!(piece.is(&message));
                    messages += 1;
                }
                Event::Ping(payload) => {
                    pinged += 1;
                    assert_eq!(*payload, u64::to_be_bytes(pinged));
                }
                Event::Close(close) => assert_eq!(close.unwrap().code(), 4000.into()),
                Event::Pong(_) => panic!("a pong"),
            }
        }
        assert_eq!((messages, pinged), (100, pings));
        assert!(pings > 0);
    }
}
