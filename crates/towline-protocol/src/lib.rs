//! The WebSocket protocol without IO: bytes in, events out.
//!
//! - [`handshake`]: is this HTTP request an opening handshake, is it a valid one, and what is the answer
//!   (RFC 6455 section 4, RFC 8441);
//! - [`Decoder`]: frames and messages from bytes as they arrive (RFC 6455 section 5);
//! - [`encode_frame`], [`encode_header`], [`encode_close`]: the way back.
//!
//! Nothing here reads a socket, a clock or a runtime, so it serves servers, clients, tests and tools alike.
//!
//! ```
//! use towline_protocol::{Decoder, Event, Limits, Message, Role};
//!
//! // "Hello", unmasked, as a server sends it: the example of RFC 6455 section 5.7.
//! let mut input = *b"\x81\x05Hello";
//! let mut decoder = Decoder::new(Role::Client, Limits::default());
//! let decoded = decoder.decode(&mut input)?;
//!
//! assert_eq!(decoded.consumed, 7);
//! assert_eq!(decoded.event, Some(Event::Message(Message::from("Hello"))));
//! # Ok::<(), towline_protocol::Violation>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `deflate` | compression of messages: the extension permessage-deflate (RFC 7692) |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod close;
mod decoder;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod deflate;
mod encoder;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod utf8;
mod violation;

pub use self::close::{CloseCode, CloseFrame, InvalidClose};
pub use self::decoder::{Decoded, Decoder, Event, Limits, Role};
pub use self::encoder::{encode_close, encode_frame, encode_header};
pub use self::frame::{HeaderBytes, Opcode};
pub use self::message::{InvalidText, Message, Text};
pub use self::violation::Violation;
