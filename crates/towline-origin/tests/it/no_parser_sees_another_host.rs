//! Whatever is admitted, a URL parser takes for the origin that was meant.

use http::Request;
use proptest::prelude::*;
use towline_origin::{Origin, OriginLayer, OriginPolicy};
use url::{Host, Url};

const NAME: &str = "https://example.com";
const BASE: &str = "example.org";

fn policy() -> OriginPolicy {
    let layer = OriginLayer::allow([
        NAME,
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "https://*.example.org",
        "file://",
        "app://.",
    ]);
    layer.unwrap().policy().clone()
}

/// Pieces of origins, and what parsers stumble over.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "https://",
        "http://",
        "HTTPS://",
        "https:",
        "ws://",
        "wss://",
        "WSS:",
        "file://",
        "file:",
        "app://",
        "App:",
        "//",
        "/",
        "\\",
        ":",
        "@",
        "?",
        "#",
        ".",
        "..",
        "%",
        "%2e",
        "%2f",
        "%00",
        "\t",
        "\n",
        " ",
        "\0",
        "*",
        "[",
        "]",
        "null",
        ",",
        ";",
        "&",
        "-",
        "_",
        "~",
        "\u{3002}",
        "\u{ff0e}",
        "\u{ad}",
        "\u{200d}",
        "\u{e9}",
        "\u{131}",
        "\u{df}",
        "xn--",
        "xn--a",
        "xn--bcher-kva",
        "example",
        "EXAMPLE",
        "com",
        "org",
        "CoM",
        "evil",
        "example.com",
        "example.org",
        ".example.org",
        "a.example.org",
        "127.0.0.1",
        "127.1",
        "0x7f",
        "2130706433",
        "[::1]",
        "[0::1]",
        "::1",
        ":5000",
        ":443",
        ":0443",
        ":80",
        ":90000",
        "5000",
        "user:pass@",
        "localhost",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

/// Origins that are allowed, with pieces put in, and origins of pieces alone.
fn origin() -> impl Strategy<Value = String> {
    let allowed = prop::sample::select(vec![
        NAME,
        "https://example.com:443",
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "https://a.example.org",
        "https://a.b.example.org:443",
        "wss://example.com",
        "ws://127.0.0.1:5000",
        "wss://a.example.org:443",
        "file://",
        "app://.",
    ]);
    let spoilt = (
        allowed,
        prop::collection::vec((any::<prop::sample::Index>(), piece()), 0..3),
    )
        .prop_map(|(allowed, pieces)| {
            pieces
                .iter()
                .fold(allowed.to_owned(), |mut origin, (at, piece)| {
                    let ends: Vec<usize> = origin
                        .char_indices()
                        .map(|(at, _)| at)
                        .chain([origin.len()])
                        .collect();
                    origin.insert_str(ends[at.index(ends.len())], piece);
                    origin
                })
        });
    let made_up = prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat());
    prop_oneof![3 => spoilt, 1 => made_up]
}

/// Whether a URL parser takes it for one of those that are allowed.
fn is_meant(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        // A label that is not the ASCII form of anything: no browser gets as far as to send it.
        return origin.to_ascii_lowercase().contains("xn--");
    };
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    // Without a host there is nothing else than the scheme; the parser takes an absent path of a file for the root.
    if !["http", "https", "ws", "wss"].contains(&url.scheme()) {
        let bare = bare || url.path().is_empty();
        return bare
            && url.port().is_none()
            && match url.scheme() {
                "file" => url.host().is_none(),
                "app" => url.host_str() == Some("."),
                _ => false,
            };
    }
    // No browser sends the URL of a socket as an origin.
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        scheme => scheme,
    };
    let port = url.port_or_known_default().unwrap();
    bare && match url.host().unwrap() {
        Host::Domain("example.com") => (scheme, port) == ("https", 443),
        Host::Domain(name) => {
            let below = name
                .strip_suffix(BASE)
                .is_some_and(|labels| labels.ends_with('.'));
            below && (scheme, port) == ("https", 443)
        }
        Host::Ipv4(address) => address.is_loopback() && (scheme, port) == ("http", 5000),
        Host::Ipv6(address) => address.is_loopback() && (scheme, port) == ("http", 5000),
    }
}

