//! A peer that sends frames without payload gets no more of a thread than one that sends messages.

use std::time::Duration;

use tokio::time::timeout;
use tower::Layer;
use towline_core::{WebSocket, WebSocketUpgrade};
use towline_upgrade::UpgradeLayer;

use crate::support::{
    AnyPipeline, CONTINUATION, HandOver, PING, PONG, Peer, TEXT, frame, once, poll_once, respond,
    serve, settle,
};

/// The most frames that one poll of a pipeline may take.
const MOST: usize = 4096;

async fn receive(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

/// An open socket whose pipeline is polled by the test.
async fn open() -> (Peer, AnyPipeline) {
    let (hand_over, mut pipelines) = HandOver::new();
    let (service, _ended) = once(async |request| {
        let upgrade = WebSocketUpgrade::of(&request).expect("an offer");
        Ok(respond(upgrade.serve(receive).await))
    });
    let layer = UpgradeLayer::new().executor(hand_over);
    let peer = serve(layer.layer(service)).open().await;
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

/// They are decoded without an event in between: a ping after each hundredth tells how many were.
#[tokio::test(start_paused = true)]
async fn however_many_fragments_have_come() {
    const STEP: usize = 100;
    const STEPS: usize = 90;

    let (mut peer, mut pipeline) = open().await;
    let fragment = |opcode: u8| {
        let mut frame = frame(opcode, "");
        frame[0] = opcode;
        frame
    };
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
