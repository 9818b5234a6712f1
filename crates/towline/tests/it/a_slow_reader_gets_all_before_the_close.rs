//! A peer that has sent its last word and reads slowly gets the endpoint's answers to all that it said before.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::time::sleep;
use tower::Layer;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{BINARY, CLOSE, HANDSHAKE, close_body, frame};

/// What is on the way, and comes in a tenth of a second.
const ON_THE_WAY: usize = 1024;

/// More than is queued for the peer at a time.
const MESSAGES: usize = 5;
const SIZE: usize = 40_000;

/// Sends messages and `last` behind them; how many bytes came back before the end, on a line of 10 KB/s.
async fn answered(last: &[u8]) -> usize {
    let (near, far) = duplex(ON_THE_WAY);
    let service = TowerToHyperService::new(UpgradeLayer::new().layer(EchoService::new()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
    tokio::spawn(connection.with_upgrades());

    let (mut read, mut write) = split(near);
    let mut sent = frame(BINARY, vec![7; SIZE]).repeat(MESSAGES);
    sent.extend_from_slice(last);
    tokio::spawn(async move {
        write.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        write.write_all(&sent).await.unwrap();
    });
    let mut answer = Vec::new();
    while read.read_buf(&mut answer).await.unwrap() > 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
    answer.len() - (head.unwrap() + 4)
}

// The clock is paused: the line is slow in its time only.
#[tokio::test(start_paused = true)]
async fn behind_a_close_and_behind_a_violation() {
    const HEADER: usize = 4;

    for last in [frame(CLOSE, close_body(1000, "")), b"\x82\x00".to_vec()] {
        let bytes = answered(&last).await;
        // A Close is what is behind them, and for a violation it has a reason.
        let messages = MESSAGES * (HEADER + SIZE);
        assert!((messages + 4..messages + 128).contains(&bytes), "{bytes}");
    }
}
