//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::uri::Scheme;
use http::{Response, StatusCode};
use tower_layer::Layer;
use url::Host;

use crate::allowed::AllowedOrigins;
use crate::error::{InvalidOrigin, InvalidOriginKind, OriginRejection};
use crate::origin::{Origin, split_authority};
use crate::policy::{OriginPolicy, Predicate, Rule, SameOrigin};
use crate::service::OriginCheck;

/// Refuses the WebSocket handshakes of pages that no rule admits.
///
/// It begins with one rule and takes more by `or_…`; what one of them admits is admitted. See the
/// [crate documentation](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct OriginLayer {
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) policy: OriginPolicy,
    pub(crate) on_reject: Option<OnReject>,
}

#[derive(Clone)]
pub(crate) struct OnReject(Arc<Respond>);

type Respond = dyn Fn(&OriginRejection) -> Response<()> + Send + Sync;

/// The rules.
impl OriginLayer {
    /// Admits a page that was served by the host and port that its request goes to.
    ///
    /// The host is that of `Host`, over HTTP/2 of `:authority`, in any case. A request without a port has the default port
    /// of the *origin's* scheme, since a server behind a proxy that ends TLS does not know better. Set
    /// [`hosts`](Self::hosts), or a page whose name resolves to this server (DNS rebinding) is of the same origin.
    ///
    /// Some native clients send the URL of their socket as the origin: `ws://` is compared as `http://`, and `wss://` as
    /// `https://`. Origins of any other scheme, with or without a host, are refused (`file://`, `app://localhost`).
    pub fn same_origin() -> Self {
        Self::new(Rule::SameOrigin(SameOrigin::default()))
    }

    /// Admits the origins of a list, such as `https://client.com`, `https://*.example.com`, `file://` or `*`;
    /// [`AllowedOrigins`] explains them.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] names the first entry that is none. An empty list is an error too: it would admit nobody.
    pub fn allow<I>(origins: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(Self::allow_list(&AllowedOrigins::new(origins)?))
    }

    /// Admits the origins of a list that may be replaced while the server runs.
    pub fn allow_list(origins: &AllowedOrigins) -> Self {
        Self::new(Rule::Allowed(origins.clone()))
    }

