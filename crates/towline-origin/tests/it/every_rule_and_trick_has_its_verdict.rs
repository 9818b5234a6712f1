//! One table: what a layer is made of, a handshake, and its verdict, over HTTP/1.1 and HTTP/2.

use OriginRejectionKind::{Malformed, Missing, NotAllowed, Null, Repeated};
use Verdict::{NoLayer, Passes, Refused};
use http::Method;
use http::uri::Scheme;
use towline_origin::{InvalidOrigin, InvalidOriginKind, OriginLayer, OriginRejectionKind};

use crate::support::{Handshake, Http, ask, from, handshake};

type Layer = Result<OriginLayer, InvalidOrigin>;

#[derive(Debug)]
enum Verdict {
    Passes,
    Refused(OriginRejectionKind),
    /// What an operator wrote is an error, so there is no layer.
    NoLayer(InvalidOriginKind),
}

struct Row {
    name: &'static str,
    layer: Layer,
    handshake: Handshake,
    verdict: Verdict,
    /// Where it can be sent.
    over: &'static [Http],
}

fn row(name: &'static str, layer: Layer, handshake: Handshake, verdict: Verdict) -> Row {
    Row {
        name,
        layer,
        handshake,
        verdict,
        over: &[Http::One, Http::Two],
    }
}

impl Row {
    fn over(mut self, only: &'static [Http]) -> Self {
        self.over = only;
        self
    }
}

fn allow<const N: usize>(origins: [&str; N]) -> Layer {
    OriginLayer::allow(origins)
}

fn same() -> Layer {
    Ok(OriginLayer::same_origin())
}

/// ASP.NET Core's own cases of a list, with `http://example.com` as the origin, and the other rules of its middleware.
#[rustfmt::skip]
fn the_floor() -> Vec<Row> {
    let client = || from("http://example.com");
    vec![
        // The two first differ on purpose. There no list admits everybody, and an empty entry matches nothing. Here both are
        // slips of an operator, found at the start; to admit everybody leave the layer out, or write `*`.
        row("no list", allow([]), client(), NoLayer(InvalidOriginKind::NoEntry)),
        row("an empty entry", allow([""]), client(), NoLayer(InvalidOriginKind::Empty)),
        row("another", allow(["http://e.com"]), client(), Refused(NotAllowed)),
        row("another and this one", allow(["http://e.com", "http://example.com"]), client(), Passes),
        row("any", allow(["*"]), client(), Passes),
        row("another and any", allow(["http://e.com", "*"]), client(), Passes),
        row("in mixed case", allow(["http://ExAmPLE.cOm"]), client(), Passes),

        row("missing", allow(["http://e.com"]), handshake(), Passes),
        row("not WebSocket", allow(["http://e.com"]), client().upgrade([], None), Passes),
        // There an empty one passes as if it were missing.
        row("empty", allow(["*"]), from(""), Refused(Malformed)),
    ]
}

#[rustfmt::skip]
fn requests() -> Vec<Row> {
    let evil = || from("https://evil.example");
    vec![
        row("a fetch", same(), evil().upgrade([], None), Passes),
        row("a post", same(), evil().upgrade([], None).method(Method::POST), Passes),
        row("another upgrade", same(), evil().upgrade(["h2c"], "connect-udp"), Passes),
        row("a longer token", same(), evil().upgrade(["websockets"], "websockets"), Passes),
        row("in any case", same(), evil().upgrade(["WebSocket"], "WEBSOCKET"), Refused(NotAllowed)),
        row("in a list", same(), evil().upgrade(["h2c, websocket"], "websocket"), Refused(NotAllowed)),
        row("in another line", same(), evil().upgrade(["h2c", "websocket"], "websocket"), Refused(NotAllowed)),
        // What another library takes for a handshake.
        row("with another method", same(), evil().method(Method::POST), Refused(NotAllowed)).over(&[Http::One]),
        row("of an old version", same(), evil().and("sec-websocket-version", "8"), Refused(NotAllowed)),
        row("with a body", same(), evil().and("content-length", "0"), Refused(NotAllowed)).over(&[Http::One]),
    ]
}

