//! An origin: scheme, host and port, as a request or an operator names it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The origin of a page or of a native client: scheme, host and port.
///
/// An origin is normalised. The scheme is in lower case. So is the host of `http`, `https`, `ws` and `wss`, and a port that
/// is not named is the default port of these schemes. A value that is normalised already, as browsers send it, is borrowed.
///
/// An origin of any other scheme may have no host: `file://`, `content://`, `qrc://`.
///
/// ```
/// use towline_origin::Origin;
///
/// let page = Origin::parse("https://example.com").unwrap();
/// assert_eq!((page.scheme(), page.host(), page.port()), ("https", Some("example.com"), Some(443)));
///
/// let file = Origin::parse("file://").unwrap();
/// assert_eq!((file.scheme(), file.host(), file.port()), ("file", None, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin<'a> {
    scheme: Cow<'a, str>,
    /// Empty if there is none.
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Parses the value of an `Origin` header: `scheme://host[:port]`, all of it in ASCII.
    ///
    /// Schemes other than `http`, `https`, `ws` and `wss` have opaque hosts, which keep their case. There the host may be
    /// missing, or be a single dot (`app://.`, which Electron applications send).
    ///
    /// Returns `None` for any other value, such as one with a path, user information or white space, and for `null`.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, authority) = value.split_once("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let scheme = lower(scheme);
        let default_port = default_port(&scheme);
        // RFC 3986, 3.2.2: "the "http" scheme considers a missing authority or empty host invalid."
        if default_port.is_none() && matches!(authority, "" | ".") {
            let host = Cow::Borrowed(authority);
            return Some(Self {
                scheme,
                host,
                port: None,
            });
        }
        let (host, port) = split_authority(authority)?;
        let port = port.or(default_port);
        let host = match default_port {
            Some(_) => lower(host),
            // The id of a browser's extension, or the name of an application.
            None => Cow::Borrowed(host),
        };
        Some(Self { scheme, host, port })
    }

    /// The scheme, such as `https`, or `chrome-extension` for a browser's extension. For native clients it may be `ws` or
    /// `wss`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The scheme of HTTP for an origin that is a socket's URL: `http` for `ws`, `https` for `wss`. Any other scheme is
    /// returned as it is.
    pub(crate) fn http_scheme(&self) -> &str {
        http_scheme(&self.scheme)
    }

    /// The host: a name, its labels in ASCII (`xn--…`), or an address; an IPv6 address is in brackets.
    ///
    /// Returns `None` for an origin without a host, such as `file://`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        (!self.host.is_empty()).then_some(&*self.host)
    }

    /// The port that was named, or else the default port of `http`, `https`, `ws` or `wss`.
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

/// The default port of a scheme whose hosts are servers.
///
/// RFC 6455, 3: "The port component is OPTIONAL; the default for "ws" is port 80, while the default for "wss" is port 443."
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// The scheme of the page that may open a socket of this scheme; others are returned as they are.
pub(crate) fn http_scheme(scheme: &str) -> &str {
    if scheme.eq_ignore_ascii_case("ws") {
        "http"
    } else if scheme.eq_ignore_ascii_case("wss") {
        "https"
    } else {
        scheme
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
            ("ws://localhost:5000", "ws", "localhost", Some(5000), ""),
            ("ws://example.com", "ws", "example.com", Some(80), ""),
            (
                "WSS://Example.com:443",
                "wss",
                "example.com",
                Some(443),
                "wss://example.com",
            ),
            ("app://.", "app", ".", None, ""),
            (
                "capacitor-electron://-",
                "capacitor-electron",
                "-",
                None,
                "",
            ),
        ] {
            let origin = Origin::parse(value).unwrap();
            assert_eq!(
                (origin.scheme(), origin.host(), origin.port()),
                (scheme, Some(host), port)
            );
            let shown = if shown.is_empty() { value } else { shown };
            assert_eq!(origin.to_string(), shown);
        }
    }

    #[test]
    fn an_origin_may_have_no_host() {
        for (value, scheme) in [
            ("file://", "file"),
            ("FILE://", "file"),
            ("content://", "content"),
            ("qrc://", "qrc"),
            ("x.y+z-1://", "x.y+z-1"),
        ] {
            let origin = Origin::parse(value).unwrap();
            assert_eq!(
                (origin.scheme(), origin.host(), origin.port()),
                (scheme, None, None)
            );
            assert_eq!(origin.to_string(), value.to_ascii_lowercase());
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
            "http://",
            "ws://",
            "wss://",
            "ws://.",
            "://",
            "file:",
            "file:/",
            "file:///",
            "file:///index.html",
            "file://..",
            "file://:80",
            "file://:",
            "file://@",
            "file://?",
            "file://#",
            "file:// ",
            " file://",
            "file://\t",
            "file://file://",
            "file://,file://",
            "file://%2e",
            "fi le://",
            "app://./",
            "app://./index.html",
            "app://.:7",
            "app://..",
            "app://.app",
            "app://*",
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