    /// Admits the origins for which `admits` returns `true`. It is asked about every origin that [`Origin::parse`] takes, with
    /// or without a host and of any scheme, also `ws` and `wss`; never about `null`.
    ///
    /// It is called within the request, so it must not block.
    pub fn predicate<F>(admits: F) -> Self
    where
        F: Fn(&Origin<'_>, &Parts) -> bool + Send + Sync + 'static,
    {
        Self::new(Rule::Predicate(Predicate(Arc::new(admits))))
    }

    /// Admits the origins of a list as well, as [`allow`](Self::allow) does.
    ///
    /// # Errors
    ///
    /// As for [`allow`](Self::allow).
    pub fn or_allow<I>(self, origins: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Ok(self.or_allow_list(&AllowedOrigins::new(origins)?))
    }

    /// Admits the origins of a list as well that may be replaced while the server runs.
    pub fn or_allow_list(self, origins: &AllowedOrigins) -> Self {
        self.or(Rule::Allowed(origins.clone()))
    }

    /// Admits the origins as well for which `admits` holds, as [`predicate`](Self::predicate) does.
    pub fn or_predicate<F>(self, admits: F) -> Self
    where
        F: Fn(&Origin<'_>, &Parts) -> bool + Send + Sync + 'static,
    {
        self.or(Rule::Predicate(Predicate(Arc::new(admits))))
    }

    fn new(rule: Rule) -> Self {
        let settings = Settings {
            policy: OriginPolicy::new(rule),
            on_reject: None,
        };
        Self { settings }
    }

    fn or(mut self, rule: Rule) -> Self {
        self.settings.policy.rules.push(rule);
        self
    }
}

/// The settings.
impl OriginLayer {
    /// The names that the server goes by; [`same_origin`](Self::same_origin) admits no page under another one. Default: any.
    ///
    /// Names and addresses, without a port: `example.com`, `127.0.0.1`, `[::1]`.
    ///
    /// This is what stops DNS rebinding: a page of `evil.example` whose name was changed to resolve to this server sends
    /// `evil.example` as its origin and as the host, and both are equal.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] names the first entry that is no host. No entry at all is an error, and so is a layer without
    /// `same_origin`, where this would do nothing.
    pub fn hosts<I>(mut self, hosts: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let hosts: Vec<String> = hosts
            .into_iter()
            .map(|host| parse_host(host.as_ref()))
            .collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(InvalidOrigin::new(InvalidOriginKind::NoEntry, ""));
        }
        let same_origin = self.settings.policy.same_origin_mut();
        same_origin
            .ok_or_else(|| InvalidOrigin::new(InvalidOriginKind::NotSameOrigin, ""))?
            .hosts = hosts;
        Ok(self)
    }

    /// The scheme by which clients reach the server, for [`same_origin`](Self::same_origin) to compare, also where a proxy
    /// ends TLS. `ws` and `wss` are taken as `http` and `https`. Default: the scheme is not compared.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        if let Some(same_origin) = self.settings.policy.same_origin_mut() {
            same_origin.scheme = Some(scheme);
        }
        self
    }

    /// Lets [`same_origin`](Self::same_origin) take host and scheme from `Forwarded`, else from `X-Forwarded-Host` and
    /// `X-Forwarded-Proto`, and then it compares the scheme. Default: `false`.
    ///
    /// Of several elements the first counts. Only for a server that is reached through a proxy, and only if that sets or
    /// removes these headers: what a client sends of them is believed.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        if let Some(same_origin) = self.settings.policy.same_origin_mut() {
            same_origin.trust_forwarded = trust;
        }
        self
    }

    /// Refuses a handshake without `Origin`. Default: `false`, for what sends none is no browser.
    pub fn require_origin(mut self, require: bool) -> Self {
        self.settings.policy.require_origin = require;
        self
    }

    /// Admits the origin `null`, which no other setting does. Default: `false`.
    ///
    /// Any page can make itself one, by a sandboxed frame: this admits every page there is.
    pub fn allow_null(mut self, allow: bool) -> Self {
        self.settings.policy.allow_null = allow;
        self
    }

    /// Answers a refused handshake by the head that `respond` makes. Default: 403.
    ///
    /// The response has no body, since a browser shows nothing of a refused handshake to the page, not even its status. The
    /// [`OriginRejection`] goes into its extensions.
    pub fn on_reject<F>(mut self, respond: F) -> Self
    where
        F: Fn(&OriginRejection) -> Response<()> + Send + Sync + 'static,
    {
        self.settings.on_reject = Some(OnReject(Arc::new(respond)));
        self
    }

    /// What the layer decides by.
    #[must_use]
    pub fn policy(&self) -> &OriginPolicy {
        &self.settings.policy
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = OriginCheck<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OriginCheck::new(inner, Arc::new(self.settings.clone()))
    }
}

impl Settings {
    /// The response to a refused handshake.
    pub(crate) fn respond(&self, rejection: OriginRejection) -> Response<()> {
        let mut response = match &self.on_reject {
            Some(OnReject(respond)) => respond(&rejection),
            None => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::FORBIDDEN;
                response
            }
        };
        response.extensions_mut().insert(rejection);
        response
    }
}

impl fmt::Debug for OnReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnReject")
    }
}

/// A host as a browser writes it.
fn parse_host(entry: &str) -> Result<String, InvalidOrigin> {
    let invalid = || InvalidOrigin::new(InvalidOriginKind::Host, entry);
    let host = Host::parse(entry).map_err(|error| invalid().because(error))?;
    let host = host.to_string();
    match split_authority(&host) {
        Some((_, None)) => Ok(host),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_normalised() {
        for (entry, host) in [
            ("localhost", "localhost"),
            ("EXAMPLE.com", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("127.1", "127.0.0.1"),
            ("[0:0::1]", "[::1]"),
        ] {
            assert_eq!(parse_host(entry).unwrap(), host);
        }
    }

    #[test]
    fn a_bad_host_is_named() {
        for entry in [
            "",
            "*",
            "*.example.com",
            "https://example.com",
            "example.com:80",
            "::1",
            "example.com/",
            "a..com",
            "a b",
        ] {
            let error = OriginLayer::same_origin()
                .hosts(["localhost", entry])
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.entry()),
                (InvalidOriginKind::Host, entry)
            );
        }
        let kind = |layer: Result<OriginLayer, InvalidOrigin>| layer.unwrap_err().kind();
        let none = OriginLayer::same_origin().hosts([""; 0]);
        assert_eq!(kind(none), InvalidOriginKind::NoEntry);
        let no_use = OriginLayer::allow(["*"]).unwrap().hosts(["localhost"]);
        assert_eq!(kind(no_use), InvalidOriginKind::NotSameOrigin);
    }
}