#[rustfmt::skip]
fn malformed() -> Vec<Row> {
    let any = || allow(["*"]);
    let bad = |origin: &[u8]| row("no origin", any(), from(origin), Refused(Malformed));
    vec![
        row("any", any(), from("https://anything.example:8443"), Passes),
        row("missing", any(), handshake(), Passes),
        row("missing, required", any().map(|layer| layer.require_origin(true)), handshake(), Refused(Missing)),
        row("there, required", any().map(|layer| layer.require_origin(true)), from("https://a.com"), Passes),
        row("null", any(), from("null"), Refused(Null)),
        row("null, from where it is sent to", same(), from("null").to("null"), Refused(Null)),
        row("null, for a predicate", Ok(OriginLayer::predicate(|_, _| true)), from("null"), Refused(Null)),
        row("null, allowed", same().map(|layer| layer.allow_null(true)), from("null"), Passes),
        row("null in another case", same().map(|layer| layer.allow_null(true)), from("Null"), Refused(Malformed)),
        row("another, null allowed", same().map(|layer| layer.allow_null(true)), from("https://a.com"), Refused(NotAllowed)),
        row("two", any(), from("https://a.com").and("origin", "https://b.com"), Refused(Repeated)),
        row("the same twice", any(), from("https://a.com").and("origin", "https://a.com"), Refused(Repeated)),
        row("two, and null allowed", any().map(|layer| layer.allow_null(true)), from("null").and("origin", "null"), Refused(Repeated)),
        bad(b"https://a.com https://b.com"),
        bad(b"https://a.com,https://b.com"),
        bad(b"example.com"),
        bad(b"//example.com"),
        bad(b"https:example.com"),
        bad(b"https:/example.com"),
        bad(b"https:\\\\example.com"),
        bad(b"https://"),
        bad(b"https://example.com/"),
        bad(b"https://example.com\\"),
        bad(b"https://example.com?x"),
        bad(b"https://example.com#x"),
        bad(b"https://user@example.com"),
        bad(b"https://user:pass@example.com"),
        bad(b"https://example.com:"),
        bad(b"https://example.com:90000"),
        bad(b"https://example.com:+443"),
        bad(b"https://exam%70le.com"),
        bad(b"https://exa\tmple.com"),
        bad(b"https://*.example.com"),
        bad(b"https://.example.com"),
        bad(b"https://a..example.com"),
        bad("https://bücher.example".as_bytes()),
        bad(b"https://\xff.example"),
        bad(b"*"),
        // A path, userinfo, white space, a control character or a second value is no part of an origin without a host either.
        bad(b"file:"),
        bad(b"file:/"),
        bad(b"file:///"),
        bad(b"file:///index.html"),
        bad(b"file://?"),
        bad(b"file://#"),
        bad(b"file://@"),
        bad(b"file://:80"),
        bad(b"file://\\"),
        bad(b"file://\tx"),
        bad(b"file:// file://"),
        bad(b"file://,file://"),
        bad(b"file://\xff"),
        bad(b"app://./"),
        bad(b"app://.:7"),
        bad(b"app://.."),
        bad(b"app://.example.com"),
        bad(b"://"),
        bad(b"http://"),
        bad(b"ws://"),
        bad(b"wss://"),
        bad(b"wss://."),
        bad(b"wss://example.com/"),
        bad(b"wss://example.com/ws"),
        bad(b"wss://user@example.com"),
        bad(b"wss://example.com:90000"),
    ]
}

