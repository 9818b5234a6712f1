//! The handshake's rules, a table for each part of the head.

use http::header::SEC_WEBSOCKET_ACCEPT;
use proptest::prelude::*;

use super::InvalidHandshake as Invalid;
use super::*;

/// The key of RFC 6455 section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const PROTOCOL: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";
const VERSION: &str = "sec-websocket-version";
const KEY_HEADER: &str = "sec-websocket-key";

/// A request's head, valid until a test spoils it.
#[derive(Clone, Debug)]
struct Head {
    parts: http::request::Parts,
    protocol: Option<&'static str>,
}

impl Head {
    fn new(method: Method, uri: &str, version: Version) -> Self {
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        *request.version_mut() = version;
        Self {
            parts: request.into_parts().0,
            protocol: None,
        }
    }

    /// What a browser sends over HTTP/1.1.
    fn h1() -> Self {
        Self::new(Method::GET, "/ws", Version::HTTP_11)
            .and("host", "example.com")
            .and("connection", "Upgrade")
            .and("upgrade", "websocket")
            .and(VERSION, "13")
            .and(KEY_HEADER, KEY)
    }

    /// What a browser sends over HTTP/2.
    fn h2() -> Self {
        Self::new(Method::CONNECT, "https://example.com/ws", Version::HTTP_2)
            .protocol("websocket")
            .and(VERSION, "13")
    }

    /// A page that is asked for.
    fn page(version: Version) -> Self {
        Self::new(Method::GET, "https://example.com/", version).and("host", "example.com")
    }

    /// With one more line of this header.
    fn and(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.parts.headers.append(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.parts.headers.remove(name);
        self
    }

    /// With this header's lines replaced by one.
    fn with(self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).and(name, value)
    }

    fn method(mut self, method: Method) -> Self {
        self.parts.method = method;
        self
    }

    fn uri(mut self, uri: &str) -> Self {
        self.parts.uri = uri.parse().unwrap();
        self
    }

    fn version(mut self, version: Version) -> Self {
        self.parts.version = version;
        self
    }

    fn protocol(mut self, protocol: impl Into<Option<&'static str>>) -> Self {
        self.protocol = protocol.into();
        self
    }

    fn request(&self) -> Request<'_> {
        Request::new(&self.parts, self.protocol)
    }

    fn check(&self) -> Result<Handshake, Invalid> {
        self.request().check()
    }
}

/// Rows of name, request and the rule that it breaks, if any.
#[track_caller]
fn assert_checks<const N: usize>(rows: [(&str, Head, Result<(), Invalid>); N]) {
    for (name, head, expected) in rows {
        assert_eq!(head.check().map(drop), expected, "{name}: {head:?}");
    }
}

#[test]
#[rustfmt::skip] // One row a line.
fn http1_is_judged_by_every_row_of_the_specification() {
    let h1 = Head::h1;
    assert_checks([
        ("valid", h1(), Ok(())),
        ("no attempt", Head::page(Version::HTTP_11), Err(Invalid::NotWebSocket)),
        ("POST", h1().method(Method::POST), Err(Invalid::Method)),
        ("CONNECT", h1().method(Method::CONNECT), Err(Invalid::Method)),
        ("HEAD", h1().method(Method::HEAD), Err(Invalid::Method)),
        ("no version", h1().without(VERSION), Err(Invalid::Version)),
        ("version 12", h1().with(VERSION, "12"), Err(Invalid::Version)),
        ("version 013", h1().with(VERSION, "013"), Err(Invalid::Version)),
        ("version 13, 8", h1().with(VERSION, "13, 8"), Err(Invalid::Version)),
        ("version 13 13", h1().with(VERSION, "13 13"), Err(Invalid::Version)),
        ("empty version", h1().with(VERSION, ""), Err(Invalid::Version)),
        ("empty versions", h1().with(VERSION, " ,"), Err(Invalid::Version)),
        ("opaque version", h1().with(VERSION, b"\xff"), Err(Invalid::Version)),
        ("version repeated", h1().and(VERSION, "13"), Ok(())),
        ("version repeated in a line", h1().with(VERSION, "13, 13"), Ok(())),
        ("versions 13 and 8", h1().and(VERSION, "8"), Err(Invalid::Version)),
        ("versions 8 and 13", h1().with(VERSION, "8").and(VERSION, "13"), Err(Invalid::Version)),
        ("no connection", h1().without("connection"), Err(Invalid::Connection)),
        ("no upgrade", h1().without("upgrade"), Err(Invalid::Upgrade)),
        ("no key", h1().without(KEY_HEADER), Err(Invalid::Key)),
        ("no host", h1().without("host"), Err(Invalid::Host)),
        ("host only in the target", h1().without("host").uri("http://a/"), Err(Invalid::Host)),
        ("two hosts", h1().and("host", "example.org"), Err(Invalid::Host)),
        ("the same host twice", h1().and("host", "example.com"), Err(Invalid::Host)),
        (":protocol is HTTP/2's", h1().protocol("websocket").without("upgrade"), Err(Invalid::Upgrade)),
    ]);
}

