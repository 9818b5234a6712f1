//! The opening handshake: which requests attempt one, which attempts are valid, and what answers them.
//!
//! Pure functions over the head of a request. `:protocol` of an HTTP/2 extended CONNECT is no header field,
//! so whoever speaks HTTP hands it in by [`Request::protocol`].

mod error;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version};
use sha1::{Digest, Sha1};

pub use self::error::InvalidHandshake;
#[cfg(feature = "deflate")]
use crate::deflate::{Compression, Offers, PerMessageDeflate};

/// Without any extension there is nothing to offer.
#[cfg(not(feature = "deflate"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers(());

#[cfg(not(feature = "deflate"))]
impl Offers {
    #[allow(clippy::unused_self, reason = "as with an extension")]
    fn extension(&mut self, _: &[u8]) {}

    #[allow(clippy::unused_self, reason = "as with an extension")]
    fn parameter(&mut self, _: &[u8], _: Option<&[u8]>) {}

    #[allow(clippy::unused_self, reason = "as with an extension")]
    fn end(&mut self) {}
}

/// What a server concatenates to the client's key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The head of a request, as far as a handshake is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target; on HTTP/2 it carries `:authority`.
    pub uri: &'a Uri,
    /// The version of HTTP that the request came over.
    pub version: Version,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// The `:protocol` pseudo-header field of an extended CONNECT (RFC 8441 section 4).
    pub protocol: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// The head in `parts`; `protocol` is the `:protocol` of an extended CONNECT.
    #[must_use]
    pub fn new(parts: &'a http::request::Parts, protocol: Option<&'a str>) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            headers: &parts.headers,
            protocol,
        }
    }

    /// Whether the request attempts a WebSocket handshake, valid or not.
    ///
    /// It does when it names websocket in any `Upgrade` line or in `:protocol`, or carries a
    /// `Sec-WebSocket-Key` or `Sec-WebSocket-Version`. A request with another `:protocol` is that protocol's, whatever
    /// header fields it has.
    #[must_use]
    pub fn attempts_websocket(&self) -> bool {
        !self.connects_to_another_protocol()
            && (self.names_websocket()
                || self.headers.contains_key(SEC_WEBSOCKET_KEY)
                || self.headers.contains_key(SEC_WEBSOCKET_VERSION))
    }

    /// Whether the request names websocket in any `Upgrade` line or in `:protocol`.
    ///
    /// No handshake does without, whatever else a server is lax about.
    #[must_use]
    pub fn names_websocket(&self) -> bool {
        self.upgrades_to_websocket() || self.connects_to_websocket()
    }

    /// Checks a handshake against RFC 6455 section 4.2.1, or RFC 8441 section 5 on HTTP/2.
    ///
    /// # Errors
    ///
    /// [`InvalidHandshake`]: the first rule that the request breaks.
    pub fn check(&self) -> Result<Handshake, InvalidHandshake> {
        if self.connects_to_another_protocol() {
            return Err(InvalidHandshake::OtherProtocol);
        }
        if !self.attempts_websocket() {
            return Err(InvalidHandshake::NotWebSocket);
        }
        let accept = if self.version < Version::HTTP_11 {
            // RFC 6455, 4.2.1: "An HTTP/1.1 or higher GET request".
            return Err(InvalidHandshake::HttpVersion);
        } else if self.version == Version::HTTP_11 {
            self.check_upgrade()?
        } else {
            self.check_extended_connect()?
        };
        self.check_body()?;
        self.check_host()?;
        Ok(Handshake {
            version: self.version,
            accept,
            extensions: offers(self.headers)?,
            protocols: offered_protocols(self.headers)?,
        })
    }

    /// The rules of an HTTP/1.1 upgrade; gives the `Sec-WebSocket-Accept` that answers the client's key.
    fn check_upgrade(&self) -> Result<Option<HeaderValue>, InvalidHandshake> {
        // RFC 6455, 4.1: "The method of the request MUST be GET".
        if self.method != Method::GET {
            return Err(InvalidHandshake::Method);
        }
        check_version(self.headers)?;
        // RFC 6455, 4.2.1: "A |Connection| header field that includes the token "Upgrade", treated as an ASCII
        // case-insensitive value."
        if !tokens(self.headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
            return Err(InvalidHandshake::Connection);
        }
        // RFC 6455, 4.2.1: "An |Upgrade| header field containing the value "websocket", treated as an ASCII
        // case-insensitive value."
        if !self.upgrades_to_websocket() {
            return Err(InvalidHandshake::Upgrade);
        }
        // RFC 6455, 4.2.1: "A |Sec-WebSocket-Key| header field with a base64-encoded (see Section 4 of [RFC4648])
        // value that, when decoded, is 16 bytes in length." 11.3.1: it "MUST NOT appear more than once".
        let key = only(self.headers, &SEC_WEBSOCKET_KEY)
            .filter(|key| is_key(key))
            .ok_or(InvalidHandshake::Key)?;
        Ok(Some(accept_for(key)))
    }

    /// The rules of an HTTP/2 extended CONNECT. No key is asked for: RFC 8441, 5: "The Sec-WebSocket-Key [...]
    /// header field is not used"; some clients send one all the same and wait for its answer.
    fn check_extended_connect(&self) -> Result<Option<HeaderValue>, InvalidHandshake> {
        // RFC 8441, 4: "the :method pseudo-header field [...] is CONNECT".
        if self.method != Method::CONNECT {
            return Err(InvalidHandshake::Method);
        }
        // RFC 8441, 5: "The :protocol pseudo-header field MUST be included in the CONNECT request, and it MUST have
        // a value of "websocket"". HAProxy sends `WebSocket`.
        if !self.connects_to_websocket() {
            return Err(InvalidHandshake::Upgrade);
        }
        check_version(self.headers)?;
        Ok(only(self.headers, &SEC_WEBSOCKET_KEY)
            .filter(|key| is_key(key))
            .map(accept_for))
    }

    fn upgrades_to_websocket(&self) -> bool {
        tokens(self.headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case(b"websocket"))
    }

    fn connects_to_websocket(&self) -> bool {
        self.protocol
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
    }

    fn connects_to_another_protocol(&self) -> bool {
        self.protocol.is_some() && !self.connects_to_websocket()
    }

    /// The bytes of a body and the first frames would mix.
    fn check_body(&self) -> Result<(), InvalidHandshake> {
        let lengths = self.headers.get_all(CONTENT_LENGTH);
        if lengths.iter().any(|length| length != "0")
            || self.headers.contains_key(TRANSFER_ENCODING)
        {
            return Err(InvalidHandshake::Body);
        }
        Ok(())
    }

    fn check_host(&self) -> Result<(), InvalidHandshake> {
        // RFC 6455, 4.2.1: "A |Host| header field containing the server's authority." RFC 9113, 8.3.1: a request
        // over HTTP/2 has it in `:authority`, or in `Host` when it was translated from HTTP/1.1.
        let authority = self.version > Version::HTTP_11 && self.uri.authority().is_some();
        if authority || only(self.headers, &HOST).is_some() {
            return Ok(());
        }
        Err(InvalidHandshake::Host)
    }
}