/// Origins that pages of applications and native clients send: no host, or one that is no name of a server.
#[rustfmt::skip]
fn without_a_host() -> Vec<Row> {
    let origins = ["file://", "FILE://", "content://", "qrc://", "app://.", "capacitor://localhost", "tauri://localhost"];
    let mut rows = Vec::new();
    for origin in origins {
        rows.extend([
            row("any", allow(["*"]), from(origin), Passes),
            row("any, beside the same origin", same().and_then(|layer| layer.or_allow(["*"])), from(origin), Passes),
            row("its own entry", allow([origin]), from(origin), Passes),
            row("another entry", allow(["https://example.com", "other://", "other://.", "app://", "file-x://"]), from(origin), Refused(NotAllowed)),
            row("a pattern", allow(["https://*.example.com", "app://*.localhost"]), from(origin), Refused(NotAllowed)),
            row("the same origin", same(), from(origin), Refused(NotAllowed)),
            row("the same origin, of a host alike", same(), from(origin).to("localhost"), Refused(NotAllowed)),
            row("the same origin, of no host", same(), from(origin).to(""), Refused(NotAllowed)).over(&[Http::One]),
            row("the same origin, of a dot", same(), from(origin).to("."), Refused(NotAllowed)),
            row("the same origin, null allowed", same().map(|layer| layer.allow_null(true)), from(origin), Refused(NotAllowed)),
            row("a predicate", Ok(OriginLayer::predicate(|_, _| true)), from(origin), Passes),
            row("a predicate, no", Ok(OriginLayer::predicate(|_, _| false)), from(origin), Refused(NotAllowed)),
        ]);
    }
    let no_host = || Ok(OriginLayer::predicate(|origin, _| origin.host().is_none() && origin.port().is_none()));
    rows.extend([
        row("upper case in the list", allow(["FILE://"]), from("file://"), Passes),
        row("a host, not listed", allow(["file://"]), from("file://localhost"), Refused(NotAllowed)),
        row("no host, not listed", allow(["app://localhost", "app://."]), from("app://"), Refused(NotAllowed)),
        row("a dot is not every host", allow(["app://."]), from("app://example."), Refused(NotAllowed)),
        row("no host, for a predicate", no_host(), from("file://"), Passes),
        row("a dot, for a predicate", no_host(), from("app://."), Refused(NotAllowed)),
        row("a path in the list", allow(["file:///"]), handshake(), NoLayer(InvalidOriginKind::Excess)),
        row("a wildcard alone", allow(["file://*"]), handshake(), NoLayer(InvalidOriginKind::Wildcard)),
        row("a wildcard before nothing", allow(["file://*."]), handshake(), NoLayer(InvalidOriginKind::Wildcard)),
        row("a wildcard before a dot", allow(["app://*.."]), handshake(), NoLayer(InvalidOriginKind::Wildcard)),
        row("the scheme of servers", allow(["https://"]), handshake(), NoLayer(InvalidOriginKind::Unparsable)),
        row("the scheme of sockets", allow(["wss://"]), handshake(), NoLayer(InvalidOriginKind::SocketScheme)),
    ]);
    rows
}

