//! A peer that breaks the protocol is told by a Close, and the endpoint by `Closed`.

use std::time::Duration;

use towline_core::{ClosedBy, Message, Violation};
use towline_testing::{BINARY, CLOSE, CONTINUATION, Clock, FIN, PING, TEXT, frame};

use crate::support::{echo, open_served};

/// These bytes close an echoing socket with this code, because of this violation.
async fn assert_refused(bytes: Vec<u8>, code: u16, violation: Violation) {
    let (mut peer, ended) = open_served(echo).await;
    let clock = Clock::start();
    peer.write(&bytes).await;
    peer.expect_close(code, &violation.to_string()).await;
    peer.expect_end().await;
    drop(peer);
    let closed = ended.closed().await;
    assert_eq!(closed.by(), ClosedBy::Violation(violation), "{bytes:x?}");
    assert_eq!(u16::from(closed.code()), code);
    assert!(!closed.is_clean());
    clock.assert_about(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn breaches_of_the_framing_are_1002() {
    let rows = [
        (b"\x81\x02hi".to_vec(), Violation::UnmaskedClientFrame),
        (frame(0xc1, b"hi"), Violation::ReservedBits),
        (frame(0x83, b"hi"), Violation::UnknownOpcode(3)),
        (frame(0x80, b"hi"), Violation::ContinuationWithoutStart),
        (
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
            Violation::StartWithinMessage,
        ),
        (frame(0x09, b"hi"), Violation::FragmentedControl),
        (frame(PING, [b'x'; 126]), Violation::ControlTooLong),
        (frame(CLOSE, [3]), Violation::BadCloseBody),
        (
            frame(CLOSE, 1005_u16.to_be_bytes()),
            Violation::BadCloseCode(1005),
        ),
    ];
    for (bytes, violation) in rows {
        assert_refused(bytes, 1002, violation).await;
    }
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_is_1007() {
    assert_refused(frame(TEXT, b"\xff"), 1007, Violation::InvalidUtf8).await;
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    assert_refused(frame(CLOSE, reason), 1007, Violation::InvalidUtf8).await;
}

/// A header that declares too much is enough: nothing of the payload needs to come.
#[tokio::test(start_paused = true)]
async fn too_big_is_1009() {
    let mut header = frame(BINARY, vec![0; 70_000]);
    header.truncate(14);
    header[2..10].copy_from_slice(&(1024 * 1024 + 1_u64).to_be_bytes());
    assert_refused(header, 1009, Violation::FrameTooBig).await;
    let halves = vec![0; 600 * 1024];
    let first = frame(BINARY & !FIN, &halves);
    let second = frame(CONTINUATION, &halves);
    assert_refused([first, second].concat(), 1009, Violation::MessageTooBig).await;
}

#[tokio::test(start_paused = true)]
async fn what_came_before_is_answered() {
    let (mut peer, ended) = open_served(echo).await;
    let packet = [frame(TEXT, "one"), frame(TEXT, "two"), frame(TEXT, b"\xff")].concat();
    peer.write(packet).await;
    peer.expect_text("one").await;
    peer.expect_text("two").await;
    peer.expect_close(1007, "invalid utf-8").await;
    peer.expect_end().await;
    assert_eq!(ended.closed().await.messages_sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_is_not_taken() {
    let (mut peer, ended) = open_served(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            assert_eq!(message, Message::from("before"));
        }
    })
    .await;
    let packet = [
        frame(TEXT, "before"),
        frame(TEXT, b"\xff"),
        frame(TEXT, "behind"),
    ]
    .concat();
    peer.write(packet).await;
    peer.expect_close(1007, "invalid utf-8").await;
    peer.text("and later").await;
    peer.expect_end().await;
    assert_eq!(ended.closed().await.messages_received(), 1);
}
