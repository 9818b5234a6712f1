//! Our decoder and tungstenite see the same in a stream, except where they differ on purpose.
//!
//! Those places are [`as_the_peer_sees`], [`broken_unseen`] and the close codes in [`agree`].

use towline_protocol::{Decoded, Event, Limits, Violation};

use crate::frame::{self, CONTINUATION};
use crate::peer::{self, Heard, Seen};
use crate::stream::Stream;

/// Decodes the stream with ours, then with tungstenite up to the frame where ours ended.
pub(crate) fn check(input: &[u8]) {
    let Some(stream) = Stream::parse(input) else {
        return;
    };
    let ours = decode(&stream);

    // Ours refuses a header as soon as it is there, the peer once the payload is: it gets one.
    let mut wire = stream.wire.clone();
    if ours.violation.is_some() {
        wire.resize(ours.end.min(stream.wire.len() + MOST_MISSING), 0);
    }
    let theirs = peer::read(&stream, &wire);
    assert!(agree(&ours, &theirs), "{ours:?}, but {theirs:?}");
}

/// More than any limit of a frame lets through.
const MOST_MISSING: usize = 2 << 20;

/// What ours made of a stream.
#[derive(Debug, Default)]
struct Ours {
    seen: Vec<Seen>,
    violation: Option<Violation>,
    /// Where the frame ends that is the last one.
    end: usize,
    /// The rules that this frame breaks without the peer's noticing.
    unseen: Vec<Violation>,
}

/// Decodes frame by frame.
fn decode(stream: &Stream) -> Ours {
    let mut decoder = stream.decoder();
    let mut wire = stream.wire.clone();
    let mut ours = Ours::default();
    let mut fragments = 0;
    while ours.end < wire.len() && ours.violation.is_none() {
        let mut at = ours.end;
        let (header, len) = frame::sizes(&wire[at..]);
        fragments = match wire[at] & 15 {
            CONTINUATION => fragments + 1,
            opcode if opcode < 8 => 1,
            _ => fragments,
        };
        ours.end = at.saturating_add(header).saturating_add(len);
        ours.unseen = broken_unseen(&wire[at..], fragments, stream.limits);
        let has_header = at + header <= wire.len();

        let end = ours.end.min(wire.len());
        while at < end && ours.violation.is_none() {
            match decoder.decode(&mut wire[at..end]) {
                Ok(Decoded {
                    consumed, event, ..
                }) => {
                    at += consumed;
                    ours.seen.extend(event.as_ref().map(Seen::from));
                    if let Some(Event::Close(_)) = event {
                        return ours;
                    }
                }
                Err(violation) => ours.violation = Some(violation),
            }
        }
        let accepted = has_header && ours.violation.is_none();
        assert!(!accepted || ours.unseen.is_empty(), "accepted: {ours:?}");
    }
    ours
}

/// The rules that the frame at the front of `wire` breaks, and that the peer does not know.
fn broken_unseen(wire: &[u8], fragments: u32, limits: Limits) -> Vec<Violation> {
    let (header, len) = frame::sizes(wire);
    let is_masked = wire.get(1).is_some_and(|byte| byte & 128 != 0);
    let shortest = match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let is_control = wire[0] & 8 != 0;

    let mut broken = Vec::new();
    // Section 5.2: "in all cases, the minimal number of bytes MUST be used to encode the length". The peer takes any.
    if header - if is_masked { 4 } else { 0 } > shortest {
        broken.push(Violation::LengthNotMinimal);
    }
    // Section 10.4 leaves it to an implementation what it limits. The peer does not limit fragments ...
    if !is_control && fragments > limits.max_fragments.max(1) {
        broken.push(Violation::TooManyFragments);
    }
    // ... and holds control frames to the limit of frames as well, so it is given no smaller one than these need.
    if !is_control && limits.max_frame_size.is_some_and(|most| len > most) {
        broken.push(Violation::FrameTooBig);
    }
    broken
}

/// What the peer sees of what ours saw. Section 7.4.2 leaves the codes 1000-2999 to the RFC and its registry; that has got
/// 1014 since, which the peer does not know.
pub(super) fn as_the_peer_sees(ours: &[Seen]) -> Vec<Seen> {
    let mut seen = ours.to_vec();
    if let Some(close @ Seen::Close(Some((1014, _)))) = seen.last_mut() {
        *close = invalid_code();
    }
    seen
}

/// What the peer reports in place of a close code that it does not take.
fn invalid_code() -> Seen {
    Seen::Close(Some((1002, "Protocol violation".to_owned())))
}

fn agree(ours: &Ours, theirs: &Heard) -> bool {
    let refused = theirs.refused.is_some() && theirs.seen == ours.seen;
    match ours.violation {
        None => theirs.refused.is_none() && theirs.seen == as_the_peer_sees(&ours.seen),
        // What comes of the frame that the peer lets through is its own affair.
        Some(violation) if ours.unseen.contains(&violation) => theirs.seen.starts_with(&ours.seen),
        // Section 7.4.1: 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame by an endpoint".
        // The peer reports and answers another code.
        Some(Violation::BadCloseCode(_)) => {
            refused || theirs.seen == [&ours.seen[..], &[invalid_code()]].concat()
        }
        Some(_) => refused,
    }
}