/// Native clients send the URL of their socket. It is compared as the page's would be.
#[rustfmt::skip]
fn the_url_of_a_socket() -> Vec<Row> {
    let with = |scheme: &str| { let scheme = scheme.parse().unwrap(); same().map(|layer| layer.scheme(scheme)) };
    let pinned = || same().and_then(|layer| layer.hosts(["example.com"]));
    let trusting = || same().map(|layer| layer.trust_forwarded(true));
    let one = || allow(["https://example.com"]);
    let below = || allow(["https://*.example.com"]);
    vec![
        row("ws", same(), from("ws://example.com"), Passes),
        row("wss", same(), from("wss://example.com"), Passes),
        row("upper case", same(), from("WSS://EXAMPLE.com"), Passes),
        row("the same port", same(), from("ws://localhost:5000").to("localhost:5000"), Passes),
        row("IPv6", same(), from("ws://[::1]:5000").to("[::1]:5000"), Passes),
        row("another port", same(), from("ws://localhost:5001").to("localhost:5000"), Refused(NotAllowed)),
        row("no port here", same(), from("ws://localhost").to("localhost:5000"), Refused(NotAllowed)),
        row("no port there", same(), from("ws://localhost:5000").to("localhost"), Refused(NotAllowed)),
        row("ws, 80 there", same(), from("ws://example.com").to("example.com:80"), Passes),
        row("ws, 443 there", same(), from("ws://example.com").to("example.com:443"), Refused(NotAllowed)),
        row("wss, 443 there", same(), from("wss://example.com").to("example.com:443"), Passes),
        row("wss, 80 there", same(), from("wss://example.com").to("example.com:80"), Refused(NotAllowed)),
        row("wss, 443 here", same(), from("wss://example.com:443"), Passes),
        row("ws, 443 here", same(), from("ws://example.com:443"), Refused(NotAllowed)),
        row("a foreign host", same(), from("ws://evil.example"), Refused(NotAllowed)),
        row("a foreign host, tls", same(), from("wss://evil.example"), Refused(NotAllowed)),
        row("a suffix", same(), from("wss://example.com.evil"), Refused(NotAllowed)),
        row("a trailing dot", same(), from("wss://example.com."), Refused(NotAllowed)),
        row("another scheme of that name", same(), from("wsx://example.com"), Refused(NotAllowed)),
        row("two", same(), from("wss://example.com").and("origin", "https://example.com"), Refused(Repeated)),
        row("pinned", pinned(), from("wss://example.com"), Passes),
        row("pinned, rebound", pinned(), from("wss://evil.example").to("evil.example"), Refused(NotAllowed)),

        row("wss of https", with("https"), from("wss://example.com"), Passes),
        row("ws of https", with("https"), from("ws://example.com"), Refused(NotAllowed)),
        row("ws of https, the port alike", with("https"), from("ws://example.com:443").to("example.com:443"), Refused(NotAllowed)),
        row("ws of http", with("http"), from("ws://example.com"), Passes),
        row("wss of http", with("http"), from("wss://example.com"), Refused(NotAllowed)),
        row("wss of wss", with("wss"), from("wss://example.com"), Passes),
        row("https of wss", with("wss"), from("https://example.com"), Passes),
        row("http of WSS", with("WSS"), from("http://example.com"), Refused(NotAllowed)),
        row("http of ws", with("ws"), from("http://example.com"), Passes),
        row("trusted, wss of https", trusting(), from("wss://example.com").and("x-forwarded-proto", "https"), Passes),
        row("trusted, wss of wss", trusting(), from("wss://example.com").and("forwarded", "proto=wss"), Passes),
        row("trusted, ws of https", trusting(), from("ws://example.com").and("x-forwarded-proto", "https"), Refused(NotAllowed)),
        row("trusted, wss of http", trusting(), from("wss://example.com").and("x-forwarded-proto", "http"), Refused(NotAllowed)),

        row("of an entry", one(), from("wss://example.com"), Passes),
        row("of an entry, the default port", one(), from("wss://example.com:443"), Passes),
        row("of an entry of http", allow(["http://localhost:5000"]), from("ws://localhost:5000"), Passes),
        row("ws of an entry of https", one(), from("ws://example.com"), Refused(NotAllowed)),
        row("ws of an entry of https, the port alike", one(), from("ws://example.com:443"), Refused(NotAllowed)),
        row("wss of an entry of http", allow(["http://example.com"]), from("wss://example.com"), Refused(NotAllowed)),
        row("another port than the entry's", one(), from("wss://example.com:8443"), Refused(NotAllowed)),
        row("foreign to the list", one(), from("wss://evil.example"), Refused(NotAllowed)),
        row("foreign to the list, sent to it", one(), from("wss://evil.example").to("evil.example"), Refused(NotAllowed)),
        row("below an entry", below(), from("wss://a.example.com"), Passes),
        row("ws below an entry of https", below(), from("ws://a.example.com"), Refused(NotAllowed)),
        row("not the apex", below(), from("wss://example.com"), Refused(NotAllowed)),
        row("below, no dot", below(), from("wss://evilexample.com"), Refused(NotAllowed)),
        row("any", allow(["*"]), from("ws://anything.example"), Passes),
        row("a predicate sees what was sent", Ok(OriginLayer::predicate(|origin, _| origin.scheme() == "wss" && origin.port() == Some(443))), from("WSS://a.com"), Passes),
    ]
}