#[test]
fn http1_0_has_no_upgrade() {
    assert_checks([
        (
            "HTTP/1.0",
            Head::h1().version(Version::HTTP_10),
            Err(Invalid::HttpVersion),
        ),
        (
            "HTTP/0.9",
            Head::h1().version(Version::HTTP_09),
            Err(Invalid::HttpVersion),
        ),
        (
            "HTTP/1.0 comes before all else",
            Head::h1()
                .version(Version::HTTP_10)
                .method(Method::POST)
                .without(KEY_HEADER),
            Err(Invalid::HttpVersion),
        ),
        (
            "no attempt",
            Head::page(Version::HTTP_10),
            Err(Invalid::NotWebSocket),
        ),
    ]);
}

#[test]
#[rustfmt::skip] // One row a line.
fn http2_is_judged_by_every_row_of_the_specification() {
    let h2 = Head::h2;
    assert_checks([
        ("valid", h2(), Ok(())),
        ("HAProxy", h2().protocol("WebSocket"), Ok(())),
        ("no attempt", Head::page(Version::HTTP_2), Err(Invalid::NotWebSocket)),
        (
            "another protocol",
            h2().protocol("connect-udp").without(VERSION),
            Err(Invalid::OtherProtocol),
        ),
        ("another protocol, with a version", h2().protocol("connect-udp"), Err(Invalid::OtherProtocol)),
        (
            "another protocol, with a key",
            h2().protocol("webtransport").and(KEY_HEADER, KEY),
            Err(Invalid::OtherProtocol),
        ),
        ("an empty protocol", h2().protocol(""), Err(Invalid::OtherProtocol)),
        ("no :protocol", h2().protocol(None), Err(Invalid::Upgrade)),
        (":protocol is no list", h2().protocol("h2c, websocket"), Err(Invalid::OtherProtocol)),
        ("GET", h2().method(Method::GET), Err(Invalid::Method)),
        ("a handshake of HTTP/1.1", Head::h1().version(Version::HTTP_2), Err(Invalid::Method)),
        ("no version", h2().without(VERSION), Err(Invalid::Version)),
        ("version 12", h2().with(VERSION, "12"), Err(Invalid::Version)),
        ("version repeated", h2().and(VERSION, "13"), Ok(())),
        ("versions 13 and 8", h2().and(VERSION, "8"), Err(Invalid::Version)),
        ("a key", h2().and(KEY_HEADER, KEY), Ok(())),
        ("a bad key", h2().and(KEY_HEADER, "x"), Ok(())),
        ("no authority", h2().uri("/ws"), Err(Invalid::Host)),
        ("host instead of :authority", h2().uri("/ws").and("host", "a"), Ok(())),
        ("two hosts", h2().uri("/ws").and("host", "a").and("host", "b"), Err(Invalid::Host)),
        ("a length", h2().and("content-length", "5"), Err(Invalid::Body)),
        ("bad protocols", h2().and(PROTOCOL, "a b"), Err(Invalid::Protocol)),
        ("bad extensions", h2().and(EXTENSIONS, ";"), Err(Invalid::Extensions)),
        ("HTTP/3", h2().version(Version::HTTP_3), Ok(())),
    ]);
}

