//! A peer that sends small frames, or data that inflate to much more, gets no more of a thread than others.

use std::time::Duration;

use tokio::time::timeout;
use tower::Layer;
use towline_core::{WebSocket, WebSocketUpgrade};
use towline_testing::{CONTINUATION, FIN, PING, PONG, Peer, TEXT, frame, handshake_with, settle};
use towline_upgrade::UpgradeLayer;

use crate::support::{AnyPipeline, HandOver, once, poll_once, respond, serve};

/// The most frames that one poll of a pipeline may take.
const MOST: usize = 4096;

async fn receive(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

/// An open socket whose pipeline is polled by the test.
async fn open() -> (Peer, AnyPipeline) {
    open_under(UpgradeLayer::new(), receive).await
}

/// Opens a socket, with compression where `layer` has it.
async fn open_under<F, Fut>(layer: UpgradeLayer, endpoint: F) -> (Peer, AnyPipeline)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (hand_over, mut pipelines) = HandOver::new();
    let (service, _ended) = once(async |request| {
        let upgrade = WebSocketUpgrade::of(&request).expect("an offer");
        Ok(respond(upgrade.serve(endpoint).await))
    });
    let client = serve(layer.executor(hand_over).layer(service));
    let handshake = handshake_with("sec-websocket-extensions: permessage-deflate");
    let (reply, peer) = client.request(handshake).await;
    assert_eq!(reply.status, 101, "{reply:?}");
    let pipeline = pipelines.recv().await.expect("a pipeline");
    (peer, pipeline)
}

/// The number of pongs that have arrived, of at most `sent`.
async fn pongs(peer: &mut Peer, sent: usize) -> usize {
    let mut pongs = 0;
    while pongs < sent
        && let Ok(frame) = timeout(Duration::from_millis(1), peer.frame()).await
    {
        assert_eq!(frame, Some((PONG, Vec::new())));
        pongs += 1;
    }
    pongs
}

#[tokio::test(start_paused = true)]
async fn however_many_pings_have_come() {
    const PINGS: usize = 10_000;

    let (mut peer, mut pipeline) = open().await;
    peer.write(frame(PING, "").repeat(PINGS)).await;
    let (mut answered, mut polls) = (0, 0);
    while answered < PINGS {
        settle().await;
        assert!(poll_once(&mut pipeline).await.is_pending());
        let now = pongs(&mut peer, PINGS - answered).await;
        assert!(now <= MOST, "{now} frames in a poll");
        answered += now;
        polls += 1;
        assert!(polls < 20, "{answered} of {PINGS} are answered");
    }
}

/// Fragments are no events, so a ping after each hundredth counts them.
#[tokio::test(start_paused = true)]
async fn however_many_fragments_have_come() {
    const STEP: usize = 100;
    const STEPS: usize = 90;

    let (mut peer, mut pipeline) = open().await;
    let fragment = |first: u8| frame(first & !FIN, "");
    let step = [fragment(CONTINUATION).repeat(STEP - 1), frame(PING, "")].concat();
    peer.write([fragment(TEXT), step.repeat(STEPS)].concat())
        .await;
    let (mut answered, mut polls) = (0, 0);
    while answered < STEPS {
        settle().await;
        assert!(poll_once(&mut pipeline).await.is_pending());
        let now = pongs(&mut peer, STEPS - answered).await;
        // The step that a poll begins with may have begun in the poll before.
        assert!(now * STEP <= MOST + STEP, "{now} hundred frames in a poll");
        answered += now;
        polls += 1;
        assert!(polls < 20, "{answered} of {STEPS} steps are answered");
    }
}

#[cfg(feature = "deflate")]
mod compressed {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use towline_core::Compression;

    use super::*;
    use towline_testing::BINARY;

    /// A compressed message with this data.
    fn message(data: &[u8]) -> Vec<u8> {
        let mut message = frame(BINARY, data);
        message[0] |= 0x40;
        message
    }

    /// The data of a message of about `len` zeros, less than a hundredth of that: a literal, matches of 258 bytes, the end of
    /// the block, and the first octet of an empty block.
    fn zeros(len: usize) -> Vec<u8> {
        let matches = "1100010100000".repeat(len / 258);
        let bits = ["010", "00110000", &matches, "0000000", "000"].concat();
        let byte = |bits: &[u8]| {
            bits.iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | (bit - b'0'))
        };
        bits.as_bytes().chunks(8).map(byte).collect()
    }

    /// A socket whose endpoint adds the length of each message to the number.
    async fn open_counting() -> (Peer, AnyPipeline, Arc<AtomicUsize>) {
        let received = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&received);
        let count = async move |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await {
                counted.fetch_add(message.len(), Ordering::Relaxed);
            }
        };
        let layer = UpgradeLayer::new().compression(Compression::new());
        let (peer, pipeline) = open_under(layer, count).await;
        (peer, pipeline, received)
    }

    #[tokio::test(start_paused = true)]
    async fn however_much_messages_inflate_to() {
        const MESSAGES: usize = 8;
        const LEN: usize = 1_000_000;

        let (mut peer, mut pipeline, received) = open_counting().await;
        peer.write(message(&zeros(LEN)).repeat(MESSAGES)).await;
        let mut polls = 0;
        while received.load(Ordering::Relaxed) < MESSAGES * (LEN - 258) {
            settle().await;
            let before = received.load(Ordering::Relaxed);
            assert!(poll_once(&mut pipeline).await.is_pending());
            let now = received.load(Ordering::Relaxed) - before;
            assert!(now <= LEN, "{now} bytes in a poll");
            polls += 1;
            assert!(polls < 50, "{now} bytes in the last poll");
        }
    }
    /// A compressor that is finished and reset makes a stream of three bytes from one. A message may have many.
    #[tokio::test(start_paused = true)]
    async fn however_many_deflate_streams_have_come() {
        const STREAMS: usize = 100;
        const MESSAGES: usize = 150;
        /// A final block of the letter "a".
        const STREAM: &[u8] = b"\x4b\x04\x00";

        let (mut peer, mut pipeline, received) = open_counting().await;
        let messages = message(&STREAM.repeat(STREAMS)).repeat(MESSAGES);
        peer.write(messages).await;
        let mut polls = 0;
        while received.load(Ordering::Relaxed) < MESSAGES * STREAMS {
            settle().await;
            let before = received.load(Ordering::Relaxed);
            assert!(poll_once(&mut pipeline).await.is_pending());
            let now = received.load(Ordering::Relaxed) - before;
            // The last message may exceed the bound.
            assert!(now < MOST + STREAMS, "{now} streams in a poll");
            polls += 1;
            assert!(polls < 50, "{now} streams in the last poll");
        }
    }
}
