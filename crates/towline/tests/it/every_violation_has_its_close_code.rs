//! Whoever breaks the protocol reads a Close with the code for it before the connection ends, in good order.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use towline::{EchoService, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{
    App, BINARY, CLOSE, EVERYWHERE, KEY, NoBody, PING, PONG, TEXT, Wire, app, close_body, frame,
    header, serve,
};

/// The largest message that is taken here.
const LIMIT: usize = 1000;

fn echo() -> App {
    let layer = UpgradeLayer::new().max_message_size(LIMIT);
    let layers = ServiceBuilder::new().layer(layer);
    app(layers.service(EchoService::new()))
}

/// Every row, sent in one piece to a socket of its own, is refused by this code.
async fn assert_refused(code: u16, rows: &[(&str, Vec<u8>)]) {
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo()).await;
        for (name, bytes) in rows {
            let mut wire = Wire::open(http, address).await;
            wire.write(bytes).await;
            let closed_with = wire.closed_with().await;
            assert_eq!(closed_with, code, "{server:?} {http:?} {name}");
        }
    }
}

/// A text message that has begun.
fn begun(then: Vec<u8>) -> Vec<u8> {
    [frame(0x01, "begun"), then].concat()
}

#[tokio::test]
async fn breaches_of_the_framing_are_1002() {
    let mut rows = vec![
        ("unmasked", b"\x81\x02hi".to_vec()),
        ("unmasked and empty", b"\x81\x00".to_vec()),
        ("unmasked control", b"\x89\x00".to_vec()),
        ("unmasked continuation", begun(b"\x80\x00".to_vec())),
        ("RSV1", frame(0xc1, "hi")),
        ("RSV2", frame(0xa1, "hi")),
        ("RSV3", frame(0x91, "hi")),
        ("all RSV", frame(0xf2, "hi")),
        ("RSV1 on a ping", frame(0xc9, "hi")),
        ("RSV1 on a pong", frame(0xca, "hi")),
        ("RSV1 on a close", frame(0xc8, close_body(1000, ""))),
        ("RSV1 on a continuation", begun(frame(0xc0, "hi"))),
        ("RSV1 on a ping between", begun(frame(0xc9, "hi"))),
        ("continuation without start", frame(0x80, "hi")),
        ("the same, not final", frame(0x00, "hi")),
        ("text within text", begun(frame(TEXT, "hi"))),
        ("binary within text", begun(frame(BINARY, "hi"))),
        ("another start within text", begun(frame(0x01, "hi"))),
        ("fragmented ping", frame(0x09, "hi")),
        ("fragmented pong", frame(0x0a, "hi")),
        ("fragmented close", frame(0x08, close_body(1000, ""))),
        ("ping of 126", frame(PING, [b'x'; 126])),
        ("pong of 126", frame(PONG, [b'x'; 126])),
        (
            "close of 126",
            frame(CLOSE, close_body(1000, &"x".repeat(124))),
        ),
        (
            "ping of 126 between fragments",
            begun(frame(PING, [b'x'; 126])),
        ),
        ("ping of 2^63-1", header(PING, u64::MAX >> 1)),
        (
            "125 in 16 bits",
            [&[BINARY, 0xfe, 0, 125], &KEY[..], &[0; 125]].concat(),
        ),
        (
            "a ping of 5 in 16 bits",
            [&[PING, 0xfe, 0, 5], &KEY[..], &[0; 5]].concat(),
        ),
        ("125 in 64 bits", long(125)),
        ("65 535 in 64 bits", long(65_535)),
        ("top bit", long(1 << 63)),
        ("all bits", long(u64::MAX)),
        ("close of one byte", frame(CLOSE, [3])),
    ];
    let opcodes = (0x3..=0x7).chain(0xb..=0xf);
    rows.extend(
        opcodes
            .clone()
            .map(|opcode| ("unknown opcode", frame(0x80 | opcode, "hi"))),
    );
    rows.extend(opcodes.map(|opcode| {
        (
            "the same between fragments",
            begun(frame(0x80 | opcode, "")),
        )
    }));
    assert_refused(1002, &rows).await;
}

/// The header of a binary frame with its length in 64 bits.
fn long(length: u64) -> Vec<u8> {
    [&[BINARY, 0xff], &length.to_be_bytes()[..], &KEY].concat()
}

