//! Messages on their way out where compression was negotiated: queued as they are under the lock, compressed by the driver
//! outside of it, in the order in which they were sent.

use std::collections::VecDeque;
use std::mem;

use towline_protocol::deflate::{Compression, Deflater, PerMessageDeflate};
use towline_protocol::{CloseFrame, Message, Opcode, Role};

use crate::outbox::Outbox;
use crate::sender::SendOptions;

/// How much is compressed before other sockets of the thread have their turn.
const PIECE: usize = 64 * 1024;

/// What even an empty message counts for.
const OVERHEAD: usize = 2;

/// What is to go out, in its order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
}

#[derive(Debug)]
enum Item {
    Message(Message, SendOptions),
    Close {
        /// The pings and pongs that were queued before it, beside the messages.
        before: Outbox,
        close: Option<CloseFrame>,
    },
}

impl Queue {
    pub(crate) fn push(&mut self, message: Message, options: SendOptions) {
        self.bytes += message.len() + OVERHEAD;
        self.items.push_back(Item::Message(message, options));
    }

    /// The last item. It takes along the control frames of `controls`, which would otherwise follow it.
    pub(crate) fn push_close(&mut self, controls: &mut Outbox, close: Option<&CloseFrame>) {
        let before = mem::take(controls);
        self.bytes += before.len() + OVERHEAD;
        let close = close.cloned();
        self.items.push_back(Item::Close { before, close });
    }

    /// An upper bound of what is queued, and nothing only if nothing is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The driver's side of the queue.
#[derive(Debug)]
pub(crate) struct Deflating {
    settings: Compression,
    deflater: Deflater,
    queue: Queue,
    /// How much of the first message is compressed.
    done: usize,
    /// The compressed bytes of that message. They wait for the last of them, because the frame's header has their length:
    /// Apple's clients fail on a compressed message in more than one frame.
    compressed: Vec<u8>,
}

impl Deflating {
    pub(crate) fn new(agreed: &PerMessageDeflate, settings: Compression) -> Self {
        Self {
            settings,
            deflater: Deflater::new(agreed, &settings, Role::Server),
            queue: Queue::default(),
            done: 0,
            compressed: Vec::new(),
        }
    }

    /// Takes all there is, when what was taken before is through.
    pub(crate) fn take(&mut self, queue: &mut Queue) {
        if self.queue.items.is_empty() {
            self.queue = mem::take(queue);
        }
    }

    /// The number of bytes that were taken and are not encoded as frames.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes + self.compressed.len()
    }

    /// Encodes into `outbox`, until that is enough for now; how much was compressed.
    #[inline(never)]
    pub(crate) fn encode(&mut self, outbox: &mut Outbox) -> usize {
        let mut compressed = 0;
        while compressed < PIECE
            && outbox.len() < PIECE
            && let Some(item) = self.queue.items.front_mut()
        {
            match item {
                Item::Message(message, options)
                    if options.compress && self.settings.compresses(message.len()) =>
                {
                    let piece = PIECE.min(message.len() - self.done);
                    let end = self.done + piece;
                    let is_last = end == message.len();
                    let part = &message.as_bytes()[self.done..end];
                    self.deflater.compress(&mut self.compressed, part, is_last);
                    compressed += piece;
                    self.queue.bytes -= piece;
                    if !is_last {
                        self.done = end;
                        continue;
                    }
                    self.done = 0;
                    let opcode = match message {
                        Message::Text(_) => Opcode::Text,
                        Message::Binary(_) => Opcode::Binary,
                    };
                    outbox.push_compressed(opcode, mem::take(&mut self.compressed));
                }
                Item::Message(message, _) => {
                    self.queue.bytes -= message.len();
                    outbox.push_message(message);
                }
                Item::Close { before, close } => {
                    outbox.push_controls(before);
                    self.queue.bytes -= before.len();
                    outbox.push_close(close.as_ref());
                }
            }
            self.queue.bytes -= OVERHEAD;
            self.queue.items.pop_front();
        }
        if self.queue.items.is_empty() {
            // An idle socket holds no buffer.
            self.queue = Queue::default();
        }
        compressed
    }
}

#[cfg(test)]
mod tests {
    use towline_protocol::{Decoded, Decoder, Event, Limits};

    use super::*;

    fn agreed() -> (PerMessageDeflate, Compression) {
        let mut headers = http::HeaderMap::new();
        for (name, value) in [
            ("host", "example.com"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-extensions", "permessage-deflate"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let handshake = towline_protocol::handshake::Request {
            method: &http::Method::GET,
            uri: &"/".parse().unwrap(),
            version: http::Version::HTTP_11,
            headers: &headers,
            protocol: None,
        };
        let settings = Compression::new();
        let handshake = handshake.check().unwrap();
        (handshake.negotiate(&settings).unwrap(), settings)
    }

    /// What a client makes of all that is encoded, and how many rounds that took.
    fn send(queue: &mut Queue) -> (Vec<Event>, usize) {
        let (agreed, settings) = agreed();
        let mut deflating = Deflating::new(&agreed, settings);
        let mut client = Decoder::new(Role::Client, Limits::default()).with_deflate(&agreed);
        let mut events = Vec::new();
        let mut rounds = 0;
        deflating.take(queue);
        while deflating.bytes() > 0 {
            let mut outbox = Outbox::default();
            assert!(deflating.encode(&mut outbox) <= PIECE);
            rounds += 1;
            while !outbox.is_empty() {
                let mut wire = Vec::new();
                for slice in outbox.slices() {
                    wire.extend_from_slice(&slice);
                }
                let mut rest = &mut wire[..];
                while !rest.is_empty() {
                    let Decoded {
                        consumed, event, ..
                    } = client.decode(rest).unwrap();
                    events.extend(event);
                    rest = &mut rest[consumed..];
                }
                outbox.advance(wire.len());
            }
        }
        (events, rounds)
    }

    #[test]
    fn messages_and_the_close_keep_their_order() {
        let text = "again and again, ".repeat(10_000);
        let plain = SendOptions::new().compress(false);
        let mut queue = Queue::default();
        let mut expected = Vec::new();
        for (message, options) in [
            (Message::from("short"), SendOptions::new()),
            (text.as_str().into(), SendOptions::new()),
            (text.as_str().into(), plain),
            (vec![7; 200].into(), SendOptions::new()),
            (Message::default(), SendOptions::new()),
        ] {
            expected.push(Event::Message(message.clone()));
            queue.push(message, options);
        }
        queue.push_close(&mut Outbox::default(), None);
        expected.push(Event::Close(None));

        let (events, rounds) = send(&mut queue);
        assert!(events == expected);
        assert!(rounds >= 4, "{rounds}");
        assert_eq!(queue.bytes(), 0);
    }
}