#[test]
fn a_request_attempts_a_handshake_when_it_names_websocket_or_has_its_headers() {
    let page = || Head::page(Version::HTTP_11);
    let rows = [
        ("a page", page(), false),
        ("upgrade", page().and("upgrade", "websocket"), true),
        ("any case", page().and("upgrade", "WEBSocket"), true),
        ("in a list", page().and("upgrade", "h2c, websocket"), true),
        (
            "in another line",
            page().and("upgrade", "h2c").and("upgrade", "websocket"),
            true,
        ),
        ("another upgrade", page().and("upgrade", "h2c"), false),
        ("a longer token", page().and("upgrade", "websockets"), false),
        (
            "with a version",
            page().and("upgrade", "websocket/13"),
            false,
        ),
        ("opaque", page().and("upgrade", b"\xffwebsocket"), false),
        ("key", page().and(KEY_HEADER, ""), true),
        ("version", page().and(VERSION, "7"), true),
        ("protocols alone", page().and(PROTOCOL, "chat"), false),
        ("extensions alone", page().and(EXTENSIONS, "x"), false),
        (":protocol", page().protocol("websocket"), true),
        (":protocol in any case", page().protocol("WebSocket"), true),
        ("another :protocol", page().protocol("connect-udp"), false),
        (
            "another :protocol with our headers",
            Head::h2().protocol("connect-udp").and(KEY_HEADER, KEY),
            false,
        ),
    ];
    for (name, head, expected) in rows {
        assert_eq!(head.request().attempts_websocket(), expected, "{name}");
        let has_headers = ["key", "version"].contains(&name);
        let names = expected && !has_headers;
        assert_eq!(head.request().names_websocket(), names, "{name}");
    }
}

#[test]
fn connection_and_upgrade_are_lists_of_tokens() {
    let lines = |name: &'static str, lines: &[&[u8]]| {
        let head = Head::h1().without(name);
        lines.iter().fold(head, |head, line| head.and(name, line))
    };
    let rows: [(&str, &[&[u8]], bool); 13] = [
        ("alone", &[b"TOKEN"], true),
        ("white space", &[b" \t TOKEN\t "], true),
        ("first", &[b"TOKEN, keep-alive"], true),
        ("last", &[b"keep-alive,TOKEN"], true),
        ("empty elements", &[b",, TOKEN ,,"], true),
        ("a later line", &[b"keep-alive", b"a, TOKEN"], true),
        ("beside opaque bytes", &[b"\x80\xff, TOKEN"], true),
        ("another prefix", &[b"x-TOKEN"], false),
        ("a suffix", &[b"TOKENd"], false),
        ("no comma", &[b"keep-alive TOKEN"], false),
        ("quoted", &[b"\"TOKEN\""], false),
        ("over two lines", &[b"TOK", b"EN"], false),
        ("empty", &[b""], false),
    ];
    for (header, tokens, missing) in [
        (
            "connection",
            ["upgrade", "Upgrade", "UPGRADE"],
            Invalid::Connection,
        ),
        (
            "upgrade",
            ["websocket", "WebSocket", "WEBSOCKET"],
            Invalid::Upgrade,
        ),
    ] {
        for token in tokens {
            for (name, template, valid) in rows {
                let with_token: Vec<Vec<u8>> = template
                    .iter()
                    .map(|line| replace(line, b"TOKEN", token.as_bytes()))
                    .collect();
                let borrowed: Vec<&[u8]> = with_token.iter().map(Vec::as_slice).collect();
                let checked = lines(header, &borrowed).check().map(drop);
                let expected = if valid { Ok(()) } else { Err(missing) };
                assert_eq!(checked, expected, "{header}, {token}, {name}");
            }
        }
    }
}

fn replace(line: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match line.windows(from.len()).position(|window| window == from) {
        Some(at) => [&line[..at], to, &line[at + from.len()..]].concat(),
        None => line.to_vec(),
    }
}

