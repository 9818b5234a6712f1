//! Which offer of a client is accepted, and with which answer (RFC 7692 sections 5 and 7.1).

use std::fmt;

use http::HeaderValue;

use super::{Compression, MAX_WINDOW_BITS, MIN_WINDOW_BITS};

const NAME: &[u8] = b"permessage-deflate";

/// What client and server have agreed on.
///
/// Its [`Display`](fmt::Display) is the value of `Sec-WebSocket-Extensions` that tells the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerMessageDeflate {
    /// Each of the server's messages is compressed by itself.
    pub server_no_context_takeover: bool,
    /// Each of the client's messages is compressed by itself.
    pub client_no_context_takeover: bool,
    /// How far back the server's messages refer, as a power of 2: 9 to 15.
    pub server_max_window_bits: u8,
    /// How far back the client's messages refer, as a power of 2: 9 to 15.
    pub client_max_window_bits: u8,
}

impl PerMessageDeflate {
    /// The answer to the client.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("names and numbers are visible ASCII")
    }
}

impl fmt::Display for PerMessageDeflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.server_max_window_bits < MAX_WINDOW_BITS {
            write!(
                f,
                "; server_max_window_bits={}",
                self.server_max_window_bits
            )?;
        }
        if self.client_max_window_bits < MAX_WINDOW_BITS {
            write!(
                f,
                "; client_max_window_bits={}",
                self.client_max_window_bits
            )?;
        }
        Ok(())
    }
}

/// The offers of permessage-deflate that a client made and that can be understood, in its order of preference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    understood: Vec<Offer>,
    /// The extension being read, if it is this one and all of it was understood so far.
    current: Option<Offer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Whether the client can be asked for a smaller window, and what it has itself.
    client_max_window_bits: Option<u8>,
}

impl Offers {
    /// The next extension begins.
    pub(crate) fn extension(&mut self, name: &[u8]) {
        self.end();
        self.current = (name == NAME).then(Offer::default);
    }

    /// A parameter of the extension.
    pub(crate) fn parameter(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.current = self
            .current
            .take()
            .and_then(|offer| offer.with(name, value));
    }

    /// No more comes.
    pub(crate) fn end(&mut self) {
        self.understood.extend(self.current.take());
    }

    /// The first offer that can be accepted.
    pub(crate) fn negotiate(&self, compression: &Compression) -> Option<PerMessageDeflate> {
        let mut offers = self.understood.iter();
        offers.find_map(|offer| offer.accept(compression))
    }
}

impl Offer {
    /// RFC 7692, 7: "A server MUST decline an extension negotiation offer for this extension if" it "contains an
    /// extension parameter not defined for use in an offer", one "with an invalid value", or "multiple extension
    /// parameters with the same name".
    fn with(mut self, name: &[u8], value: Option<&[u8]>) -> Option<Self> {
        match (name, value) {
            (b"server_no_context_takeover", None) if !self.server_no_context_takeover => {
                self.server_no_context_takeover = true;
            }
            (b"client_no_context_takeover", None) if !self.client_no_context_takeover => {
                self.client_no_context_takeover = true;
            }
            (b"server_max_window_bits", Some(bits)) if self.server_max_window_bits.is_none() => {
                self.server_max_window_bits = Some(window_bits(bits)?);
            }
            // 7.1.2.2: without a value it only says that the client understands it.
            (b"client_max_window_bits", bits) if self.client_max_window_bits.is_none() => {
                self.client_max_window_bits = Some(match bits {
                    Some(bits) => window_bits(bits)?,
                    None => MAX_WINDOW_BITS,
                });
            }
            _ => return None,
        }
        Some(self)
    }

