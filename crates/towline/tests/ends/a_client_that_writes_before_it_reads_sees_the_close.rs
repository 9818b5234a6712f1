//! A client that writes all it has to say before it reads, as Node's `ws` and undici do, is told of its violation by a
//! Close: the connection is not reset under the bytes that it still sends.
//!
//! RFC 9112, 9.6: "If a server performs an immediate close of a TCP connection, there is a significant risk that the
//! client will not be able to read the last HTTP response."

use std::net::SocketAddr;

use h2::Reason;
use tokio::io::AsyncWriteExt;
use tower::Layer;
use towline::{EchoService, UpgradeLayer, WebSocketUpgrade};
use towline_testing::http2::Connection;
use towline_testing::memory::{endpoint_with, under};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{
    BINARY, CLOSE, Clock, Http, KIB, MIB, Server, TEXT, Wire, app, close_body, frame, header,
    read_frame, secs, serve, within,
};

/// The default.
const LIMIT: usize = MIB;

async fn serving(http: Http) -> SocketAddr {
    let app = app(UpgradeLayer::new().layer(EchoService::new()));
    serve(Server::Hyper, http, app).await
}

/// Writes everything, then reads: the code of the Close, or what came instead.
async fn outcome(http: Http, address: SocketAddr, bytes: &[u8]) -> Result<u16, String> {
    let mut wire = Wire::open(http, address).await;
    let wrote = wire.try_write(bytes).await;
    wrote.map_err(|error| format!("writing: {error}"))?;
    let read = wire.try_frame().await;
    match read.map_err(|error| format!("reading: {error}"))? {
        Some((CLOSE, body)) => Ok(u16::from_be_bytes([body[0], body[1]])),
        other => Err(format!("{other:?}")),
    }
}

async fn assert_seen(tries: usize, rows: &[(&str, u16, Vec<u8>)]) {
    for http in BOTH {
        let address = serving(http).await;
        for (name, code, bytes) in rows {
            let mut seen = 0;
            let mut otherwise = None;
            for _ in 0..tries {
                match outcome(http, address, bytes).await {
                    Ok(found) if found == *code => seen += 1,
                    other => otherwise = Some(other),
                }
            }
            assert_eq!(
                seen, tries,
                "{code} was seen by so many, {http:?} {name}; else {otherwise:?}"
            );
        }
    }
}

/// Over TCP with the kernel's own buffers, 48 tries in all on each version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_2_10_or_50_times_the_limit_is_1009() {
    let message = |times: usize| frame(BINARY, vec![7; times * LIMIT]);
    let rows = [
        ("twice the limit", 1009, message(2)),
        ("10 times the limit", 1009, message(10)),
        ("50 times the limit", 1009, message(50)),
    ];
    assert_seen(16, &rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_violation_before_10_mib_has_its_code() {
    let rest = frame(BINARY, vec![7; 64 * KIB]).repeat(160);
    let before = |bytes: Vec<u8>| [bytes, rest.clone()].concat();
    let fragments = [frame(0x02, vec![7; LIMIT]), frame(0x00, vec![7; LIMIT])];
    let rows = [
        (
            "a frame without a mask",
            1002,
            before(b"\x81\x02hi".to_vec()),
        ),
        ("a reserved bit", 1002, before(frame(0xa1, "hi"))),
        ("an unknown opcode", 1002, before(frame(0x83, "hi"))),
        (
            "a bad close code",
            1002,
            before(frame(CLOSE, close_body(1005, ""))),
        ),
        ("invalid UTF-8", 1007, before(frame(TEXT, b"\xff"))),
        ("fragments past the limit", 1009, before(fragments.concat())),
    ];
    assert_seen(4, &rows).await;
}

/// Over HTTP/2 such a client waits for window besides. Reading grants it; then come the Close, END_STREAM, and a reset
/// that says that nothing is wrong with the request itself.
///
/// RFC 9113, 8.1: "When this is true, a server MAY request that the client abort transmission of a request without error
/// by sending a RST_STREAM with an error code of NO_ERROR after sending a complete response".
#[tokio::test(start_paused = true)]
async fn over_http2_it_gets_window_then_1009_then_end_stream_then_no_error() {
    let (app, mut ends) = endpoint_with(
        |mut socket| async move { while socket.recv().await.is_some() {} },
        |upgrade: WebSocketUpgrade| upgrade.max_message_size(64 * KIB),
    );
    let mut peer = Peer::open(Http::Two, under(UpgradeLayer::new(), app), 64 * KIB).await;
    let clock = Clock::start();
    let message = [header(BINARY, 3 * MIB as u64), vec![7; 3 * MIB]].concat();
    let sent = peer.try_write(message).await;
    assert!(sent.is_ok(), "the send was ended: {sent:?}");
    clock.assert(secs(0)..=secs(0));
    peer.expect_close_code(1009).await;
    peer.expect_end().await;
    clock.assert(secs(0)..=secs(0));
    // It sends no more, and does not end its stream.
    assert_eq!(peer.dropped().await, Some(Reason::NO_ERROR));
    clock.assert(secs(2)..=secs(2));
    assert_eq!(u16::from(ends.next().await.code()), 1009);
}

/// The same over TCP, with hyper's own windows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_and_tcp_16_of_16_sends_of_3_mib_do_not_hang() {
    const TRIES: usize = 16;

    let layer = UpgradeLayer::new().max_message_size(64 * KIB);
    let app = app(layer.layer(EchoService::new()));
    let address = serve(Server::Hyper, Http::Two, app).await;
    let message = [header(BINARY, 3 * MIB as u64), vec![7; 3 * MIB]].concat();
    let mut connection = Connection::open(address).await;
    let mut seen = 0;
    for _ in 0..TRIES {
        let mut stream = connection.socket().await;
        let sent = within(stream.write_all(&message)).await;
        let told = within(read_frame(&mut stream)).await;
        let end = within(read_frame(&mut stream)).await;
        let is_told =
            matches!(&told, Ok(Some((CLOSE, body))) if body[..2] == 1009_u16.to_be_bytes());
        seen += usize::from(sent.is_ok() && is_told && matches!(end, Ok(None)));
    }
    assert_eq!(seen, TRIES, "sent all and saw 1009 and END_STREAM");
}