/// A valid handshake: what the client asked for, and what its answer needs.
#[derive(Clone, Debug)]
pub struct Handshake {
    version: Version,
    accept: Option<HeaderValue>,
    #[cfg_attr(
        not(feature = "deflate"),
        allow(dead_code, reason = "checked all the same")
    )]
    extensions: Offers,
    protocols: Vec<HeaderValue>,
}

impl Handshake {
    /// The version of HTTP that the handshake came over.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The sub-protocols that the client offered, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        // Each is a token, so `to_str` fails for none of them.
        self.protocols.iter().filter_map(|name| name.to_str().ok())
    }

    /// The compression that the first acceptable offer of the client comes to, if it made one (RFC 7692 section 5).
    ///
    /// It is for the server to tell the client of it, by the response's `Sec-WebSocket-Extensions`:
    /// [`accept_compressed`](Self::accept_compressed).
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[must_use]
    pub fn negotiate(&self, compression: &Compression) -> Option<PerMessageDeflate> {
        self.extensions.negotiate(compression)
    }

    /// As [`accept`](Self::accept), with the compression that was [negotiated](Self::negotiate).
    ///
    /// # Errors
    ///
    /// [`ProtocolNotOffered`] when the client did not offer `protocol`.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn accept_compressed(
        &self,
        protocol: Option<&str>,
        agreed: PerMessageDeflate,
    ) -> Result<Response<()>, ProtocolNotOffered> {
        let mut response = self.accept(protocol)?;
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed.header());
        Ok(response)
    }

    /// The response that accepts the handshake with `protocol`, one of those offered.
    ///
    /// 101 with `Connection`, `Upgrade` and `Sec-WebSocket-Accept` on HTTP/1.1 (RFC 6455 section 4.2.2); 200
    /// without the first two, which are forbidden there, on HTTP/2 (RFC 8441 section 5).
    ///
    /// # Errors
    ///
    /// [`ProtocolNotOffered`] when the client did not offer `protocol`.
    pub fn accept(&self, protocol: Option<&str>) -> Result<Response<()>, ProtocolNotOffered> {
        let mut response = Response::new(());
        *response.status_mut() = accepted_status(self.version);
        let headers = response.headers_mut();
        if self.version == Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        if let Some(accept) = &self.accept {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
        if let Some(protocol) = protocol {
            // RFC 6455, 4.2.2: the value "MUST be one of the values" of the client's |Sec-WebSocket-Protocol|.
            let offered = self.protocols.iter().find(|offered| *offered == protocol);
            let offered = offered.ok_or_else(|| ProtocolNotOffered(protocol.to_owned()))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offered.clone());
        }
        Ok(response)
    }
}

/// The status that accepts a handshake: 101 on HTTP/1.1, 200 on HTTP/2.
#[must_use]
pub fn accepted_status(version: Version) -> StatusCode {
    if version == Version::HTTP_11 {
        StatusCode::SWITCHING_PROTOCOLS
    } else {
        StatusCode::OK
    }
}

