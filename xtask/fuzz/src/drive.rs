//! A stream through our decoder, with what has to hold at every step.

use bytes::BufMut;
use towline_protocol::{Decoded, Decoder, Event, Message, Violation};

use crate::stream::{Cut, Stream};

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event>,
    pub(crate) violation: Option<Violation>,
}

/// Decodes the stream in pieces.
pub(crate) fn decode(stream: &Stream, cuts: &[Cut]) -> Outcome {
    let mut steps = Steps::new(stream);
    let mut wire = stream.wire.clone();
    let mut rest = &mut wire[..];
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() && steps.violation.is_none() {
        let size = match cuts.next().unwrap_or(Cut::Bytes(usize::MAX)) {
            Cut::Bytes(size) => size,
            Cut::Direct => {
                let read = steps.read_directly(rest);
                rest = &mut rest[read..];
                // What was read is settled by a call without input, or with some at once.
                if read > 0 { read % 2 } else { 1000 }
            }
        };
        let (piece, later) = rest.split_at_mut(size.min(rest.len()));
        rest = later;
        steps.decode(piece);
    }
    steps.end();
    Outcome {
        events: steps.events,
        violation: steps.violation,
    }
}

/// A decoder and what it has done.
struct Steps<'a> {
    stream: &'a Stream,
    decoder: Decoder,
    events: Vec<Event>,
    violation: Option<Violation>,
    /// No less than what has arrived of the message in progress.
    arrived: usize,
}

impl<'a> Steps<'a> {
    const fn new(stream: &'a Stream) -> Self {
        Self {
            stream,
            decoder: stream.decoder(),
            events: Vec::new(),
            violation: None,
            arrived: 0,
        }
    }

    /// Appends to the decoder's own buffer, and tells how much.
    fn read_directly(&mut self, wire: &[u8]) -> usize {
        let Some(buf) = self.decoder.payload_buf() else {
            return 0;
        };
        assert!(buf.remaining_mut() > 0, "a buffer to read into has room");
        // The room is there before the bytes are.
        self.check_buffered();
        let Some(mut buf) = self.decoder.payload_buf() else {
            unreachable!("asking for the buffer changes nothing");
        };
        let read = buf.remaining_mut().min(wire.len());
        buf.put_slice(&wire[..read]);
        self.arrived += read;
        read
    }

    /// Decodes one piece to its end, or to a violation.
    fn decode(&mut self, mut piece: &mut [u8]) {
        self.arrived += piece.len();
        loop {
            piece = self.decode_whole(piece);
            match self.decoder.decode(piece) {
                Ok(Decoded {
                    consumed, event, ..
                }) => {
                    assert!(consumed <= piece.len(), "{consumed} of {}", piece.len());
                    self.check_buffered();
                    piece = &mut piece[consumed..];
                    let Some(event) = event else {
                        assert!(piece.is_empty(), "no event, and {} bytes left", piece.len());
                        return;
                    };
                    self.check_event(&event);
                    self.events.push(event);
                    if !self.decoder.is_mid_message() {
                        self.arrived = piece.len();
                    }
                }
                Err(violation) => {
                    self.violation = Some(violation);
                    return;
                }
            }
        }
    }

    /// Takes the shortest way where it leads on, in every other stream; what it leaves.
    fn decode_whole<'b>(&mut self, piece: &'b mut [u8]) -> &'b mut [u8] {
        if !self.stream.wire.len().is_multiple_of(2) {
            return piece;
        }
        let mut messages = Vec::new();
        let taken = self.decoder.decode_whole(piece, &mut messages);
        assert!(taken <= piece.len(), "{taken} of {}", piece.len());
        for event in messages.into_iter().map(Event::Message) {
            self.check_event(&event);
            self.events.push(event);
        }
        if taken > 0 {
            self.arrived = piece.len() - taken;
        }
        &mut piece[taken..]
    }

    /// Within a message a decoder holds at most twice what has arrived of it, and a control frame.
    fn check_buffered(&self) {
        let buffered = self.decoder.buffered();
        let most = self.arrived.min(self.stream.limits.max_message_size);
        let message = if self.decoder.is_mid_message() {
            2 * most
        } else {
            0
        };
        assert!(
            buffered <= message + 125,
            "{buffered} bytes held of {} that arrived",
            self.arrived
        );
    }

    fn check_event(&mut self, event: &Event) {
        assert!(
            !matches!(self.events.last(), Some(Event::Close(_))),
            "an event after the close: {event:?}"
        );
        assert!(
            self.decoder.payload_buf().is_none(),
            "a buffer after an event"
        );
        match event {
            Event::Message(message) => {
                assert!(message.len() <= self.stream.limits.max_message_size);
                if let Message::Text(text) = message {
                    assert!(std::str::from_utf8(text.as_bytes()).is_ok(), "{text:?}");
                }
            }
            Event::Ping(payload) | Event::Pong(payload) => assert!(payload.len() <= 125),
            Event::Close(close) => {
                let receivable =
                    |close: &_| towline_protocol::CloseFrame::code(close).is_receivable();
                assert!(close.as_ref().is_none_or(receivable), "{close:?}");
            }
        }
    }

    /// After a violation or a close a decoder holds nothing, and says the same for ever.
    fn end(&mut self) {
        let closed = matches!(self.events.last(), Some(Event::Close(_)));
        if !closed && self.violation.is_none() {
            return;
        }
        for input in [&b""[..], b"\x81\x00", b"\x81\x80\0\0\0\0", b"\xff\xff\xff"] {
            let expected = match self.violation {
                Some(violation) => Err(violation),
                None => Ok((input.len(), None)),
            };
            let decoded = self.decoder.decode(&mut input.to_vec());
            let decoded = decoded.map(
                |Decoded {
                     consumed, event, ..
                 }| (consumed, event),
            );
            assert_eq!(decoded, expected);
            assert_eq!(self.decoder.buffered(), 0);
            assert!(self.decoder.payload_buf().is_none());
            assert!(!self.decoder.is_mid_message());
        }
    }
}
