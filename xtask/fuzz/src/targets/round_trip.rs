//! What our encoders write is what RFC 6455 draws, and both decoders read it back.
//!
//! An input is the tape of choices itself: whatever is on it makes a conversation with nothing wrong.

use towline_protocol::{
    CloseCode, CloseFrame, Limits, Opcode, Role, encode_close, encode_frame, encode_header,
};

use super::differential::as_the_peer_sees;
use crate::choices::Choices;
use crate::drive;
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, masked_payload};
use crate::generate;
use crate::peer::{self, Seen};
use crate::stream::Stream;

/// A tape.
pub(crate) fn generate(choices: &mut Choices<'_>) -> Vec<u8> {
    let len = choices.up_to(400);
    (0..len).map(|_| choices.byte()).collect()
}

/// Writes the conversation and reads it back.
pub(crate) fn check(input: &[u8]) {
    let choices = &mut Choices::new(input);
    let role = choices.pick(&[Role::Server, Role::Client]);
    let cuts = generate::cuts(choices);
    let frames = generate::conversation(choices, role);

    let mut wire = Vec::new();
    for frame in &frames {
        encode(frame, &mut wire);
    }
    assert!(wire == generate::encode(&frames), "other bytes: {frames:?}");

    let said = said(&frames);
    let stream = Stream {
        role,
        limits: Limits::default(),
        cuts,
        wire,
    };
    let ours = drive::decode(&stream, &stream.cuts);
    let seen: Vec<Seen> = ours.events.iter().map(Seen::from).collect();
    assert_eq!((&seen, ours.violation), (&said, None));

    let theirs = peer::read(&stream, &stream.wire);
    assert!(theirs.refused.is_none(), "{:?}", theirs.refused);
    assert_eq!(theirs.seen, as_the_peer_sees(&said));
}

/// Encodes a frame by the function that is for it.
fn encode(frame: &Frame, wire: &mut Vec<u8>) {
    let opcode = match frame.opcode {
        CONTINUATION => Opcode::Continuation,
        TEXT => Opcode::Text,
        BINARY => Opcode::Binary,
        CLOSE => return encode_close(wire, close(frame).as_ref(), frame.mask),
        PING => Opcode::Ping,
        PONG => Opcode::Pong,
        opcode => unreachable!("a conversation has no opcode {opcode}"),
    };
    if frame.fin {
        return encode_frame(wire, opcode, &frame.payload, frame.mask);
    }
    wire.extend_from_slice(&encode_header(
        opcode,
        frame.payload.len(),
        false,
        frame.mask,
    ));
    match frame.mask {
        Some(key) => wire.extend(masked_payload(&frame.payload, key)),
        None => wire.extend_from_slice(&frame.payload),
    }
}

fn close(frame: &Frame) -> Option<CloseFrame> {
    let (code, reason) = body(frame)?;
    Some(CloseFrame::new(CloseCode::from(code), reason).expect("a close that may be sent"))
}

fn body(frame: &Frame) -> Option<(u16, String)> {
    let (&code, reason) = frame.payload.split_first_chunk()?;
    let reason = String::from_utf8(reason.to_vec()).expect("a reason that is text");
    Some((u16::from_be_bytes(code), reason))
}

/// What the frames say, put together without a decoder.
fn said(frames: &[Frame]) -> Vec<Seen> {
    let mut said = Vec::new();
    let mut message = Vec::new();
    let mut is_text = false;
    for frame in frames {
        match frame.opcode {
            PING => said.push(Seen::Ping(frame.payload.clone())),
            PONG => said.push(Seen::Pong(frame.payload.clone())),
            CLOSE => said.push(Seen::Close(body(frame))),
            opcode => {
                if opcode != CONTINUATION {
                    is_text = opcode == TEXT;
                }
                message.extend_from_slice(&frame.payload);
                if frame.fin {
                    let message = std::mem::take(&mut message);
                    said.push(if is_text {
                        Seen::Text(message)
                    } else {
                        Seen::Binary(message)
                    });
                }
            }
        }
    }
    said
}