/// The sub-protocol chosen by the server is none of those that the client offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolNotOffered(pub String);

impl std::fmt::Display for ProtocolNotOffered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the client did not offer the sub-protocol {:?}; choose one of those it offered, or none",
            self.0
        )
    }
}

impl std::error::Error for ProtocolNotOffered {}

/// RFC 6455, 4.4: "If the server doesn't support the requested version, it MUST respond with a
/// |Sec-WebSocket-Version| header field [...] containing all versions it is willing to use."
fn check_version(headers: &HeaderMap) -> Result<(), InvalidHandshake> {
    let mut versions = tokens(headers, &SEC_WEBSOCKET_VERSION).peekable();
    if versions.peek().is_none() || versions.any(|version| version != b"13") {
        return Err(InvalidHandshake::Version);
    }
    Ok(())
}

/// Returns `true` if `key` is the base64 encoding of 16 octets, with its padding.
///
/// The last character has four bits after the sixteenth octet, which a decoder may ignore (RFC 4648 section 3.5). Some
/// clients set them at random, and so does the example of RFC 6455 section 4.1: "AQIDBAUGBwgJCgsMDQ4PEC==".
fn is_key(key: &HeaderValue) -> bool {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );

    // 16 octets are 24 characters of base64; anything longer is not decoded at all.
    key.len() == 24 && LENIENT.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// RFC 6455, 4.2.2: the key is concatenated with the GUID, hashed with SHA-1 and base64-encoded.
fn accept_for(key: &HeaderValue) -> HeaderValue {
    let hash = Sha1::new()
        .chain_update(key.as_bytes())
        .chain_update(GUID)
        .finalize();
    HeaderValue::try_from(STANDARD.encode(hash)).expect("base64 is visible ASCII")
}

/// RFC 6455, 4.1: "The elements that comprise this value MUST be non-empty strings with characters in the range
/// U+0021 to U+007E not including separator characters as defined in [RFC2616] and MUST all be unique strings."
fn offered_protocols(headers: &HeaderMap) -> Result<Vec<HeaderValue>, InvalidHandshake> {
    /// More than any client has a use for; it bounds the search for duplicates.
    const MOST: usize = 64;

    let mut offered = Vec::new();
    for token in tokens(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let known = offered.iter().any(|known: &HeaderValue| known == token);
        if known || offered.len() == MOST || !is_token(token) {
            return Err(InvalidHandshake::Protocol);
        }
        let token = HeaderValue::from_bytes(token).map_err(|_| InvalidHandshake::Protocol)?;
        offered.push(token);
    }
    // A header without any element offers nothing, as if it were absent: some clients and proxies send it so.
    Ok(offered)
}

/// RFC 6455, 9.1: "If a value is received by either the client or the server during negotiation that does not conform
/// to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_."
pub(crate) fn offers(headers: &HeaderMap) -> Result<Offers, InvalidHandshake> {
    let mut offers = Offers::default();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        read_extensions(line.as_bytes(), &mut offers).ok_or(InvalidHandshake::Extensions)?;
    }
    offers.end();
    Ok(offers)
}

/// `extension-list = 1#(token *( ";" token [ "=" ( token | quoted-string ) ] ))`, in one pass. Empty elements are ignored,
/// see [`tokens`].
fn read_extensions(line: &[u8], offers: &mut Offers) -> Option<()> {
    let mut rest = line.trim_ascii_start();
    loop {
        while take_byte(&mut rest, b',') {}
        if rest.is_empty() {
            return Some(());
        }
        offers.extension(take_token(&mut rest)?);
        while take_byte(&mut rest, b';') {
            let name = take_token(&mut rest)?;
            let value = if take_byte(&mut rest, b'=') {
                Some(take_quoted(&mut rest).or_else(|| take_token(&mut rest))?)
            } else {
                None
            };
            offers.parameter(name, value);
        }
        if !matches!(rest.first(), None | Some(b',')) {
            return None;
        }
    }
}

fn take_token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.iter().take_while(|&&byte| is_token_byte(byte)).count();
    let token = &rest[..length];
    skip(rest, length);
    (length > 0).then_some(token)
}

/// RFC 6455, 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
fn take_quoted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let inner = rest.strip_prefix(b"\"")?;
    let length = inner.iter().position(|&byte| byte == b'"')?;
    let token = &inner[..length];
    if !is_token(token) {
        return None;
    }
    skip(rest, length + 2);
    Some(token)
}

fn take_byte(rest: &mut &[u8], byte: u8) -> bool {
    let found = rest.first() == Some(&byte);
    if found {
        skip(rest, 1);
    }
    found
}

/// Leaves `length` bytes behind and the white space after them.
fn skip(rest: &mut &[u8], length: usize) {
    *rest = rest[length..].trim_ascii_start();
}

/// The elements of a comma-separated list over all of its lines, without empty ones.
///
/// RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements". Their number is
/// limited by the size of a head that the HTTP server takes, and they are skipped in one pass.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// The value of a header field that has exactly one line.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