#[rustfmt::skip]
fn lists() -> Vec<Row> {
    let one = || allow(["https://example.com"]);
    let below = || allow(["https://*.example.com"]);
    vec![
        row("this", one(), from("https://example.com"), Passes),
        row("upper case", one(), from("HTTPS://EXAMPLE.COM"), Passes),
        row("its default port", one(), from("https://example.com:443"), Passes),
        row("the default port in the list", allow(["https://example.com:443"]), from("https://example.com"), Passes),
        row("another port", one(), from("https://example.com:8443"), Refused(NotAllowed)),
        row("another port in the list", allow(["https://example.com:8443"]), from("https://example.com"), Refused(NotAllowed)),
        row("the port", allow(["https://example.com:8443"]), from("https://example.com:8443"), Passes),
        row("another scheme", one(), from("http://example.com"), Refused(NotAllowed)),
        row("another scheme, the same port", one(), from("http://example.com:443"), Refused(NotAllowed)),
        row("a name below", one(), from("https://a.example.com"), Refused(NotAllowed)),
        row("a suffix", one(), from("https://example.com.evil"), Refused(NotAllowed)),
        row("a prefix", one(), from("https://evilexample.com"), Refused(NotAllowed)),
        row("a prefix with a dash", one(), from("https://evil-example.com"), Refused(NotAllowed)),
        row("a trailing dot", one(), from("https://example.com."), Refused(NotAllowed)),
        row("userinfo", one(), from("https://example.com@evil.com"), Refused(Malformed)),
        row("a truncated name", one(), from("https://example.co"), Refused(NotAllowed)),
        row("an empty path", one(), from("https://example.com/"), Refused(Malformed)),
        row("the host without its scheme", one(), from("example.com"), Refused(Malformed)),
        row("sent where it is not from", one(), from("https://example.com").to("other.com"), Passes),
        row("from where it is sent to", one(), from("https://other.com").to("other.com"), Refused(NotAllowed)),

        row("Unicode in the list", allow(["https://bücher.example"]), from("https://xn--bcher-kva.example"), Passes),
        row("another form of it", allow(["https://BÜCHER.example"]), from("https://xn--bcher-kva.example"), Passes),
        row("its ASCII in upper case", allow(["https://bücher.example"]), from("https://XN--BCHER-KVA.example"), Passes),
        row("a look-alike", allow(["https://bücher.example"]), from("https://bucher.example"), Refused(NotAllowed)),
        row("IPv4", allow(["http://127.1:3000"]), from("http://127.0.0.1:3000"), Passes),
        row("IPv4, as no browser has it", allow(["http://127.0.0.1:3000"]), from("http://127.1:3000"), Refused(NotAllowed)),
        row("IPv6", allow(["http://[0::1]"]), from("http://[::1]"), Passes),
        row("an extension", allow(["chrome-extension://abcdefgh"]), from("chrome-extension://abcdefgh"), Passes),
        row("another extension", allow(["chrome-extension://abcdefgh"]), from("chrome-extension://hgfedcba"), Refused(NotAllowed)),
        row("an opaque host has a case", allow(["app://main"]), from("app://MAIN"), Refused(NotAllowed)),

        row("below", below(), from("https://a.example.com"), Passes),
        row("far below", below(), from("https://a.b.c.example.com"), Passes),
        row("below, in upper case", below(), from("https://A.EXAMPLE.com"), Passes),
        row("below, the default port", below(), from("https://a.example.com:443"), Passes),
        row("not the apex", below(), from("https://example.com"), Refused(NotAllowed)),
        row("the apex beside it", allow(["https://*.example.com", "https://example.com"]), from("https://example.com"), Passes),
        row("below, a prefix", below(), from("https://prefix-example.com"), Refused(NotAllowed)),
        row("below, no dot", below(), from("https://evilexample.com"), Refused(NotAllowed)),
        row("below, no label", below(), from("https://.example.com"), Refused(Malformed)),
        row("below, a suffix", below(), from("https://a.example.com.evil"), Refused(NotAllowed)),
        row("below, a trailing dot", below(), from("https://a.example.com."), Refused(NotAllowed)),
        row("below, another scheme", below(), from("http://a.example.com"), Refused(NotAllowed)),
        row("below, another scheme, the same port", below(), from("http://a.example.com:443"), Refused(NotAllowed)),
        row("below, another port", below(), from("https://a.example.com:8443"), Refused(NotAllowed)),
        row("below, the port", allow(["https://*.example.com:8443"]), from("https://a.example.com:8443"), Passes),
        row("below, userinfo", below(), from("https://evil.com@a.example.com"), Refused(Malformed)),
        row("below, a path", below(), from("https://evil.com/.example.com"), Refused(Malformed)),
        row("below, a fragment", below(), from("https://evil.com#.example.com"), Refused(Malformed)),
        row("below, a backslash", below(), from("https://evil.com\\.example.com"), Refused(Malformed)),
        row("below, escaped", below(), from("https://evil.com%2f.example.com"), Refused(Malformed)),
        row("below, Unicode", allow(["https://*.bücher.example"]), from("https://a.xn--bcher-kva.example"), Passes),

        row("no scheme", allow(["example.com"]), handshake(), NoLayer(InvalidOriginKind::NoScheme)),
        row("null", allow(["null"]), handshake(), NoLayer(InvalidOriginKind::NoScheme)),
        row("a path", allow(["https://example.com/ws"]), handshake(), NoLayer(InvalidOriginKind::Excess)),
        row("port 90000", allow(["https://example.com:90000"]), handshake(), NoLayer(InvalidOriginKind::Unparsable)),
        row("the socket's scheme", allow(["wss://example.com"]), handshake(), NoLayer(InvalidOriginKind::SocketScheme)),
        row("a wildcard in a label", allow(["https://*example.com"]), handshake(), NoLayer(InvalidOriginKind::Wildcard)),
        row("one of two", allow(["https://example.com", ""]), handshake(), NoLayer(InvalidOriginKind::Empty)),
        row("as an addition", same().and_then(|layer| layer.or_allow(["example.com"])), handshake(), NoLayer(InvalidOriginKind::NoScheme)),
    ]
}