#[test]
fn the_tokens_that_clients_really_send_are_found() {
    assert_checks([
        (
            "Firefox",
            Head::h1().with("connection", "keep-alive, Upgrade"),
            Ok(()),
        ),
        (
            "h2c besides",
            Head::h1().with("upgrade", "h2c, websocket"),
            Ok(()),
        ),
        (
            "x-upgraded is not upgrade",
            Head::h1().with("connection", "x-upgraded"),
            Err(Invalid::Connection),
        ),
    ]);
}

#[test]
#[rustfmt::skip] // One row a line.
fn the_key_is_base64_of_16_bytes_once() {
    let key = |key: &[u8]| Head::h1().with(KEY_HEADER, key);
    let encoded = |bytes: usize| key(STANDARD.encode(vec![7; bytes]).as_bytes());
    assert_checks([
        ("the RFC's", key(KEY.as_bytes()), Ok(())),
        ("16 bytes", encoded(16), Ok(())),
        ("missing", Head::h1().without(KEY_HEADER), Err(Invalid::Key)),
        ("empty", key(b""), Err(Invalid::Key)),
        ("15 bytes", encoded(15), Err(Invalid::Key)),
        ("17 bytes", encoded(17), Err(Invalid::Key)),
        ("18 bytes, as long in base64", encoded(18), Err(Invalid::Key)),
        ("64 KiB", encoded(64 * 1024), Err(Invalid::Key)),
        ("not base64", key(b"dGhlIHNhbXBsZSBub25jZ-=="), Err(Invalid::Key)),
        ("without padding", key(b"dGhlIHNhbXBsZSBub25jZQ"), Err(Invalid::Key)),
        ("padding within", key(b"dGhlIHNhbXBsZSBub25jZ=Q="), Err(Invalid::Key)),
        ("17 octets and bits after them", key(b"AQIDBAUGBwgJCgsMDQ4PEBF="), Err(Invalid::Key)),
        ("non-ASCII", key(b"dGhlIHNhbXBsZSBub25\xe9ZQ=="), Err(Invalid::Key)),
        ("opaque", key(&[0xff; 24]), Err(Invalid::Key)),
        ("twice the same", Head::h1().and(KEY_HEADER, KEY), Err(Invalid::Key)),
        (
            "twice",
            Head::h1().and(KEY_HEADER, "AAAAAAAAAAAAAAAAAAAAAA=="),
            Err(Invalid::Key),
        ),
    ]);
}

#[test]
fn bits_after_the_sixteenth_octet_of_a_key_are_ignored() {
    // RFC 6455, 4.1: "if the randomly selected value was the sequence of bytes 0x01 0x02 0x03 0x04 0x05 0x06 0x07 0x08 0x09
    // 0x0a 0x0b 0x0c 0x0d 0x0e 0x0f 0x10, the value of the header field would be "AQIDBAUGBwgJCgsMDQ4PEC=="".
    let example = Head::h1().with(KEY_HEADER, "AQIDBAUGBwgJCgsMDQ4PEC==");
    assert_checks([("the example", example, Ok(()))]);

    // RFC 6455, 4.2.2: the key is answered as it was sent, not as it was decoded.
    let answer = |key: &str, head: Head| {
        let handshake = head.with(KEY_HEADER, key).check().unwrap();
        handshake.accept(None).unwrap().headers()[SEC_WEBSOCKET_ACCEPT].clone()
    };
    let mut answers = std::collections::HashSet::new();
    for last in b'Q'..=b'Z' {
        let key = format!("dGhlIHNhbXBsZSBub25jZ{}==", char::from(last));
        let http1 = answer(&key, Head::h1());
        assert_eq!(answer(&key, Head::h2()), http1, "{key}");
        answers.insert(http1);
    }
    assert_eq!(answers.len(), 10);
}