#[tokio::test]
async fn bad_close_codes_are_1002() {
    let codes = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ];
    let rows = codes.map(|code| ("bad code", frame(CLOSE, close_body(code, "why"))));
    assert_refused(1002, &rows).await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_1007() {
    let rows = [
        ("a byte of no character", frame(TEXT, b"a\xffb")),
        ("overlong", frame(TEXT, b"\xc0\xaf")),
        ("surrogate", frame(TEXT, b"\xed\xa0\x80")),
        ("past U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80")),
        ("half a character at the end", frame(TEXT, b"\xe2\x82")),
        (
            "half a character at the end of the last fragment",
            begun(frame(0x80, b"\xe2\x82")),
        ),
        (
            "a close reason",
            frame(CLOSE, [&1000_u16.to_be_bytes()[..], b"\xff"].concat()),
        ),
        (
            "a close reason that ends within a character",
            frame(CLOSE, [&1000_u16.to_be_bytes()[..], b"\xe2\x82"].concat()),
        ),
    ];
    assert_refused(1007, &rows).await;
}

/// Nothing of these messages comes behind the bad byte, and they are refused all the same.
#[tokio::test]
async fn a_bad_byte_is_refused_before_its_message_ends() {
    let part_of_a_frame = frame(TEXT, [&b"\xff"[..], &[b'x'; 500]].concat());
    let rows = [
        ("within a fragmented message", begun(frame(0x00, b"a\xffb"))),
        (
            "in the second half of a character",
            [frame(0x01, b"\xf0\x9f"), frame(0x00, b"\x28")].concat(),
        ),
        ("within a frame", part_of_a_frame[..100].to_vec()),
    ];
    assert_refused(1007, &rows).await;
}

#[tokio::test]
async fn too_much_is_1009() {
    let rows = [
        (
            "a header that declares it",
            header(BINARY, LIMIT as u64 + 1),
        ),
        ("the same of a text", header(0x01, LIMIT as u64 + 1)),
        ("2^31", header(BINARY, 1 << 31)),
        ("2^32", header(BINARY, 1 << 32)),
        ("2^63-1", header(BINARY, u64::MAX >> 1)),
        (
            "a continuation that declares it",
            begun(header(0x80, LIMIT as u64)),
        ),
        (
            "too many fragments",
            [frame(0x02, ""), frame(0x00, "").repeat(131_072)].concat(),
        ),
    ];
    assert_refused(1009, &rows).await;
}

#[tokio::test]
async fn the_limit_of_a_message_is_exact() {
    let payload = [b'x'; LIMIT + 2];
    let fragments = |length: usize| {
        let (first, rest) = payload[..length].split_at(LIMIT / 3);
        let (second, third) = rest.split_at(LIMIT / 3);
        [
            frame(0x02, first),
            frame(0x00, second),
            frame(PING, ""),
            frame(0x00, ""),
            frame(0x80, third),
        ]
        .concat()
    };
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, echo()).await;
        let mut wire = Wire::open(http, address).await;
        for length in [LIMIT - 1, LIMIT] {
            wire.echo(&payload[..length]).await;
            wire.write(fragments(length)).await;
            let row = format!("{server:?} {http:?} {length}");
            assert_eq!(wire.frame().await, Some((PONG, vec![])), "{row}");
            let whole = Some((BINARY, payload[..length].to_vec()));
            assert_eq!(wire.frame().await, whole, "{row}");
        }
        for length in [LIMIT + 1, LIMIT + 2] {
            let row = format!("{server:?} {http:?} {length}");
            let mut wire = Wire::open(http, address).await;
            wire.write(frame(BINARY, &payload[..length])).await;
            assert_eq!(wire.closed_with().await, 1009, "{row}");

            let mut wire = Wire::open(http, address).await;
            wire.write(fragments(length)).await;
            assert_eq!(wire.frame().await, Some((PONG, vec![])), "{row}");
            assert_eq!(wire.closed_with().await, 1009, "{row}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_1011() {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let served = upgrade.serve(|mut socket| async move {
            match socket
                .recv()
                .await
                .as_ref()
                .map(|message| message.as_bytes())
            {
                Some(b"fail") => Err("on purpose"),
                // As a panic does, without the message on the terminal.
                Some(b"panic") => std::panic::resume_unwind(Box::new("on purpose")),
                _ => Ok(()),
            }
        });
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    let app = app(layers.service(endpoint));
    for (server, http) in EVERYWHERE {
        let address = serve(server, http, app.clone()).await;
        for (message, code) in [("fail", 1011), ("panic", 1011), ("neither", 1000)] {
            let mut wire = Wire::open(http, address).await;
            wire.write(frame(TEXT, message)).await;
            let row = format!("{server:?} {http:?} {message}");
            let close = Some((CLOSE, close_body(code, "")));
            assert_eq!(wire.frame().await, close, "{row}");
            wire.write(frame(CLOSE, close_body(code, ""))).await;
            assert_eq!(wire.frame().await, None, "{row}");
        }
    }
}
