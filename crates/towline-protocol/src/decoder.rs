//! Bytes to messages and control frames.

mod accept;
mod arena;
mod partial;
mod small;
mod spare;
mod whole;

use std::fmt;
use std::mem;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};

use self::partial::{Partial, PartialHeader, append_control};
use crate::close::CloseFrame;
#[cfg(feature = "deflate")]
use crate::deflate::{Inflater, PerMessageDeflate};
use crate::frame::Opcode;
use crate::mask::Mask;
use crate::message::{Message, Text};
use crate::violation::Violation;

/// Which end of the connection decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// A server, which gets masked frames.
    Server,
    /// A client, which gets frames without a mask.
    Client,
}

/// What a decoder takes from its peer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The biggest message in bytes, inclusive. Default: 1 MiB.
    pub max_message_size: usize,
    /// The biggest frame of a message in bytes, inclusive. Default: `None`, as big as a message.
    pub max_frame_size: Option<usize>,
    /// The most frames that one message comes in, empty ones counted. Default: 131 072.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 1 << 20,
            max_frame_size: None,
            max_fragments: 131_072,
        }
    }
}

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "who drives a decoder has to deal with all that a peer can send"
)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A ping, to be answered by a pong of the same payload.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame, with `None` for an empty one. It is the last event.
    Close(Option<CloseFrame>),
}

/// What a call of [`Decoder::decode`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of the input are done with: all of them when there is no event.
    pub consumed: usize,
    /// The first event that these bytes completed.
    pub event: Option<Event>,
    /// The number of frames that began in these bytes, plus the number of final deflate blocks that ended in them. Small
    /// ones take more work than their length tells.
    pub frames: usize,
}

/// Decodes frames, joins fragments, and refuses what breaks the protocol or a limit.
///
/// ```
/// use towline_protocol::{Decoder, Event, Limits, Role};
///
/// // "Hello" in two fragments with a ping between them, as a server sends them.
/// let mut input = *b"\x01\x03Hel\x89\x00\x80\x02lo";
/// let mut input = &mut input[..];
/// let mut decoder = Decoder::new(Role::Client, Limits::default());
/// let mut events = Vec::new();
/// while !input.is_empty() {
///     let decoded = decoder.decode(input)?;
///     events.extend(decoded.event);
///     input = &mut input[decoded.consumed..];
/// }
///
/// assert_eq!(events, [Event::Ping("".into()), Event::Message("Hello".into())]);
/// # Ok::<(), towline_protocol::Violation>(())
/// ```
///
/// # Memory
///
/// Between messages a decoder owns no heap. Within one it holds at most twice what has arrived of it, and up to 125
/// bytes of a control frame; what a header declares reserves nothing.
///
/// The buffers of messages of 16 KiB and more that were dropped, up to 4 MiB a thread, are used for the next ones, each for
/// messages of at least half its size. A few messages may have such a buffer before they have arrived: all decoders of the
/// process together hold 16 MiB so, at most.
///
/// Messages of up to 1 KiB share buffers of 4 KiB, each of which lives until the last message in it is dropped. Who
/// keeps a few of many small messages for long copies those.
pub struct Decoder {
    role: Role,
    limits: Limits,
    /// From where on a length is none of a small message.
    small_end: u8,
    /// The longest message that comes the short way.
    max_whole: u16,
    state: State,
    /// The message in progress, from the header of its first frame to the end of its last.
    message: Option<Partial>,
    /// The payload of the control frame in progress, still masked.
    control: Vec<u8>,
    /// What compressed messages go through, where compression was negotiated.
    #[cfg(feature = "deflate")]
    inflater: Option<Box<Inflater>>,
}

/// What comes next.
#[derive(Clone, Copy)]
enum State {
    /// A frame's header, of which this much has arrived.
    Header(PartialHeader),
    /// A frame's payload.
    Payload(Frame),
    /// Nothing: the peer has sent its close frame.
    Closed,
    /// Nothing: the peer has broken the protocol.
    Failed(Violation),
}

