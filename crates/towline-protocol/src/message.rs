//! A message as the application sees it.

use std::fmt;

use bytes::Bytes;

/// A whole message.
///
/// ```
/// use towline_protocol::Message;
///
/// let message = Message::from("hello");
/// assert!(message.is_text());
/// assert_eq!(message.as_bytes(), b"hello");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 6455 has two kinds of data, and a match should name both"
)]
pub enum Message {
    /// UTF-8 text.
    Text(Text),
    /// Bytes whose meaning is the application's.
    Binary(Bytes),
}

impl Message {
    /// The length of the payload in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a text message.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The payload, at no cost.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, at no cost.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// An empty binary message.
impl Default for Message {
    fn default() -> Self {
        Self::Binary(Bytes::new())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Binary(bytes) => debug_payload(f, "Binary", bytes),
        }
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

/// The payload of a text message: bytes that are known to be UTF-8.
///
/// A text that came from the wire shares its buffer: cloning it and taking its bytes are free. Looking at it as a
/// `&str` is not, since without unsafe code the bytes have to be [validated once more](Self::as_str).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Bytes);

impl Text {
    /// A text that borrows from the program itself.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A text of bytes that have been validated already.
    pub(crate) const fn from_validated(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as bytes, at no cost.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text as a string.
    ///
    /// Reads the whole text: it is validated again, by SIMD instructions at gigabytes a second. Call it
    /// once and keep the `&str`; to pass a text on, [`as_bytes`](Self::as_bytes) or the `Text` itself will do.
    #[must_use]
    #[allow(
        clippy::missing_panics_doc,
        reason = "a text is valid UTF-8 by construction"
    )]
    pub fn as_str(&self) -> &str {
        simdutf8::basic::from_utf8(&self.0).expect("a text is valid UTF-8 by construction")
    }

    /// The text as bytes, at no cost.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_payload(f, "Text", &self.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl TryFrom<Bytes> for Text {
    type Error = InvalidText;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        if simdutf8::basic::from_utf8(&bytes).is_ok() {
            Ok(Self(bytes))
        } else {
            Err(InvalidText(bytes))
        }
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// Bytes that are no [`Text`], since they are not UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidText(Bytes);

impl InvalidText {
    /// The bytes as they were given.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_payload(f, "InvalidText", &self.0)
    }
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes that are not utf-8, send them as binary",
            self.0.len()
        )
    }
}

impl std::error::Error for InvalidText {}

/// `Text(5, "hello")`: a megabyte in a log helps nobody, so only the beginning is shown.
fn debug_payload(f: &mut fmt::Formatter<'_>, name: &str, payload: &[u8]) -> fmt::Result {
    const SHOWN: usize = 32;

    let shown = payload.get(..SHOWN).unwrap_or(payload);
    write!(f, "{name}({}, \"{}\"", payload.len(), shown.escape_ascii())?;
    f.write_str(if shown.len() < payload.len() {
        "..)"
    } else {
        ")"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_or_the_bytes_come_back() {
        let valid = Bytes::from_static("grüße".as_bytes());
        let text = Text::try_from(valid.clone()).unwrap();
        assert_eq!(text, "grüße");
        assert_eq!(text.as_str(), "grüße");
        assert_eq!(text.to_string(), "grüße");
        assert_eq!(text.into_bytes(), valid);

        let invalid = Bytes::from_static(b"\xed\xa0\x80");
        let error = Text::try_from(invalid.clone()).unwrap_err();
        assert_eq!(error.into_bytes(), invalid);
    }

    #[test]
    fn conversions_keep_the_kind() {
        for text in [
            Message::from("hi"),
            Message::from(String::from("hi")),
            Message::from(Text::from_static("hi")),
        ] {
            assert!(text.is_text());
            assert_eq!((text.len(), text.as_bytes()), (2, &b"hi"[..]));
            assert_eq!(text.into_bytes(), "hi");
        }
        for binary in [
            Message::from(&b"hi"[..]),
            Message::from(b"hi".to_vec()),
            Message::from(Bytes::from_static(b"hi")),
        ] {
            assert!(!binary.is_text());
            assert_eq!((binary.len(), binary.as_bytes()), (2, &b"hi"[..]));
            assert_ne!(binary, Message::from("hi"));
            assert_eq!(binary.into_bytes(), "hi");
        }
        assert!(Message::from("").is_empty());
    }

    #[test]
    fn debug_is_short() {
        assert_eq!(format!("{:?}", Message::from("hi\n")), r#"Text(3, "hi\n")"#);
        assert_eq!(
            format!("{:?}", Message::from(&b"\0\xff"[..])),
            r#"Binary(2, "\x00\xff")"#
        );

        let long = format!("{:?}", Message::from("x".repeat(1 << 20)));
        assert!(
            long.starts_with("Text(1048576, \"xxx") && long.ends_with("x\"..)"),
            "{long}"
        );
        assert!(long.len() < 200);
    }
}
