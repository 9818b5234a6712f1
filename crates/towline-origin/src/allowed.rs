//! A list of origins as an operator writes it, parsed and normalised.

use std::sync::Arc;

use arc_swap::ArcSwap;
use url::{Host, Url};

use crate::error::{InvalidOrigin, InvalidOriginKind};
use crate::origin::{Origin, is_scheme};

/// A list of origins that can be replaced while the server runs.
///
/// All clones share one list. An entry is one of
///
/// - `https://example.com`, `http://localhost:3000`: this origin; written in any case, with or without its default port,
///   and in Unicode or not;
/// - `file://`, `app://.`, `qrc://`: this origin, which has no host, or a single dot as its host;
/// - `https://*.example.com`: every name below `example.com`, at any depth, and not that name itself. It trusts whoever can
///   get such a name;
/// - `*`: every origin but `null`, with or without a host.
///
/// An entry names a page, so `ws://` and `wss://` are errors. Some native clients send the URL of their socket as the
/// origin; browsers never do. Such an origin is compared as `http://` or `https://`: the entry `https://example.com` admits
/// `wss://example.com` too. This admits no page that the entry does not name.
///
/// `file://` admits every page that a browser or WebView opens from a file with this origin, and every device that sends it
/// by default.
///
/// ```
/// use towline_origin::{AllowedOrigins, OriginLayer};
///
/// let partners = AllowedOrigins::new(["https://client.com"])?;
/// let layer = OriginLayer::same_origin().or_allow_list(&partners);
///
/// // Later, when the operator has changed the configuration: the layer follows at once.
/// partners.replace(["https://client.com", "https://*.example.com"])?;
/// # let _ = layer;
///
/// let error = partners.replace(["client.com"]).unwrap_err();
/// assert_eq!(error.to_string(), r#""client.com" has no scheme: write https://example.com"#);
/// # Ok::<(), towline_origin::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug)]
pub struct AllowedOrigins {
    patterns: Arc<ArcSwap<Vec<Pattern>>>,
}

impl AllowedOrigins {
    /// The list of these entries.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] names the first entry that is none. An empty list is an error too: it would admit nobody.
    pub fn new<I>(entries: I) -> Result<Self, InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let patterns = Arc::new(ArcSwap::from_pointee(parse(entries)?));
        Ok(Self { patterns })
    }

    /// Puts these entries in place of all that are there, for handshakes from now on; sockets stay open.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new). The list stays as it was then.
    pub fn replace<I>(&self, entries: I) -> Result<(), InvalidOrigin>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.patterns.store(Arc::new(parse(entries)?));
        Ok(())
    }

    pub(crate) fn admits(&self, origin: &Origin<'_>) -> bool {
        self.patterns
            .load()
            .iter()
            .any(|pattern| pattern.admits(origin))
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Exact(Origin<'static>),
    /// Every name below the host of this one.
    Below(Origin<'static>),
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |kind| InvalidOrigin::new(kind, entry);
        match entry {
            "" => return Err(invalid(InvalidOriginKind::Empty)),
            "*" => return Ok(Self::Any),
            _ => {}
        }
        let (scheme, authority) = entry
            .split_once("://")
            .ok_or_else(|| invalid(InvalidOriginKind::NoScheme))?;
        // A URL parser takes `https:https://` for the host `https`.
        if !is_scheme(scheme) {
            return Err(invalid(InvalidOriginKind::Unparsable));
        }
        if ["ws", "wss"]
            .iter()
            .any(|ws| scheme.eq_ignore_ascii_case(ws))
        {
            return Err(invalid(InvalidOriginKind::SocketScheme));
        }
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(invalid(InvalidOriginKind::Excess));
        }
        let base = authority.strip_prefix("*.");
        let authority = base.unwrap_or(authority);
        if authority.contains('*') {
            return Err(invalid(InvalidOriginKind::Wildcard));
        }
        // A URL parser drops these.
        if entry.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid(InvalidOriginKind::Unparsable));
        }
        if base.is_none()
            && let Some(origin) = Origin::parse(entry).filter(|origin| origin.host().is_none())
        {
            // A URL parser would add a path.
            return Ok(Self::Exact(origin.into_owned()));
        }

        let url = Url::parse(&format!("{scheme}://{authority}"))
            .map_err(|error| invalid(InvalidOriginKind::Unparsable).because(error))?;
        if base.is_some() && !matches!(url.host(), Some(Host::Domain(name)) if name != ".") {
            return Err(invalid(InvalidOriginKind::Wildcard));
        }
        // What is not read back as it was written would never match.
        let origin = Origin::parse(url.as_str().trim_end_matches('/'))
            .ok_or_else(|| invalid(InvalidOriginKind::Unparsable))?
            .into_owned();
        Ok(match base {
            Some(_) => Self::Below(origin),
            None => Self::Exact(origin),
        })
    }

    fn admits(&self, origin: &Origin<'_>) -> bool {
        let (listed, host_admitted) = match self {
            Self::Any => return true,
            Self::Exact(exact) => (exact, origin.host() == exact.host()),
            Self::Below(base) => (base, is_below(origin.host(), base.host())),
        };
        // An entry is never of `ws` or `wss`.
        host_admitted && origin.port() == listed.port() && origin.http_scheme() == listed.scheme()
    }
}

fn is_below(host: Option<&str>, base: Option<&str>) -> bool {
    let labels = host
        .zip(base)
        .and_then(|(host, base)| host.strip_suffix(base));
    // `evilexample.com` ends in `example.com` too.
    labels.is_some_and(|labels| labels.ends_with('.'))
}