fn admits(policy: &OriginPolicy, origin: &str, host: Option<&str>) -> Option<bool> {
    let mut request = Request::builder();
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let request = request.header("origin", origin.as_bytes()).body(()).ok()?;
    Some(policy.check(&request.into_parts().0).is_ok())
}

/// Many more than usual: what is looked for is rare. The variable `PROPTEST_CASES` asks for yet more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases.max(10_000);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn of_a_list(origin in origin()) {
        if admits(&policy(), &origin, None) == Some(true) {
            prop_assert!(is_meant(&origin), "{:?} was admitted", origin);
        }
    }

    /// The same, where the request has no other name for the server than an attacker could make up.
    #[test]
    fn of_the_same_origin(origin in origin()) {
        let hosts = ["example.com", "127.0.0.1", "[::1]"];
        let policy = OriginLayer::same_origin().hosts(hosts).unwrap().policy().clone();
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if admits(&policy, &origin, Some(host)) == Some(true) {
            let url = Url::parse(&origin).unwrap();
            let host = url.host_str().unwrap();
            prop_assert!(hosts.contains(&host), "{:?} was admitted", origin);
            let of_a_server = ["http", "https", "ws", "wss"].contains(&url.scheme());
            prop_assert!(of_a_server, "{:?} was admitted", origin);
        }
    }

    /// What the operator wrote is what a browser may send.
    #[test]
    fn each_entry_admits_itself(entry in origin()) {
        if let Ok(layer) = OriginLayer::allow([&entry]) {
            let Ok(url) = Url::parse(&entry.replace("*.", "")) else { return Ok(()) };
            let serialised = match url.host_str() {
                Some(host) if !host.is_empty() => url.as_str().trim_end_matches('/'),
                _ => &format!("{}://", url.scheme()),
            };
            let below = serialised.replace("://", "://a.");
            let own = if entry.contains("*.") { &below } else { serialised };
            prop_assert_eq!(admits(layer.policy(), own, None), Some(true), "{:?} does not admit {:?}", entry, own);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// `*` and a predicate have the same to decide on: all that is an origin, with a host or without.
    #[test]
    fn any_admits_what_a_predicate_sees(origin in origin()) {
        let any = OriginLayer::allow(["*"]).unwrap();
        let seen = OriginLayer::predicate(|_, _| true);
        let parsed = Origin::parse(&origin);
        if let Some(parsed) = &parsed {
            let shown = parsed.to_string();
            let again = Origin::parse(&shown);
            prop_assert_eq!(again.as_ref(), Some(parsed));
            // RFC 6454, 7.1: `serialized-origin = scheme "://" host [ ":" port ]`.
            let (_, authority) = origin.split_once("://").unwrap();
            let others = ['/', '\\', '@', '?', '#', ',', ' ', '\t', '\n', '\0'];
            prop_assert!(!authority.contains(others), "{:?}", origin);
        }
        // A value that no header can have is not asked about.
        if let Some(admitted) = admits(any.policy(), &origin, None) {
            prop_assert_eq!(admitted, parsed.is_some(), "{:?}", origin);
            prop_assert_eq!(admits(seen.policy(), &origin, None), Some(admitted), "{:?}", origin);
        }
    }
}

#[test]
fn the_generator_finds_what_is_admitted() {
    for origin in [
        NAME,
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "https://a.example.org",
        "wss://example.com",
        "ws://127.0.0.1:5000",
        "file://",
        "app://.",
    ] {
        assert_eq!(admits(&policy(), origin, None), Some(true));
        assert!(is_meant(origin));
    }
}