#[rustfmt::skip]
fn same_origin() -> Vec<Row> {
    let https = || same().map(|layer| layer.scheme(Scheme::HTTPS));
    vec![
        row("the same", same(), from("https://example.com"), Passes),
        row("of http", same(), from("http://example.com"), Passes),
        row("upper case here", same(), from("https://EXAMPLE.com"), Passes),
        row("upper case there", same(), from("https://example.com").to("Example.COM"), Passes),
        row("the same port", same(), from("http://localhost:5000").to("localhost:5000"), Passes),
        row("IPv6", same(), from("http://[::1]:5000").to("[::1]:5000"), Passes),
        row("another port", same(), from("http://localhost:5001").to("localhost:5000"), Refused(NotAllowed)),
        row("another port, digits alike", same(), from("http://localhost:50000").to("localhost:5000"), Refused(NotAllowed)),
        row("no port here", same(), from("http://localhost").to("localhost:5000"), Refused(NotAllowed)),
        row("no port there", same(), from("http://localhost:5000").to("localhost"), Refused(NotAllowed)),
        row("https, 443 there", same(), from("https://example.com").to("example.com:443"), Passes),
        row("http, 443 there", same(), from("http://example.com").to("example.com:443"), Refused(NotAllowed)),
        row("http, 80 there", same(), from("http://example.com").to("example.com:80"), Passes),
        row("https, 80 there", same(), from("https://example.com").to("example.com:80"), Refused(NotAllowed)),
        row("443 here", same(), from("https://example.com:443"), Passes),
        row("http with 443 here", same(), from("http://example.com:443"), Refused(NotAllowed)),
        row("another host", same(), from("https://evil.example"), Refused(NotAllowed)),
        row("a name below", same(), from("https://a.example.com"), Refused(NotAllowed)),
        row("the name above", same(), from("https://example.com").to("a.example.com"), Refused(NotAllowed)),
        row("a suffix", same(), from("https://example.com.evil"), Refused(NotAllowed)),
        row("a prefix", same(), from("https://evilexample.com"), Refused(NotAllowed)),
        row("a trailing dot here", same(), from("https://example.com."), Refused(NotAllowed)),
        row("a trailing dot there", same(), from("https://example.com").to("example.com."), Refused(NotAllowed)),
        row("userinfo", same(), from("https://example.com@evil.example"), Refused(Malformed)),
        row("userinfo there", same(), from("https://example.com").to("evil@example.com"), Refused(NotAllowed)).over(&[Http::One]),
        row("an extension of that name", same(), from("chrome-extension://example.com"), Refused(NotAllowed)),
        row("a file", same(), from("file://"), Refused(NotAllowed)),
        row("no host", same(), from("https://example.com").without_host(), Refused(NotAllowed)),
        row("no host, and no page", same(), handshake().without_host(), Passes),
        row("an empty host", same(), from("https://example.com").to(""), Refused(NotAllowed)).over(&[Http::One]),
        row("two hosts", same(), from("https://example.com").and("host", "other.com"), Refused(NotAllowed)),
        row("two hosts, the other", same(), from("https://other.com").and("host", "other.com"), Refused(NotAllowed)),
        row("two hosts alike", same(), from("https://example.com").and("host", "example.com"), Refused(NotAllowed)).over(&[Http::One]),
        row("authority and host alike", same(), from("https://example.com").and("host", "EXAMPLE.com"), Passes).over(&[Http::Two]),

        row("https of https", https(), from("https://example.com"), Passes),
        row("http of https", https(), from("http://example.com"), Refused(NotAllowed)),
        row("http of https, the port alike", https(), from("http://example.com:443").to("example.com:443"), Refused(NotAllowed)),
    ]
}

