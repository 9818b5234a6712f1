//! Close codes and close frames (RFC 6455 sections 5.5.1 and 7.4).

use std::borrow::Cow;
use std::fmt;

use crate::violation::Violation;

/// The status code of a close frame.
///
/// Any number can be named; [`is_receivable`](Self::is_receivable) and [`is_sendable`](Self::is_sendable) say
/// which of them belong on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection was fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint does not accept, such as binary where it reads only text.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the close frame carried no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit the message's type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message that breaks the endpoint's policy, where no other code fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs. Only a client sends it.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; reconnect after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; try another one or later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Whether a close frame with this code is valid: 1000–1003, 1007–1014 and 3000–4999.
    #[must_use]
    pub const fn is_receivable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether an endpoint may close with this code: all that are receivable but 1010, which is the client's.
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        self.is_receivable() && self.0 != Self::MANDATORY_EXTENSION.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// The body of a close frame that has one: a code that may go on the wire, and a reason of at most 123 bytes.
///
/// ```
/// use towline_protocol::{CloseCode, CloseFrame};
///
/// let close = CloseFrame::new(CloseCode::GOING_AWAY, "moved to another room")?;
/// assert_eq!(close.reason(), "moved to another room");
///
/// assert!(CloseFrame::new(CloseCode::NO_STATUS, "").is_err());
/// # Ok::<(), towline_protocol::InvalidClose>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: Cow<'static, str>,
}

impl CloseFrame {
    /// The longest reason in bytes: what two bytes of code leave of a control frame's 125.
    pub const MAX_REASON: usize = 123;

    /// A close frame of this code and reason.
    ///
    /// # Errors
    ///
    /// The code is not [sendable](CloseCode::is_sendable), or the reason is longer than
    /// [`MAX_REASON`](Self::MAX_REASON) bytes.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Result<Self, InvalidClose> {
        let reason = reason.into();
        if !code.is_sendable() {
            return Err(InvalidClose::Code(code));
        }
        if reason.len() > Self::MAX_REASON {
            return Err(InvalidClose::Reason(reason));
        }
        Ok(Self {
            code,
            reason: Cow::Owned(reason),
        })
    }

    /// A close frame whose code and reason are known when the program is written; in a `const` it is checked by the
    /// compiler.
    ///
    /// ```
    /// # use towline_protocol::{CloseCode, CloseFrame};
    /// const IDLE: CloseFrame = CloseFrame::from_static(CloseCode::GOING_AWAY, "idle timeout");
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`new`](Self::new) returns an error.
    #[must_use]
    pub const fn from_static(code: CloseCode, reason: &'static str) -> Self {
        assert!(code.is_sendable(), "this close code must not be sent");
        assert!(
            reason.len() <= Self::MAX_REASON,
            "a close reason has at most 123 bytes"
        );
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// The answer to this close frame when it came from the peer: the same code, and no reason.
    ///
    /// RFC 6455 section 5.5.1: "When sending a Close frame in response, the endpoint typically echos the status code
    /// it received."
    #[must_use]
    pub const fn reply(&self) -> Self {
        Self {
            code: self.code,
            reason: Cow::Borrowed(""),
        }
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason, for logs rather than for people; empty where none was given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Reads the body of a received close frame; `None` is an empty one.
    pub(crate) fn parse(body: &[u8]) -> Result<Option<Self>, Violation> {
        if body.is_empty() {
            return Ok(None);
        }

        // Section 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer (in
        // network byte order) representing a status code with value /code/ defined in Section 7.4."
        let Some((&code, reason)) = body.split_first_chunk() else {
            return Err(Violation::BadCloseBody);
        };
        let code = CloseCode(u16::from_be_bytes(code));
        if !code.is_receivable() {
            return Err(Violation::BadCloseCode(code.0));
        }

        // Section 5.5.1: "Following the 2-byte integer, the body MAY contain UTF-8-encoded data with value /reason/".
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
        Ok(Some(Self {
            code,
            reason: Cow::Owned(reason.to_owned()),
        }))
    }
}

/// The close frame that answers a violation: its code, and its description as the reason.
impl From<Violation> for CloseFrame {
    fn from(violation: Violation) -> Self {
        Self {
            code: violation.close_code(),
            reason: Cow::Owned(violation.to_string()),
        }
    }
}

/// A close frame that must not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidClose {
    /// The code must not appear in a close frame of ours.
    Code(CloseCode),
    /// The reason has more than 123 bytes.
    Reason(String),
}