#[test]
#[rustfmt::skip] // One row a line.
fn a_body_must_not_be_declared() {
    assert_checks([
        ("length 0", Head::h1().and("content-length", "0"), Ok(())),
        ("length 1", Head::h1().and("content-length", "1"), Err(Invalid::Body)),
        (
            "lengths 0 and 1",
            Head::h1().and("content-length", "0").and("content-length", "1"),
            Err(Invalid::Body),
        ),
        ("no number", Head::h1().and("content-length", "\u{e9}"), Err(Invalid::Body)),
        ("chunked", Head::h1().and("transfer-encoding", "chunked"), Err(Invalid::Body)),
        (
            "chunked and of no length",
            Head::h1().and("content-length", "0").and("transfer-encoding", "chunked"),
            Err(Invalid::Body),
        ),
    ]);
}

#[test]
#[rustfmt::skip] // One row a line.
fn protocols_are_distinct_tokens_in_the_clients_order() {
    let numbered = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        names.join(",")
    };
    let good: [(&str, &[&str], &[&str]); 10] = [
        ("none", &[], &[]),
        ("empty", &[""], &[]),
        ("nothing but commas", &[" , ,"], &[]),
        ("an empty line before another", &["", "chat"], &["chat"]),
        ("one", &["chat"], &["chat"]),
        ("a list", &["chat, superchat"], &["chat", "superchat"]),
        ("lines", &["b,a", "c"], &["b", "a", "c"]),
        ("case counts", &["chat, Chat"], &["chat", "Chat"]),
        ("empty elements", &[",a,, b,"], &["a", "b"]),
        ("every kind of token", &["v1.0~!#$%&'*+-^_`|"], &["v1.0~!#$%&'*+-^_`|"]),
    ];
    for (name, lines, expected) in good {
        let head = lines.iter().fold(Head::h1(), |head, line| head.and(PROTOCOL, line));
        let handshake = head.check().unwrap();
        let protocols: Vec<_> = handshake.protocols().collect();
        assert_eq!(protocols, expected, "{name}");
    }
    let offer = |offer: &[u8]| Head::h1().and(PROTOCOL, offer);
    assert_checks([
        ("64", offer(numbered(64).as_bytes()), Ok(())),
        ("65", offer(numbered(65).as_bytes()), Err(Invalid::Protocol)),
        ("twice", offer(b"chat, chat"), Err(Invalid::Protocol)),
        ("twice over two lines", offer(b"a, b").and(PROTOCOL, "b"), Err(Invalid::Protocol)),
        ("a space", offer(b"super chat"), Err(Invalid::Protocol)),
        ("non-ASCII", offer("chät".as_bytes()), Err(Invalid::Protocol)),
        ("opaque", offer(b"chat, \x80\xff"), Err(Invalid::Protocol)),
    ]);
    for separator in b"()<>@;:\\\"/[]?={}\t" {
        let name = [b'a', *separator, b'b'];
        assert_checks([("a separator", offer(&name), Err(Invalid::Protocol))]);
    }
}

#[test]
fn extensions_are_lists_of_tokens_with_parameters() {
    let good = [
        "x",
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\", x",
        "permessage-deflate; server_max_window_bits=10",
        "foo, bar; baz=2",
        "foo;bar;baz",
        "foo ; bar = baz , qux",
        "foo;bar=\"a\",foo;bar=b",
        "",
        ",",
        "foo,",
        ", foo",
        " ,foo; bar=\"a\" ,, , qux;bar ,",
    ];
    for line in good {
        assert_checks([(line, Head::h1().and(EXTENSIONS, line), Ok(()))]);
    }
    let bad: [&[u8]; 17] = [
        b";",
        b"=",
        b",;",
        b"a,;b",
        b"a b",
        b"a;",
        b"a; ;b",
        b"a; b=",
        b"a; b=c=d",
        b"a; =c",
        b"a; b=\"",
        b"a; b=\"\"",
        b"a; b=\"c",
        b"a; b=\"c d\"",
        b"a; b=\"c\"d",
        b"(a)",
        b"a\xff",
    ];
    for line in bad {
        let name = String::from_utf8_lossy(line);
        assert_checks([
            (
                &name,
                Head::h1().and(EXTENSIONS, line),
                Err(Invalid::Extensions),
            ),
            (
                "a later line",
                Head::h1().and(EXTENSIONS, "x").and(EXTENSIONS, line),
                Err(Invalid::Extensions),
            ),
        ]);
    }
}