fn parse<I>(entries: I) -> Result<Vec<Pattern>, InvalidOrigin>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let patterns: Vec<Pattern> = entries
        .into_iter()
        .map(|entry| Pattern::parse(entry.as_ref()))
        .collect::<Result<_, _>>()?;
    if patterns.is_empty() {
        return Err(InvalidOrigin::new(InvalidOriginKind::NoEntry, ""));
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn entries_are_normalised() {
        for (entry, normal) in [
            ("https://example.com", "https://example.com"),
            ("HTTPS://ExAmPLE.cOm:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
            ("https://ex%61mple.com", "https://example.com"),
            ("http://127.1:5000", "http://127.0.0.1:5000"),
            ("http://[0:0::1]:80", "http://[::1]"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
            ("tauri://localhost", "tauri://localhost"),
            ("file://", "file://"),
            ("FILE://", "file://"),
            ("content://", "content://"),
            ("qrc://", "qrc://"),
            ("app://.", "app://."),
            ("APP://.", "app://."),
        ] {
            let Ok(Pattern::Exact(origin)) = Pattern::parse(entry) else {
                panic!("{entry} is no exact origin");
            };
            assert_eq!(origin.to_string(), normal);
        }
        let Ok(Pattern::Below(origin)) = Pattern::parse("https://*.Bücher.example:443") else {
            panic!("no pattern");
        };
        assert_eq!(origin.to_string(), "https://xn--bcher-kva.example");
    }

    #[test]
    fn a_bad_entry_is_named() {
        use InvalidOriginKind as Kind;

        for (entry, kind) in [
            ("", Kind::Empty),
            (" ", Kind::NoScheme),
            ("null", Kind::NoScheme),
            ("example.com", Kind::NoScheme),
            ("//example.com", Kind::NoScheme),
            ("://example.com", Kind::Unparsable),
            ("https:https://", Kind::Unparsable),
            ("WSS:https://", Kind::Unparsable),
            ("https:example.com", Kind::NoScheme),
            ("ws://example.com", Kind::SocketScheme),
            ("WSS://example.com", Kind::SocketScheme),
            ("https://example.com/", Kind::Excess),
            ("https://example.com/path", Kind::Excess),
            ("https://example.com\\", Kind::Excess),
            ("https://example.com?query", Kind::Excess),
            ("https://example.com#fragment", Kind::Excess),
            ("https://user@example.com", Kind::Excess),
            ("https:///example.com", Kind::Excess),
            ("https://*", Kind::Wildcard),
            ("https://*example.com", Kind::Wildcard),
            ("https://a.*.com", Kind::Wildcard),
            ("https://*.*.com", Kind::Wildcard),
            ("https://*.127.0.0.1", Kind::Wildcard),
            ("https://*.[::1]", Kind::Wildcard),
            ("*.example.com", Kind::NoScheme),
            ("https://", Kind::Unparsable),
            ("ws://", Kind::SocketScheme),
            ("https://*.", Kind::Unparsable),
            ("https://.", Kind::Unparsable),
            ("file:", Kind::NoScheme),
            ("file:///", Kind::Excess),
            ("file:///index.html", Kind::Excess),
            ("file://*", Kind::Wildcard),
            ("file://*.", Kind::Wildcard),
            ("app://*.", Kind::Wildcard),
            ("app://*..", Kind::Wildcard),
            ("app://*...", Kind::Unparsable),
            ("file://localhost", Kind::Unparsable),
            ("file://:80", Kind::Unparsable),
            ("file:// ", Kind::Unparsable),
            ("1file://", Kind::Unparsable),
            ("app://..", Kind::Unparsable),
            ("app://.:7", Kind::Unparsable),
            ("https://exa mple.com", Kind::Unparsable),
            ("https://exa\nmple.com", Kind::Unparsable),
            (" https://example.com", Kind::Unparsable),
            ("https://example.com ", Kind::Unparsable),
            ("https://example.com:90000", Kind::Unparsable),
            ("https://example.com:port", Kind::Unparsable),
            ("https://[::1", Kind::Unparsable),
            ("https://1.2.3.256", Kind::Unparsable),
            ("https://a..example.com", Kind::Unparsable),
            ("https://ex(ample.com", Kind::Unparsable),
            ("https://xn--a", Kind::Unparsable),
        ] {
            let error = Pattern::parse(entry).unwrap_err();
            assert_eq!((error.kind(), error.entry()), (kind, entry), "{entry:?}");
            let shown = error.to_string();
            assert!(shown.contains(entry) || entry.contains('\\') || entry.contains('\n'));
        }
        let error = AllowedOrigins::new(["https://a.com", "https://b.com:90000"]).unwrap_err();
        assert_eq!(
            (error.to_string(), error.source().unwrap().to_string()),
            (
                "\"https://b.com:90000\" is no origin that a browser sends".to_owned(),
                "invalid port number".to_owned()
            )
        );
        let error = AllowedOrigins::new([""; 0]).unwrap_err();
        assert_eq!(error.kind(), Kind::NoEntry);
    }

    #[test]
    fn a_list_is_replaced_for_all_its_clones_or_not_at_all() {
        let list = AllowedOrigins::new(["https://a.com"]).unwrap();
        let clone = list.clone();
        let admits = |origin| clone.admits(&Origin::parse(origin).unwrap());
        assert!(admits("https://a.com") && !admits("https://b.com"));
        list.replace(["https://b.com"]).unwrap();
        assert!(!admits("https://a.com") && admits("https://b.com"));
        for bad in [["https://a.com", ""].as_slice(), &[]] {
            list.replace(bad).unwrap_err();
            assert!(!admits("https://a.com") && admits("https://b.com"));
        }
    }
}