    fn accept(&self, settings: &Compression) -> Option<PerMessageDeflate> {
        // 7.1.2.1: a server accepts by "the same or smaller value as the offer", and there is none for 8.
        let server_max = self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        if server_max < MIN_WINDOW_BITS {
            return None;
        }
        let client_max_window_bits = match self.client_max_window_bits {
            Some(client_max @ MIN_WINDOW_BITS..) => settings.client_window_bits.min(client_max),
            // It cannot be asked, or is content with less than there is an implementation for.
            _ => MAX_WINDOW_BITS,
        };
        Some(PerMessageDeflate {
            server_no_context_takeover: self.server_no_context_takeover
                || settings.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover
                || settings.client_no_context_takeover,
            server_max_window_bits: settings.server_window_bits.min(server_max),
            client_max_window_bits,
        })
    }
}

/// 7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        b"8" => Some(8),
        b"9" => Some(9),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::handshake::offers;

    fn negotiate(lines: &[&str], compression: &Compression) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("sec-websocket-extensions", line.parse().unwrap());
        }
        let offers = offers(&headers).unwrap();
        let agreed = offers.negotiate(compression);
        agreed.map_or_else(String::new, |agreed| agreed.to_string())
    }

    #[test]
    fn offers_and_their_answers() {
        let full = "permessage-deflate; server_max_window_bits=12";
        for (offer, answer) in [
            ("", ""),
            ("permessage-deflate", full),
            ("permessage-deflate; client_max_window_bits", full),
            ("permessage-deflate; client_max_window_bits=8", full),
            (
                "permessage-deflate; client_max_window_bits=10",
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=10",
            ),
            ("permessage-deflate; server_max_window_bits=15", full),
            ("permessage-deflate; server_max_window_bits=\"15\"", full),
            (
                "permessage-deflate; server_max_window_bits=9",
                "permessage-deflate; server_max_window_bits=9",
            ),
            (
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=12",
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
            ),
            ("x-webkit-deflate-frame, permessage-deflate", full),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                full,
            ),
            (
                "permessage-deflate; what, permessage-deflate; server_max_window_bits=10, permessage-deflate",
                "permessage-deflate; server_max_window_bits=10",
            ),
            // Declined.
            ("permessage-deflate; server_max_window_bits=8", ""),
            ("permessage-deflate; server_max_window_bits=0", ""),
            ("permessage-deflate; server_max_window_bits=7", ""),
            ("permessage-deflate; server_max_window_bits=16", ""),
            ("permessage-deflate; server_max_window_bits=99", ""),
            ("permessage-deflate; server_max_window_bits=012", ""),
            ("permessage-deflate; server_max_window_bits=1", ""),
            ("permessage-deflate; server_max_window_bits=\"99\"", ""),
            ("permessage-deflate; server_max_window_bits", ""),
            (
                "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
                "",
            ),
            ("permessage-deflate; client_max_window_bits=7", ""),
            ("permessage-deflate; client_max_window_bits=16", ""),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits",
                "",
            ),
            ("permessage-deflate; server_no_context_takeover=1", ""),
            ("permessage-deflate; client_no_context_takeover=true", ""),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                "",
            ),
            ("permessage-deflate; unknown", ""),
            ("permessage-deflate; unknown=1", ""),
            ("permessage-bzip2", ""),
            ("PERMESSAGE-DEFLATE", ""),
        ] {
            let lines: &[&str] = if offer.is_empty() { &[] } else { &[offer] };
            assert_eq!(negotiate(lines, &Compression::new()), answer, "{offer}");
        }
    }

    #[test]
    fn lines_are_one_list() {
        let lines = [
            "permessage-deflate; unknown",
            "permessage-deflate; server_max_window_bits=11",
        ];
        let answer = "permessage-deflate; server_max_window_bits=11";
        assert_eq!(negotiate(&lines, &Compression::new()), answer);
    }

    #[test]
    fn settings_are_told_to_the_client() {
        let settings = Compression::shared().client_window_bits(11).unwrap();
        let settings = settings.server_window_bits(15).unwrap();
        let takeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(negotiate(&["permessage-deflate"], &settings), takeover);
        assert_eq!(
            negotiate(&["permessage-deflate; client_max_window_bits"], &settings),
            format!("{takeover}; client_max_window_bits=11")
        );
    }
}
