//! The server as a request names it.

use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::origin::split_authority;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Host and port that a request goes to, in the case that they were sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    /// The scheme that a proxy names. Some proxies name the socket's, `ws` or `wss`, instead of the page's.
    pub(crate) scheme: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `None` if the request names none, or more than one.
    pub(crate) fn of(request: &'a Parts, trust_forwarded: bool) -> Option<Self> {
        let headers = &request.headers;
        let (forwarded, scheme) = if trust_forwarded {
            let forwarded = |name| forwarded(headers, name);
            let (host, proto) = (forwarded("host"), forwarded("proto"));
            (
                host.or_else(|| first(headers, &X_FORWARDED_HOST)),
                proto.or_else(|| first(headers, &X_FORWARDED_PROTO)),
            )
        } else {
            (None, None)
        };
        let authority = match forwarded {
            Some(authority) => authority,
            None => addressed(request)?,
        };
        let (host, port) = split_authority(authority)?;
        Some(Self { host, port, scheme })
    }
}

/// The authority in the target of the request, or in its one `Host`.
///
/// RFC 9113, 8.3.1: "a server SHOULD treat a request as malformed if it contains a Host header field that identifies an
/// entity that differs from the entity in the ":authority" pseudo-header field."
fn addressed(request: &Parts) -> Option<&str> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let authority = request.uri.authority().map(|authority| authority.as_str());
    match (authority, hosts.next(), hosts.next()) {
        (None, Some(host), None) => host.to_str().ok(),
        (Some(authority), None, None) => Some(authority),
        (Some(authority), Some(host), None) => {
            let same = authority.as_bytes().eq_ignore_ascii_case(host.as_bytes());
            same.then_some(authority)
        }
        _ => None,
    }
}

/// A parameter of the first element of `Forwarded` (RFC 7239 section 4).
///
/// The first is from the proxy that the browser spoke to. A client could have put one there itself, but the page that is
/// held off here cannot: a browser lets it set no header of a handshake.
fn forwarded<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    first(headers, &FORWARDED)?.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let unquoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        key.trim()
            .eq_ignore_ascii_case(name)
            .then_some(unquoted.unwrap_or(value))
    })
}

/// The first element of a list over all of its lines. No element of these lists has a comma in it.
///
/// RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements". So a list without any
/// other element is as good as absent.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    for line in headers.get_all(name) {
        let mut elements = line.to_str().ok()?.split(',').map(str::trim);
        if let Some(element) = elements.find(|element| !element.is_empty()) {
            return Some(element);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    type Headers = [(&'static str, &'static str)];

    fn parts(uri: &str, headers: &Headers) -> Parts {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_target_is_named_once_or_twice_alike() {
        let host = |host| Some((host, None));
        #[rustfmt::skip]
        let table: &[(&str, &Headers, _)] = &[
            ("/", &[("host", "a.com")], host("a.com")),
            ("/", &[("host", "a.com:81")], Some(("a.com", Some(81)))),
            ("/", &[("host", "[::1]:81")], Some(("[::1]", Some(81)))),
            ("/", &[("host", "[::1]")], host("[::1]")),
            ("http://a.com/", &[], host("a.com")),
            ("http://a.com/", &[("host", "A.com")], host("a.com")),
            ("http://a.com/", &[("host", "b.com")], None),
            ("http://a.com/", &[("host", "a.com:80")], None),
            ("http://a.com/", &[("host", "a.com"), ("host", "b.com")], None),
            ("/", &[("host", "a.com"), ("host", "a.com")], None),
            ("/", &[], None),
            ("/", &[("host", "")], None),
            ("/", &[("host", "a.com:")], None),
            ("/", &[("host", "a.com, b.com")], None),
            ("/", &[("host", "a.com@b.com")], None),
            ("http://user@a.com/", &[], None),
            ("/", &[("host", "caf\u{e9}.com")], None),
        ];
        for (uri, headers, expected) in table {
            let parts = parts(uri, headers);
            let target = Target::of(&parts, false);
            let target = target.map(|target| (target.host, target.port));
            assert_eq!(target, *expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_names_the_target() {
        #[rustfmt::skip]
        let table: &[(&Headers, &str, Option<&str>)] = &[
            (&[], "inner", None),
            (&[("forwarded", "host=a.com;proto=https")], "a.com", Some("https")),
            (&[("forwarded", "for=10.0.0.1; Proto=\"https\" ;HOST=\"a.com\"")], "a.com", Some("https")),
            (&[("forwarded", "host=a.com, host=b.com")], "a.com", None),
            (&[("forwarded", "host=a.com"), ("forwarded", "host=b.com")], "a.com", None),
            (&[("forwarded", "for=\"[::1]:80\"")], "inner", None),
            (&[("forwarded", " ,\t, host=a.com;proto=https, host=b.com")], "a.com", Some("https")),
            (&[("forwarded", ""), ("forwarded", ","), ("forwarded", "host=a.com")], "a.com", None),
            (&[("forwarded", ", for=10.0.0.1, host=b.com")], "inner", None),
            (&[("x-forwarded-host", ",a.com"), ("x-forwarded-proto", ", ,wss,http")], "a.com", Some("wss")),
            (&[("x-forwarded-host", " "), ("x-forwarded-host", "a.com,")], "a.com", None),
            (&[("forwarded", ","), ("x-forwarded-host", "a.com")], "a.com", None),
            (&[("x-forwarded-host", ""), ("x-forwarded-proto", ",")], "inner", None),
            (&[("x-forwarded-host", "a.com"), ("x-forwarded-proto", "https")], "a.com", Some("https")),
            (&[("x-forwarded-host", "a.com, b.com"), ("x-forwarded-proto", "https,http")], "a.com", Some("https")),
            (&[("x-forwarded-proto", "wss")], "inner", Some("wss")),
            (&[("x-forwarded-proto", "WS")], "inner", Some("WS")),
            (&[("forwarded", "host=a.com"), ("x-forwarded-host", "b.com")], "a.com", None),
            (&[("forwarded", "proto=http"), ("x-forwarded-host", "b.com")], "b.com", Some("http")),
        ];
        for (headers, host, scheme) in table {
            let headers = [&[("host", "inner")], *headers].concat();
            let parts = parts("/", &headers);
            let target = Target::of(&parts, true).unwrap();
            assert_eq!(
                (target.host, target.scheme),
                (*host, *scheme),
                "{headers:?}"
            );
            let target = Target::of(&parts, false).unwrap();
            assert_eq!((target.host, target.scheme), ("inner", None), "{headers:?}");
        }
        for host in ["a.com/", ",a.com/, b.com", "\"a.com", "user@a.com"] {
            let headers = [("host", "inner"), ("x-forwarded-host", host)];
            assert_eq!(Target::of(&parts("/", &headers), true), None, "{host:?}");
        }
    }
}