#[rustfmt::skip]
fn hosts() -> Vec<Row> {
    let pinned = || same().and_then(|layer| layer.hosts(["app.example.com", "LocalHost", "[::1]", "bücher.example"]));
    vec![
        row("rebound", same(), from("http://evil.example:5000").to("evil.example:5000"), Passes),
        row("rebound, pinned", pinned(), from("http://evil.example:5000").to("evil.example:5000"), Refused(NotAllowed)),
        row("pinned", pinned(), from("https://app.example.com").to("app.example.com"), Passes),
        row("pinned, any port", pinned(), from("http://localhost:5000").to("localhost:5000"), Passes),
        row("pinned, upper case", pinned(), from("http://LOCALHOST").to("LOCALhost"), Passes),
        row("pinned, IPv6", pinned(), from("http://[::1]").to("[::1]"), Passes),
        row("pinned, Unicode", pinned(), from("http://xn--bcher-kva.example").to("xn--bcher-kva.example"), Passes),
        row("pinned, another page", pinned(), from("https://evil.example").to("app.example.com"), Refused(NotAllowed)),
        row("pinned, a trailing dot", pinned(), from("http://localhost.").to("localhost."), Refused(NotAllowed)),
        row("pinned, a suffix", pinned(), from("http://localhost.evil").to("localhost.evil"), Refused(NotAllowed)),
        row("pinned, no page", pinned(), handshake().to("evil.example"), Passes),
        row("no host", same().and_then(|layer| layer.hosts([""; 0])), handshake(), NoLayer(InvalidOriginKind::NoEntry)),
        row("an origin", same().and_then(|layer| layer.hosts(["https://a.com"])), handshake(), NoLayer(InvalidOriginKind::Host)),
        row("a port", same().and_then(|layer| layer.hosts(["a.com:80"])), handshake(), NoLayer(InvalidOriginKind::Host)),
        row("of no use", allow(["*"]).and_then(|layer| layer.hosts(["a.com"])), handshake(), NoLayer(InvalidOriginKind::NotSameOrigin)),
    ]
}

#[rustfmt::skip]
fn forwarded() -> Vec<Row> {
    let trusting = || same().map(|layer| layer.trust_forwarded(true));
    let page = || from("https://app.example.com").to("10.0.0.7:5000");
    vec![
        row("not trusted", same(), page().and("x-forwarded-host", "app.example.com"), Refused(NotAllowed)),
        row("not trusted, Forwarded", same(), page().and("forwarded", "host=app.example.com"), Refused(NotAllowed)),
        row("not trusted, the proto", same(), from("https://example.com").and("x-forwarded-proto", "http"), Passes),
        row("trusted", trusting(), page().and("x-forwarded-host", "app.example.com"), Passes),
        row("trusted, Forwarded", trusting(), page().and("forwarded", "for=1.2.3.4;host=app.example.com;proto=https"), Passes),
        row("trusted, a port", trusting(), from("http://a.com:81").and("forwarded", "host=\"a.com:81\""), Passes),
        row("trusted, https", trusting(), page().and("x-forwarded-host", "app.example.com").and("x-forwarded-proto", "https"), Passes),
        row("trusted, wss", trusting(), page().and("x-forwarded-host", "app.example.com").and("x-forwarded-proto", "wss"), Passes),
        row("trusted, http", trusting(), page().and("x-forwarded-host", "app.example.com").and("x-forwarded-proto", "http"), Refused(NotAllowed)),
        row("trusted, what is it", trusting(), page().and("x-forwarded-host", "app.example.com").and("x-forwarded-proto", "quic"), Refused(NotAllowed)),
        row("trusted, and kept", trusting(), from("https://example.com").and("x-forwarded-proto", "https"), Passes),
        row("trusted, not sent", trusting(), from("https://example.com"), Passes),
        row("trusted, not the host", trusting(), from("https://example.com").and("x-forwarded-host", "a.com"), Refused(NotAllowed)),
        row("trusted, the first of two", trusting(), page().and("x-forwarded-host", "app.example.com, inner"), Passes),
        row("trusted, an empty element", trusting(), page().and("x-forwarded-host", ", app.example.com"), Passes),
        row("trusted, nothing but empty elements", trusting(), page().and("x-forwarded-host", ","), Refused(NotAllowed)),
        row("trusted, the second of two", trusting(), page().and("x-forwarded-host", "outer, app.example.com"), Refused(NotAllowed)),
        row("trusted, malformed", trusting(), page().and("x-forwarded-host", "app.example.com/"), Refused(NotAllowed)),
        row("trusted, pinned", trusting().and_then(|layer| layer.hosts(["app.example.com"])), page().and("x-forwarded-host", "app.example.com"), Passes),
        row("trusted, pinned, rebound", trusting().and_then(|layer| layer.hosts(["other.com"])), page().and("x-forwarded-host", "app.example.com"), Refused(NotAllowed)),
        row("the operator's scheme, not the proxy's", trusting().map(|layer| layer.scheme(Scheme::HTTPS)), from("https://example.com").and("x-forwarded-proto", "http"), Passes),
    ]
}

