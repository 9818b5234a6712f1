//! An origin: scheme, host and port, as a request or an operator names it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The origin of a page: scheme, host and port.
///
/// Normalised: scheme and host are lower-case, and a port that goes without saying is the scheme's. What a browser sends is
/// so already and stays borrowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin<'a> {
    scheme: Cow<'a, str>,
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// The origin that the value of an `Origin` header names; `None` when that is not `scheme://host[:port]`, all of it in
    /// ASCII. `null` names none.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, authority) = value.split_once("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let scheme = lower(scheme);
        let (host, port) = split_authority(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        // Other schemes have opaque hosts: the id of a browser's extension, the name of an application.
        let host = match default_port(&scheme) {
            Some(_) => lower(host),
            None => Cow::Borrowed(host),
        };
        Some(Self { scheme, host, port })
    }

    /// Such as `https`, or `chrome-extension` of a browser's extension.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// A name, its labels in ASCII (`xn--…`), or an address; one of IPv6 is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, named or not; `None` when there is none and the scheme is neither `http` nor `https`.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub(crate) fn into_owned(self) -> Origin<'static> {
        Origin {
            scheme: Cow::Owned(self.scheme.into_owned()),
            host: Cow::Owned(self.host.into_owned()),
            port: self.port,
        }
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if default_port(&self.scheme) != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// The port of a server that speaks HTTP by this scheme.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host and port of `host[:port]`, and of nothing that has more or less in it.
///
/// Stricter than a URL: no userinfo, no escapes, nothing that a parser would drop or map to another host. So two hosts of
/// the same text are the same host.
pub(crate) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port)?)),
        _ => (authority, None),
    };
    (is_name(host) || is_ipv6(host)).then_some((host, port))
}

fn parse_port(digits: &str) -> Option<u16> {
    // `parse` alone takes a plus sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A trailing dot makes it another name of the same machine, and another origin.
    host.strip_suffix('.')
        .unwrap_or(host)
        .split('.')
        .all(is_label)
}

fn is_ipv6(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// RFC 3986, 3.1: `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`.
pub(crate) fn is_scheme(scheme: &str) -> bool {
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_normalised() {
        for (value, scheme, host, port, shown) in [
            ("https://example.com", "https", "example.com", Some(443), ""),
            ("http://example.com", "http", "example.com", Some(80), ""),
            (
                "HTTPS://EXAMPLE.com:443",
                "https",
                "example.com",
                Some(443),
                "https://example.com",
            ),
            ("http://localhost:5000", "http", "localhost", Some(5000), ""),
            ("http://[::1]:8080", "http", "[::1]", Some(8080), ""),
            ("http://[::1]", "http", "[::1]", Some(80), ""),
            (
                "https://a_b.example.",
                "https",
                "a_b.example.",
                Some(443),
                "",
            ),
            (
                "chrome-extension://abcdefgh",
                "chrome-extension",
                "abcdefgh",
                None,
                "",
            ),
            ("app://Main:7", "app", "Main", Some(7), ""),
        ] {
            let origin = Origin::parse(value).unwrap();
            assert_eq!(
                (origin.scheme(), origin.host(), origin.port()),
                (scheme, host, port)
            );
            let shown = if shown.is_empty() { value } else { shown };
            assert_eq!(origin.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for value in [
            "",
            "null",
            "example.com",
            "https:example.com",
            "https:/example.com",
            "https:///example.com",
            "https:\\\\example.com",
            "://example.com",
            "1https://example.com",
            "https://",
            "https://.",
            "https://.example.com",
            "https://a..example.com",
            "https://example.com..",
            "https://example.com/",
            "https://example.com?",
            "https://example.com#",
            "https://example.com\\",
            "https://user@example.com",
            "https://@example.com",
            "https://user:80@example.com",
            "https://exa%6dple.com",
            "https://exa mple.com",
            "https://exa\tmple.com",
            " https://example.com",
            "https://example.com ",
            "https://a.com https://b.com",
            "https://a.com, https://b.com",
            "https://*.example.com",
            "https://bücher.example",
            "https://example.com:",
            "https://example.com:+80",
            "https://example.com:-1",
            "https://example.com:65536",
            "https://example.com:90000",
            "https://example.com:80:80",
            "https://[::1",
            "https://::1",
            "https://[::1]]",
            "https://[::1%25eth0]",
            "https://[example.com]",
        ] {
            assert_eq!(Origin::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn what_a_browser_sends_stays_borrowed() {
        let origin = Origin::parse("https://example.com:8443").unwrap();
        assert!(matches!(origin.scheme, Cow::Borrowed(_)));
        assert!(matches!(origin.host, Cow::Borrowed(_)));
    }
}