impl fmt::Display for InvalidClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(
                f,
                "close code {code} must not be sent, use 1000-1003, 1007-1009, 1011-1014 or 3000-4999"
            ),
            Self::Reason(reason) => write!(
                f,
                "close reason of {} bytes, shorten it to {}: {reason:?}",
                reason.len(),
                CloseFrame::MAX_REASON
            ),
        }
    }
}

impl std::error::Error for InvalidClose {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_wire() {
        let receivable: Vec<u16> = (0..=u16::MAX)
            .filter(|&code| CloseCode::from(code).is_receivable())
            .collect();
        let expected: Vec<u16> = (1000..=1003)
            .chain(1007..=1014)
            .chain(3000..=4999)
            .collect();
        assert_eq!(receivable, expected);

        for code in 0..=u16::MAX {
            let code = CloseCode::from(code);
            let sendable = code.is_receivable() && code != CloseCode::MANDATORY_EXTENSION;
            assert_eq!(code.is_sendable(), sendable, "{code}");
        }
    }

    #[test]
    fn new_checks_code_and_reason() {
        let longest = "x".repeat(123);
        let close = CloseFrame::new(CloseCode::NORMAL, longest.as_str()).unwrap();
        assert_eq!(
            (close.code(), close.reason()),
            (CloseCode::NORMAL, longest.as_str())
        );

        for code in [0, 999, 1004, 1005, 1006, 1010, 1015, 2999, 5000] {
            let error = CloseFrame::new(CloseCode::from(code), "").unwrap_err();
            assert_eq!(error, InvalidClose::Code(CloseCode::from(code)));
            assert!(error.to_string().contains(&code.to_string()));
        }

        // 62 characters, but 124 bytes.
        let too_long = "é".repeat(62);
        let error = CloseFrame::new(CloseCode::NORMAL, too_long.clone()).unwrap_err();
        assert!(error.to_string().contains("124 bytes"));
        assert_eq!(error, InvalidClose::Reason(too_long));
    }

    #[test]
    fn parse_reads_exactly_the_body() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));

        let close = CloseFrame::parse(b"\x03\xe8bye").unwrap().unwrap();
        assert_eq!((close.code(), close.reason()), (CloseCode::NORMAL, "bye"));

        let bare = CloseFrame::parse(b"\x0f\xa0").unwrap().unwrap();
        assert_eq!((bare.code(), bare.reason()), (CloseCode::from(4000), ""));
    }

    #[test]
    fn parse_refuses() {
        assert_eq!(CloseFrame::parse(b"\x03"), Err(Violation::BadCloseBody));
        assert_eq!(
            CloseFrame::parse(b"\x03\xed"),
            Err(Violation::BadCloseCode(1005))
        );
        assert_eq!(
            CloseFrame::parse(b"\x03\xe8\xff"),
            Err(Violation::InvalidUtf8)
        );
        assert_eq!(
            CloseFrame::parse(b"\x03\xe8\xe2\x82"),
            Err(Violation::InvalidUtf8)
        );
    }

    #[test]
    fn the_reply_has_the_code_alone() {
        let close = CloseFrame::parse(b"\x03\xf2needed").unwrap().unwrap();
        assert_eq!(close.code(), CloseCode::MANDATORY_EXTENSION);
        assert_eq!(
            (close.reply().code(), close.reply().reason()),
            (close.code(), "")
        );
    }
}