#[test]
fn empty_elements_of_every_list_are_ignored() {
    // RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
    for (header, element) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        (VERSION, "13"),
        (PROTOCOL, "chat"),
        (EXTENSIONS, "permessage-deflate"),
    ] {
        for (before, after) in [("", ","), (",", ""), (" ,, ,\t", " , ,")] {
            let line = format!("{before}{element}{after}");
            assert_checks([(&line, Head::h1().with(header, &line), Ok(()))]);
        }
        let lines = Head::h1().with(header, "").and(header, element);
        assert_checks([(header, lines.and(header, ","), Ok(()))]);
    }
}

#[test]
#[rustfmt::skip] // One row a line.
fn headers_of_64_kib_are_judged_as_short_ones() {
    const LONG: usize = 64 * 1024;
    let long = |unit: &str| unit.repeat(LONG / unit.len());
    assert_checks([
        ("tokens", Head::h1().with("connection", long("x,") + "upgrade"), Ok(())),
        ("empty tokens", Head::h1().with("upgrade", long(",") + "websocket"), Ok(())),
        ("distinct protocols end at 64", Head::h1().and(PROTOCOL, numbers(LONG)), Err(Invalid::Protocol)),
        ("empty protocols", Head::h1().and(PROTOCOL, long(",") + "chat"), Ok(())),
        ("extensions", Head::h1().and(EXTENSIONS, long("x,") + "x"), Ok(())),
        ("empty extensions", Head::h1().and(EXTENSIONS, long(", ") + "x"), Ok(())),
        ("parameters", Head::h1().and(EXTENSIONS, "x".to_owned() + &long(";x")), Ok(())),
        ("spaces", Head::h1().and(EXTENSIONS, "x".to_owned() + &long(" ") + ",x"), Ok(())),
        ("open quote", Head::h1().and(EXTENSIONS, "x;y=\"".to_owned() + &long("y")), Err(Invalid::Extensions)),
        ("key", Head::h1().with(KEY_HEADER, long("A")), Err(Invalid::Key)),
    ]);
}

/// A list of distinct numbers of about this length.
fn numbers(length: usize) -> String {
    let mut list = String::new();
    for number in 0.. {
        if list.len() >= length {
            break;
        }
        list += &format!("{number},");
    }
    list
}