impl State {
    const NEXT_FRAME: Self = Self::Header(PartialHeader::EMPTY);
}

/// The frame whose payload is arriving.
#[derive(Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: Option<Mask>,
    /// It begins a compressed message.
    is_compressed: bool,
    /// How much of the payload is missing.
    missing: usize,
}

/// Why there is an inflater.
#[cfg(feature = "deflate")]
const NEGOTIATED: &str = "a message is only compressed where compression was negotiated";

impl Decoder {
    /// A decoder at the beginning of a connection.
    #[must_use]
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            small_end: small::end(role, whole::max(&limits)),
            max_whole: whole::max(&limits),
            state: State::NEXT_FRAME,
            message: None,
            control: Vec::new(),
            #[cfg(feature = "deflate")]
            inflater: None,
        }
    }

    /// Takes compressed messages as well, as agreed with the peer.
    ///
    /// The limit of size holds for what a message inflates to, which is checked as it does: at most 16 KiB past the limit
    /// are ever there. A compressed frame may be an eighth longer than the limit, unless that of frames is set.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[must_use]
    pub fn with_deflate(mut self, agreed: &PerMessageDeflate) -> Self {
        self.inflater = Some(Box::new(Inflater::new(agreed, self.role)));
        self
    }

    /// Consumes bytes from the front of `input`, unmasking them in place, until one event is complete or the input
    /// is used up.
    ///
    /// Bytes that were put into [`payload_buf`](Self::payload_buf) come first, so `input` may be empty. After a
    /// close frame everything is consumed and ignored.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. The connection has to be failed: all further calls return the same.
    ///
    /// # Panics
    ///
    /// What [`payload_buf`](Self::payload_buf) returned was used for something else than appending to it.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Violation> {
        if self.is_between_messages()
            && let Some((consumed, message)) = self.next_whole(input)
        {
            return Ok(Decoded {
                consumed,
                event: Some(Event::Message(message)),
                frames: 1,
            });
        }
        let decoded = self.next_event(input);
        if let Err(violation) = decoded {
            self.end(State::Failed(violation));
        }
        decoded
    }

    /// The buffer to read into directly, which saves copying: there is one while much of a message has arrived and
    /// much of its frame is missing.
    ///
    /// It takes no more than the rest of the frame, and about as much as the message has already. The next call of
    /// [`decode`](Self::decode), be it without input, deals with what was appended. Where this is `None`, bytes that
    /// are read go to [`decode`](Self::decode); so it is whenever that has just returned an event.
    pub fn payload_buf(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        match (&self.state, &mut self.message) {
            (State::Payload(frame), Some(message))
                if !frame.opcode.is_control() && !message.is_compressed =>
            {
                let room = message.reserve_for_reading(frame)?;
                Some((&mut message.payload).limit(room))
            }
            _ => None,
        }
    }

    /// The bytes of heap that the decoder holds; of a buffer that the thread had already, those that are used.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let message = self.message.as_ref().map_or(0, Partial::buffered);
        message + self.control.capacity()
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn is_mid_message(&self) -> bool {
        self.message.is_some()
    }

    fn next_event(&mut self, input: &mut [u8]) -> Result<Decoded, Violation> {
        let mut consumed = 0;
        let mut frames = 0;
        loop {
            let rest = &mut input[consumed..];
            match &mut self.state {
                State::Header(partial) => {
                    let Some((header, size)) = partial.complete(rest)? else {
                        break;
                    };
                    consumed += size;
                    let frame = self.accept(&header)?;
                    frames += 1;
                    self.begin(frame);
                }
                State::Payload(frame) => {
                    let frame = *frame;
                    let (taken, event) = self.take_payload(frame, rest)?;
                    consumed += taken;
                    frames += self.take_final_blocks();
                    if event.is_some() || consumed == input.len() {
                        return Ok(Decoded {
                            consumed,
                            event,
                            frames,
                        });
                    }
                }
                State::Closed => break,
                State::Failed(violation) => return Err(*violation),
            }
        }
        Ok(Decoded {
            consumed: input.len(),
            event: None,
            frames,
        })
    }

    /// The long way begins: the payload, or the message, comes in parts.
    ///
    /// This and what follows is not inlined, to leave the registers to the short way.
    #[inline(never)]
    fn begin(&mut self, frame: Frame) {
        match (frame.opcode, &mut self.message) {
            (Opcode::Text, _) => self.message = Some(Partial::text(frame.is_compressed)),
            (Opcode::Binary, _) => self.message = Some(Partial::binary(frame.is_compressed)),
            (Opcode::Continuation, Some(message)) => message.frames += 1,
            _ => {}
        }
        self.state = State::Payload(frame);
    }

    /// Takes payload of `frame` from the front of `input`, and tells how much, and what it completed.
    #[inline(never)]
    fn take_payload(
        &mut self,
        mut frame: Frame,
        input: &mut [u8],
    ) -> Result<(usize, Option<Event>), Violation> {
        let taken = match &mut self.message {
            #[cfg(feature = "deflate")]
            Some(message) if message.is_compressed && !frame.opcode.is_control() => {
                let inflater = self.inflater.as_deref_mut().expect(NEGOTIATED);
                message.inflate(&mut frame, input, inflater, self.limits.max_message_size)?
            }
            Some(message) if !frame.opcode.is_control() => message.append(&mut frame, input)?,
            _ => append_control(&mut self.control, &mut frame, input),
        };
        if frame.missing > 0 {
            self.state = State::Payload(frame);
            return Ok((taken, None));
        }
        self.state = State::NEXT_FRAME;
        Ok((taken, self.finish(&frame)?))
    }

    #[cfg(feature = "deflate")]
    fn take_final_blocks(&mut self) -> usize {
        let inflater = self.inflater.as_deref_mut();
        inflater.map_or(0, Inflater::take_final_blocks)
    }

    #[cfg(not(feature = "deflate"))]
    #[allow(clippy::unused_self, reason = "as with compression")]
    fn take_final_blocks(&mut self) -> usize {
        0
    }

    /// What a frame completed whose payload is there.
    fn finish(&mut self, frame: &Frame) -> Result<Option<Event>, Violation> {
        match frame.opcode {
            Opcode::Ping => Ok(Some(Event::Ping(mem::take(&mut self.control).into()))),
            Opcode::Pong => Ok(Some(Event::Pong(mem::take(&mut self.control).into()))),
            Opcode::Close => {
                let close = CloseFrame::parse(&self.control)?;
                // Section 1.4: "after receiving a control frame indicating the connection should be closed, a peer
                // discards any further data received."
                self.end(State::Closed);
                Ok(Some(Event::Close(close)))
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if frame.fin => {
                #[cfg(feature = "deflate")]
                if let Some(message) = &mut self.message
                    && message.is_compressed
                {
                    let inflater = self.inflater.as_deref_mut().expect(NEGOTIATED);
                    message.inflate_end(inflater, self.limits.max_message_size)?;
                }
                let message = self.message.take().map(Partial::finish).transpose()?;
                Ok(message.map(Event::Message))
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(None),
        }
    }

    /// Nothing is decoded any more, so nothing is kept.
    fn end(&mut self, state: State) {
        self.state = state;
        self.message = None;
        self.control = Vec::new();
        #[cfg(feature = "deflate")]
        {
            self.inflater = None;
        }
    }
}

/// The message of a payload that is checked.
#[inline]
fn message(is_text: bool, payload: Bytes) -> Message {
    if is_text {
        Message::Text(Text::from_validated(payload))
    } else {
        Message::Binary(payload)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("role", &self.role)
            .field("limits", &self.limits)
            .field("is_mid_message", &self.is_mid_message())
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
