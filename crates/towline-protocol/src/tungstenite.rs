//! Messages and closes to and from those of tungstenite. No message's payload is copied.

use std::error::Error;
use std::fmt;

use tungstenite::Utf8Bytes;
use tungstenite::protocol::frame::coding;

use crate::close::{CloseCode, CloseFrame, InvalidClose};
use crate::message::{Message, Text};

/// Reads a text once: tungstenite has no safe way to take it without looking.
impl From<Message> for tungstenite::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.into()),
            Message::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

/// ```
/// use towline_protocol::Message;
///
/// let text = Message::try_from(tungstenite::Message::text("hello"))?;
/// assert_eq!(text, Message::from("hello"));
///
/// let ping = tungstenite::Message::Ping("are you there?".into());
/// assert_eq!(Message::try_from(ping.clone()).unwrap_err().into_inner(), ping);
/// # Ok::<(), towline_protocol::NotAMessage>(())
/// ```
impl TryFrom<tungstenite::Message> for Message {
    type Error = NotAMessage;

    fn try_from(message: tungstenite::Message) -> Result<Self, NotAMessage> {
        match message {
            tungstenite::Message::Text(text) => Ok(Self::Text(text.into())),
            tungstenite::Message::Binary(bytes) => Ok(Self::Binary(bytes)),
            other => Err(NotAMessage(other)),
        }
    }
}

/// Reads the text once: tungstenite has no safe way to take it without looking.
impl From<Text> for Utf8Bytes {
    fn from(text: Text) -> Self {
        Self::try_from(text.into_bytes()).expect("a text is valid UTF-8 by construction")
    }
}

impl From<Utf8Bytes> for Text {
    fn from(text: Utf8Bytes) -> Self {
        Self::from_validated(text.into())
    }
}

impl From<CloseCode> for coding::CloseCode {
    fn from(code: CloseCode) -> Self {
        u16::from(code).into()
    }
}

impl From<coding::CloseCode> for CloseCode {
    fn from(code: coding::CloseCode) -> Self {
        u16::from(code).into()
    }
}

impl From<CloseFrame> for tungstenite::protocol::CloseFrame {
    fn from(frame: CloseFrame) -> Self {
        Self {
            code: frame.code().into(),
            reason: frame.reason().into(),
        }
    }
}

/// Fails for what [`CloseFrame::new`] refuses.
impl TryFrom<tungstenite::protocol::CloseFrame> for CloseFrame {
    type Error = InvalidClose;

    fn try_from(frame: tungstenite::protocol::CloseFrame) -> Result<Self, InvalidClose> {
        Self::new(frame.code.into(), frame.reason.as_str())
    }
}

/// What tungstenite gives beside messages: a control frame, or a raw one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAMessage(tungstenite::Message);

impl NotAMessage {
    /// What was to be converted.
    #[must_use]
    pub fn into_inner(self) -> tungstenite::Message {
        self.0
    }
}

impl fmt::Display for NotAMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            tungstenite::Message::Ping(_) => {
                "a ping is no message, skip it: tungstenite answers it by itself"
            }
            tungstenite::Message::Pong(_) => "a pong is no message, skip it",
            tungstenite::Message::Close(_) => {
                "a close is no message, read on until the stream ends: tungstenite answers it by itself"
            }
            _ => "a raw frame is no message, make it a text or binary message",
        })
    }
}

impl Error for NotAMessage {}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tungstenite::protocol::frame::Frame;

    use super::*;

    #[test]
    fn messages_keep_kind_and_buffer() {
        let bytes = Bytes::from("grüße".to_owned());
        let text = Message::Text(Text::try_from(bytes.clone()).unwrap());
        for message in [text, Message::Binary(bytes.clone())] {
            let theirs = tungstenite::Message::from(message.clone());
            assert_eq!(
                (theirs.is_text(), theirs.is_binary()),
                (message.is_text(), !message.is_text())
            );
            let back = Message::try_from(theirs).unwrap();
            assert_eq!(back, message);
            assert_eq!(back.as_bytes().as_ptr(), bytes.as_ptr(), "a copy");
        }
    }

    #[test]
    fn what_is_no_message_comes_back() {
        let payload = Bytes::from_static(b"payload");
        let cases = [
            (tungstenite::Message::Ping(payload.clone()), "ping"),
            (tungstenite::Message::Pong(payload.clone()), "pong"),
            (tungstenite::Message::Close(None), "close"),
            (tungstenite::Message::Frame(Frame::ping(payload)), "frame"),
        ];
        for (theirs, named) in cases {
            let error = Message::try_from(theirs.clone()).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert_eq!(error.into_inner(), theirs);
        }
    }

    #[test]
    fn codes_are_the_same_numbers() {
        for number in 0..=u16::MAX {
            let theirs = coding::CloseCode::from(CloseCode::from(number));
            assert_eq!(u16::from(theirs), number);
            assert_eq!(CloseCode::from(theirs), CloseCode::from(number));
        }
    }

    #[test]
    fn close_frames_keep_code_and_reason() {
        for ours in [
            CloseFrame::from_static(CloseCode::GOING_AWAY, "moved"),
            CloseFrame::new(4000.into(), "bye".to_owned()).unwrap(),
        ] {
            let theirs = tungstenite::protocol::CloseFrame::from(ours.clone());
            assert_eq!(theirs.reason.as_str(), ours.reason());
            assert_eq!(CloseFrame::try_from(theirs), Ok(ours));
        }

        let never_sent = tungstenite::protocol::CloseFrame {
            code: coding::CloseCode::Status,
            reason: "".into(),
        };
        assert_eq!(
            CloseFrame::try_from(never_sent),
            Err(InvalidClose::Code(CloseCode::NO_STATUS))
        );
    }
}