#[test]
fn http1_is_accepted_by_101() {
    let handshake = Head::h1().check().unwrap();
    assert_eq!(handshake.version(), Version::HTTP_11);
    assert_eq!(
        head_of(&handshake.accept(None).unwrap()),
        "101 connection: Upgrade | upgrade: websocket | sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

#[test]
fn http2_is_accepted_by_200_and_a_key_is_answered_if_there_is_a_good_one() {
    let accepted = |head: Head| head_of(&head.check().unwrap().accept(None).unwrap());
    assert_eq!(accepted(Head::h2()), "200");
    assert_eq!(accepted(Head::h2().and(KEY_HEADER, "bad")), "200");
    assert_eq!(
        accepted(Head::h2().and(KEY_HEADER, KEY)),
        format!("200 {SEC_WEBSOCKET_ACCEPT}: {ACCEPT}")
    );
}

#[test]
fn only_an_offered_protocol_is_accepted() {
    for head in [Head::h1(), Head::h2()] {
        let handshake = head.and(PROTOCOL, "chat, superchat").check().unwrap();
        let response = handshake.accept(Some("superchat")).unwrap();
        assert_eq!(response.headers()[PROTOCOL], "superchat");
        assert!(
            !handshake
                .accept(None)
                .unwrap()
                .headers()
                .contains_key(PROTOCOL)
        );
        for other in ["chatter", "Chat", "", "chat, superchat", "\r\n"] {
            let error = handshake.accept(Some(other)).unwrap_err();
            assert_eq!(error, ProtocolNotOffered(other.to_owned()));
            assert!(error.to_string().contains(&format!("{other:?}")));
        }
    }
}

/// Status and headers in one line.
fn head_of(response: &Response<()>) -> String {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let headers: Vec<_> = headers.collect();
    format!("{} {}", response.status().as_str(), headers.join(" | "))
        .trim_end()
        .to_owned()
}

/// Any bytes that a header's value can carry, and often such as nearly make sense.
fn value() -> impl Strategy<Value = HeaderValue> {
    let piece = prop_oneof![
        "[ -~\t]{0,4}".prop_map(String::into_bytes),
        prop::collection::vec(0x80..=0xff_u8, 0..4),
        prop::sample::select(vec![
            "x",
            "13",
            ",",
            ";",
            "=",
            "\"",
            "\\",
            " ",
            "upgrade",
            "websocket",
            "chat",
            KEY,
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..12)
        .prop_map(|pieces| HeaderValue::from_bytes(&pieces.concat()).unwrap())
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        KEY_HEADER,
        VERSION,
        PROTOCOL,
        EXTENSIONS,
        "sec-websocket-accept",
        "connection",
        "upgrade",
        "host",
        "content-length",
        "transfer-encoding",
    ])
}

/// An element of a list, mostly one that is known.
fn element() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "upgrade",
        "websocket",
        "13",
        "chat",
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=\"9\"",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[a-c;=]{1,3}"]
}

/// A valid head with headers replaced and added.
fn spoilt_head() -> impl Strategy<Value = Head> {
    let changes = prop::collection::vec((name(), value(), any::<bool>()), 0..4);
    (any::<bool>(), changes).prop_map(|(http2, changes)| {
        let mut head = if http2 { Head::h2() } else { Head::h1() };
        for (name, value, replaces) in changes {
            if replaces {
                head = head.without(name);
            }
            head = head.and(name, value);
        }
        head
    })
}

proptest! {
    #[test]
    fn no_header_makes_it_panic_and_what_passes_can_be_accepted(head in spoilt_head()) {
        if let Ok(handshake) = head.check() {
            prop_assert!(head.request().attempts_websocket());
            let response = handshake.accept(None).unwrap();
            prop_assert_eq!(response.status(), accepted_status(head.parts.version));
            for protocol in handshake.protocols() {
                let response = handshake.accept(Some(protocol)).unwrap();
                prop_assert_eq!(&response.headers()[PROTOCOL], protocol);
            }
        }
    }

    #[test]
    fn empty_elements_change_no_judgement(
        header in prop::sample::select(vec!["connection", "upgrade", VERSION, PROTOCOL, EXTENSIONS]),
        elements in prop::collection::vec((element(), "(,[ \t]{0,2}){1,3}"), 0..5),
    ) {
        let plain: Vec<_> = elements.iter().map(|(element, _)| element.as_str()).collect();
        let sparse: String = elements.iter().flat_map(|(element, gap)| [element.as_str(), gap]).collect();
        let judge = |line: &str| Head::h1().with(header, line).check().map(|handshake| {
            let protocols: Vec<_> = handshake.protocols().map(str::to_owned).collect();
            (protocols, format!("{:?}", handshake.extensions))
        });
        prop_assert_eq!(judge(&plain.join(",")), judge(&format!(",{sparse}")));
    }

    #[test]
    fn opaque_bytes_in_lists_are_refused(bytes in prop::collection::vec(0x80..=0xff_u8, 1..64)) {
        let expected = [
            (KEY_HEADER, Invalid::Key),
            (VERSION, Invalid::Version),
            (PROTOCOL, Invalid::Protocol),
            (EXTENSIONS, Invalid::Extensions),
        ];
        for (name, invalid) in expected {
            let checked = Head::h1().with(name, &bytes).check();
            prop_assert_eq!(checked.map(drop), Err(invalid));
        }
    }

    #[test]
    fn offered_protocols_are_distinct_tokens(value in value()) {
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL, value);
        if let Ok(offered) = offered_protocols(&headers) {
            let distinct: std::collections::HashSet<_> = offered.iter().collect();
            prop_assert_eq!(distinct.len(), offered.len());
            prop_assert!(offered.iter().all(|name| is_token(name.as_bytes())));
        }
    }
}
