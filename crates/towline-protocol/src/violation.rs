//! What a peer can do wrong on the wire, and the close code that it gets for it.

use std::fmt;

use crate::close::CloseCode;
use crate::utf8::InvalidUtf8;

/// A breach of the protocol or of a [limit](crate::Limits), for which the connection has to be failed.
///
/// Nothing after the offending bytes is decoded any more. The peer gets [`close_code`](Self::close_code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A client sent a frame without a mask (RFC 6455 section 5.1).
    UnmaskedClientFrame,
    /// A server sent a frame with a mask (section 5.1).
    MaskedServerFrame,
    /// A reserved bit is set that no extension has given a meaning (section 5.2).
    ReservedBits,
    /// An opcode of 3–7 or 11–15, which have no meaning yet (section 5.2).
    UnknownOpcode(u8),
    /// A continuation frame where no message was begun (section 5.4).
    ContinuationWithoutStart,
    /// A text or binary frame before the fragmented message in progress was ended (section 5.4).
    StartWithinMessage,
    /// A control frame without the FIN bit (section 5.5).
    FragmentedControl,
    /// A control frame with a payload of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A payload length in more bytes than it needs (section 5.2).
    LengthNotMinimal,
    /// A 64-bit payload length with its most significant bit set (section 5.2).
    LengthTopBit,
    /// A close frame with a payload of one byte, too short for a code (section 5.5.1).
    BadCloseBody,
    /// A close frame with a code that must not be sent (section 7.4).
    BadCloseCode(u16),
    /// A text message or a close reason that is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A compressed message that cannot be inflated (RFC 7692 section 7.2.2).
    CorruptData,
    /// A frame past [`Limits::max_frame_size`](crate::Limits::max_frame_size).
    FrameTooBig,
    /// A message past [`Limits::max_message_size`](crate::Limits::max_message_size).
    MessageTooBig,
    /// A message in more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    TooManyFragments,
}

impl Violation {
    /// The code of the close frame that answers this violation: 1002, 1007 or 1009.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::UnmaskedClientFrame
            | Self::MaskedServerFrame
            | Self::ReservedBits
            | Self::UnknownOpcode(_)
            | Self::ContinuationWithoutStart
            | Self::StartWithinMessage
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::BadCloseBody
            | Self::BadCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::CorruptData => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFragments => CloseCode::TOO_BIG,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnmaskedClientFrame => f.write_str("client frame without a mask"),
            Self::MaskedServerFrame => f.write_str("server frame with a mask"),
            Self::ReservedBits => f.write_str("reserved bit set without an extension"),
            Self::UnknownOpcode(opcode) => write!(f, "unknown opcode {opcode}"),
            Self::ContinuationWithoutStart => f.write_str("continuation frame without a message"),
            Self::StartWithinMessage => f.write_str("new message within a fragmented message"),
            Self::FragmentedControl => f.write_str("fragmented control frame"),
            Self::ControlTooLong => f.write_str("control frame of more than 125 bytes"),
            Self::LengthNotMinimal => f.write_str("payload length not in its shortest form"),
            Self::LengthTopBit => f.write_str("payload length of more than 63 bits"),
            Self::BadCloseBody => f.write_str("close frame of one byte"),
            Self::BadCloseCode(code) => write!(f, "invalid close code {code}"),
            Self::InvalidUtf8 => f.write_str("invalid utf-8"),
            Self::CorruptData => f.write_str("corrupt compressed data"),
            Self::FrameTooBig => f.write_str("frame too big"),
            Self::MessageTooBig => f.write_str("message too big"),
            Self::TooManyFragments => f.write_str("message in too many fragments"),
        }
    }
}

impl std::error::Error for Violation {}

impl From<InvalidUtf8> for Violation {
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}
