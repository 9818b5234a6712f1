//! Why a handshake was refused, and what is wrong with a configuration.

use std::error::Error;
use std::fmt;

use http::HeaderValue;
use url::ParseError;

/// A handshake that was refused for its origin; in the extensions of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRejection {
    kind: OriginRejectionKind,
    origin: Option<HeaderValue>,
}

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginRejectionKind {
    /// There is no `Origin`, and [`require_origin`](crate::OriginLayer::require_origin) asks for one.
    Missing,
    /// There is more than one `Origin`.
    Repeated,
    /// `Origin` is not one that [`Origin::parse`](crate::Origin::parse) takes; it may be empty.
    Malformed,
    /// `Origin` is `null`: a sandboxed frame, a local file or a page behind a redirect.
    Null,
    /// No rule admits the origin.
    NotAllowed,
}

impl OriginRejection {
    pub(crate) fn new(kind: OriginRejectionKind, origin: Option<HeaderValue>) -> Self {
        Self { kind, origin }
    }

    /// Why the handshake was refused.
    #[must_use]
    pub fn kind(&self) -> OriginRejectionKind {
        self.kind
    }

    /// The offending `Origin`, the first if there are several.
    #[must_use]
    pub fn origin(&self) -> Option<&HeaderValue> {
        self.origin.as_ref()
    }
}

impl fmt::Display for OriginRejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "origin is missing",
            Self::Repeated => "origin is repeated",
            Self::Malformed => "origin is malformed",
            Self::Null => "origin is null",
            Self::NotAllowed => "origin is not allowed",
        })
    }
}

impl fmt::Display for OriginRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match &self.origin {
            Some(origin) => write!(f, ": {origin:?}"),
            None => Ok(()),
        }
    }
}

impl Error for OriginRejection {}

/// What an operator wrote and no browser would send, or what makes no sense together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    kind: InvalidOriginKind,
    entry: String,
    source: Option<ParseError>,
}

/// What is wrong with an entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidOriginKind {
    /// The list has no entry.
    NoEntry,
    /// The entry is empty.
    Empty,
    /// The entry has no `scheme://`.
    NoScheme,
    /// The scheme is `ws` or `wss`, that of a socket. An entry names a page: `https://example.com` admits
    /// `wss://example.com` too.
    SocketScheme,
    /// The entry has a path, a query, a fragment or user information. Also a slash at the end is a path.
    Excess,
    /// The wildcard is not the first of several labels, or stands before an address.
    Wildcard,
    /// Host or port make no URL, or one that no browser sends as an origin.
    Unparsable,
    /// The entry of `hosts` is not a name, an IPv4 address or an IPv6 address in brackets.
    Host,
    /// `hosts` is for `same_origin`, which is not among the rules.
    NotSameOrigin,
}

impl InvalidOrigin {
    pub(crate) fn new(kind: InvalidOriginKind, entry: &str) -> Self {
        Self {
            kind,
            entry: entry.to_owned(),
            source: None,
        }
    }

    pub(crate) fn because(mut self, source: ParseError) -> Self {
        self.source = Some(source);
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> InvalidOriginKind {
        self.kind
    }

    /// The entry as it was written; empty if there was none.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use InvalidOriginKind as Kind;

        let entry = &self.entry;
        match self.kind {
            Kind::NoEntry => f.write_str("the list has no entry, so it would admit nobody"),
            Kind::Empty => f.write_str("an entry of the list is empty"),
            Kind::NoScheme => write!(f, "{entry:?} has no scheme: write https://example.com"),
            Kind::SocketScheme => {
                write!(
                    f,
                    "{entry:?} is the URL of a socket: write the page's https:// or http://, which admits the socket's too"
                )
            }
            Kind::Excess => write!(f, "{entry:?} has more to it than scheme, host and port"),
            Kind::Wildcard => write!(
                f,
                "{entry:?} has a wildcard out of place: write https://*.example.com"
            ),
            Kind::Unparsable => write!(f, "{entry:?} is no origin that a browser sends"),
            Kind::Host => write!(
                f,
                "{entry:?} is no host: write a name, an address or [an IPv6 address], without a port"
            ),
            Kind::NotSameOrigin => f.write_str("hosts are of use to same_origin only"),
        }
    }
}

impl Error for InvalidOrigin {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
