//! The decision: does this request come from a page that may open a socket?

use std::fmt;
use std::sync::Arc;

use http::header::ORIGIN;
use http::request::Parts;
use http::uri::Scheme;

use crate::allowed::AllowedOrigins;
use crate::error::OriginRejectionKind;
use crate::origin::{Origin, default_port, http_scheme};
use crate::target::Target;

/// What an [`OriginLayer`](crate::OriginLayer) decides by, for whoever has a request and no tower service.
#[derive(Clone, Debug)]
pub struct OriginPolicy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) require_origin: bool,
    pub(crate) allow_null: bool,
}

impl OriginPolicy {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rules: vec![rule],
            require_origin: false,
            allow_null: false,
        }
    }

    /// Whether a page of the request's origin may open a socket. Takes any request for a handshake.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn check(&self, request: &Parts) -> Result<(), OriginRejectionKind> {
        let mut lines = request.headers.get_all(ORIGIN).iter();
        let value = match (lines.next(), lines.next()) {
            (None, _) if self.require_origin => return Err(OriginRejectionKind::Missing),
            // RFC 6455, 4.2.1: "This header field is sent by all browser clients. A connection attempt lacking this
            // header field SHOULD NOT be interpreted as coming from a browser client."
            (None, _) => return Ok(()),
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Err(OriginRejectionKind::Repeated),
        };
        // RFC 6454, 7.3: "Whenever a user agent issues an HTTP request from a "privacy-sensitive" context, the user
        // agent MUST send the value "null" in the Origin header field."
        if value == "null" {
            let allowed = self.allow_null.then_some(());
            return allowed.ok_or(OriginRejectionKind::Null);
        }
        let origin = value.to_str().ok().and_then(Origin::parse);
        let origin = origin.ok_or(OriginRejectionKind::Malformed)?;
        if self.rules.iter().any(|rule| rule.admits(&origin, request)) {
            Ok(())
        } else {
            Err(OriginRejectionKind::NotAllowed)
        }
    }

    /// The rule that `same_origin` begins with.
    pub(crate) fn same_origin_mut(&mut self) -> Option<&mut SameOrigin> {
        self.rules.iter_mut().find_map(|rule| match rule {
            Rule::SameOrigin(same_origin) => Some(same_origin),
            Rule::Allowed(_) | Rule::Predicate(_) => None,
        })
    }
}

/// A way for an origin to be admitted; one is enough.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    SameOrigin(SameOrigin),
    Allowed(AllowedOrigins),
    Predicate(Predicate),
}

impl Rule {
    fn admits(&self, origin: &Origin<'_>, request: &Parts) -> bool {
        match self {
            Self::SameOrigin(same_origin) => same_origin.admits(origin, request),
            Self::Allowed(allowed) => allowed.admits(origin),
            Self::Predicate(Predicate(admits)) => admits(origin, request),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Predicate(pub(crate) Arc<Admits>);

type Admits = dyn Fn(&Origin<'_>, &Parts) -> bool + Send + Sync;

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

/// The page comes from where its request goes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct SameOrigin {
    /// The names that the server goes by, in lower case; any if there is none.
    pub(crate) hosts: Vec<String>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) trust_forwarded: bool,
}

impl SameOrigin {
    fn admits(&self, origin: &Origin<'_>, request: &Parts) -> bool {
        // With any other scheme the host is not the name of a server: a browser's extension, or a file without a host.
        let (Some(default_port), Some(host)) = (default_port(origin.scheme()), origin.host())
        else {
            return false;
        };
        let Some(target) = Target::of(request, self.trust_forwarded) else {
            return false;
        };
        let scheme = self.scheme.as_ref().map(Scheme::as_str).or(target.scheme);
        // The server behind a proxy that ends TLS does not know the scheme, and so not its default port.
        let port = target.port.unwrap_or(default_port);
        // Native clients send their socket's own URL as the origin. No page can have such an origin.
        scheme.is_none_or(|scheme| http_scheme(scheme).eq_ignore_ascii_case(origin.http_scheme()))
            && target.host.eq_ignore_ascii_case(host)
            && origin.port() == Some(port)
            && (self.hosts.is_empty() || self.hosts.iter().any(|own| own == host))
    }
}