#[rustfmt::skip]
fn combinations() -> Vec<Row> {
    let or = || same().and_then(|layer| layer.or_allow(["https://client.com"]));
    let tenant = || Ok(OriginLayer::predicate(|origin, request| {
        request.headers.get("tenant").is_some_and(|tenant| origin.host().is_some_and(|host| tenant == host))
    }));
    let http = || or().map(|layer| layer.or_predicate(|origin, _| origin.scheme() == "app" && origin.port() == Some(7)));
    vec![
        row("the first", or(), from("https://example.com"), Passes),
        row("the second", or(), from("https://client.com"), Passes),
        row("neither", or(), from("https://evil.example"), Refused(NotAllowed)),
        row("or, pinned", or().and_then(|layer| layer.hosts(["localhost"])), from("https://client.com"), Passes),
        row("or, pinned, rebound", or().and_then(|layer| layer.hosts(["localhost"])), from("https://example.com"), Refused(NotAllowed)),
        row("a predicate", tenant(), from("https://EXAMPLE.com").and("tenant", "example.com"), Passes),
        row("a predicate, no", tenant(), from("https://example.com").and("tenant", "other.com"), Refused(NotAllowed)),
        row("a predicate, no page", tenant(), handshake(), Passes),
        row("the third", http(), from("app://main:7"), Passes),
        row("none of three", http(), from("app://main:8"), Refused(NotAllowed)),
    ]
}

#[tokio::test(start_paused = true)]
async fn over_http1_and_http2() {
    let mut asked = 0;
    for table in [
        the_floor,
        requests,
        malformed,
        without_a_host,
        the_url_of_a_socket,
        lists,
        same_origin,
        hosts,
        forwarded,
        combinations,
    ] {
        for row in table() {
            asked += check(row).await;
        }
    }
    assert!(asked > 600, "{asked}");
}

async fn check(row: Row) -> usize {
    let name = row.name;
    let (layer, refused) = match (row.layer, row.verdict) {
        (Err(error), NoLayer(kind)) => {
            assert_eq!(error.kind(), kind, "{name}");
            return 0;
        }
        (Ok(layer), Passes) => (layer, None),
        (Ok(layer), Refused(kind)) => (layer, Some(kind)),
        (layer, verdict) => panic!("{name}: {verdict:?}, but there is {layer:?}"),
    };
    for http in row.over {
        let answer = ask(&layer, *http, &row.handshake).await;
        let context = format!("{name}: {:?} over {http:?}: {answer:?}", row.handshake);
        match refused {
            None => {
                assert_eq!((answer.status, answer.reached), (200, true), "{context}");
                assert_eq!(answer.rejection, None, "{context}");
            }
            Some(kind) => {
                assert_eq!((answer.status, answer.reached), (403, false), "{context}");
                assert!(answer.body.is_empty(), "{context}");
                let rejection = answer.rejection.unwrap_or_default();
                assert!(rejection.starts_with(&kind.to_string()), "{context}");
                if let Some(offending) = row.handshake.first("origin") {
                    assert!(rejection.ends_with(&format!("{offending:?}")), "{context}");
                }
            }
        }
    }
    row.over.len()
}
