//! Which offer of a client is accepted, and with which answer (RFC 7692 sections 5 and 7.1).

#[cfg(test)]
mod tests;

use std::fmt;

use http::HeaderValue;

use super::{Compression, MAX_WINDOW_BITS, MIN_WINDOW_BITS};

const NAME: &[u8] = b"permessage-deflate";

/// The parameters that client and server have agreed on: those that the answer names.
///
/// Its [`Display`](fmt::Display) is the value of `Sec-WebSocket-Extensions` that tells the client. The server may use less
/// than it says, such as a smaller window, because any client can inflate that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerMessageDeflate {
    /// Each of the server's messages is compressed by itself, as the client has asked.
    pub server_no_context_takeover: bool,
    /// Each of the client's messages is compressed by itself.
    pub client_no_context_takeover: bool,
    /// How far back the server's messages refer at most, as a power of 2: 9 to 15. `None` unless the client has asked for a
    /// limit, which means 15.
    pub server_max_window_bits: Option<u8>,
    /// How far back the client's messages refer at most, as a power of 2: 9 to 14. `None` means 15.
    pub client_max_window_bits: Option<u8>,
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
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
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

    /// The answer to the offer; `None` declines it.
    ///
    /// The answer names no parameter that the offer does not, with the exception of `client_no_context_takeover`. RFC 7692
    /// allows more, but Netty until 4.1.48 and coder/websocket until 1.8.7 fail the handshake over it. Settings for
    /// the server alone need no agreement: [`Deflater`](super::Deflater) applies them unannounced.
    fn accept(&self, settings: &Compression) -> Option<PerMessageDeflate> {
        // There is no implementation for 8.
        if self
            .server_max_window_bits
            .is_some_and(|bits| bits < MIN_WINDOW_BITS)
        {
            return None;
        }
        // 7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter,
        // the corresponding extension negotiation response to the offer MUST NOT include" it.
        let client_max_window_bits = match self.client_max_window_bits {
            Some(client_max @ MIN_WINDOW_BITS..) => {
                Some(settings.client_window_bits.min(client_max))
            }
            // The client cannot be limited, or uses less by itself than there is an implementation for.
            _ => None,
        };
        Some(PerMessageDeflate {
            // 7.1.1.1: "A server accepts an extension negotiation offer that includes the "server_no_context_takeover"
            // extension parameter by including" it in the response.
            server_no_context_takeover: self.server_no_context_takeover,
            // 7.1.1.2: "A server MAY include the "client_no_context_takeover" extension parameter in an extension
            // negotiation response", asked or not.
            client_no_context_takeover: self.client_no_context_takeover
                || settings.client_no_context_takeover,
            // 7.1.2.1: a server accepts this parameter "with the same or smaller value as the offer". Netty until 4.1.48
            // takes the same value only.
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: client_max_window_bits.filter(|&bits| bits < MAX_WINDOW_BITS),
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
