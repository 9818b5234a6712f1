//! The messages that an endpoint gets while its socket closes are the first that the peer sent, without a gap.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use towline::{Control, Message, UpgradeLayer, WebSocket};
use towline_testing::memory::{App, Ends, endpoint, under};
use towline_testing::watched::{BOTH, Peer};
use towline_testing::{BINARY, CLOSE, KIB, Random, close_body, frame, next};

const ROOM: usize = 64 * KIB;

/// With pauses and sizes at random, what the endpoint gets is a prefix of what the peer sent, and all of it if the
/// endpoint takes something every second.
#[tokio::test(start_paused = true)]
#[ignore = "faults item 6b: what the peer sends before it sees our Close is dropped and counted as received"]
async fn always_a_prefix() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let http = BOTH[random.below(2) as usize];
        let longest = [0, 20, 1500][random.below(3) as usize];
        let pauses = Random(seed + 1000);
        let (app, mut ends, mut control, mut told) = at_random(pauses, longest);
        let mut peer = Peer::open(http, app, ROOM).await;
        let count = random.below(300) as usize;
        let closes_at = random.below(count as u64 + 1) as usize;
        let control = next(&mut control).await;
        let sending = async {
            for number in 0..count {
                if number == closes_at {
                    control.close(4001, "kicked").unwrap();
                }
                let mut payload = number.to_be_bytes().to_vec();
                payload.resize(8 + random.below(2000) as usize, 7);
                if peer.try_write(frame(BINARY, payload)).await.is_err() {
                    // The close timeout has passed.
                    return;
                }
                if random.below(10) == 0 {
                    sleep(Duration::from_millis(random.below(30))).await;
                }
            }
            control.close(4001, "kicked").unwrap();
            let close = frame(CLOSE, close_body(4001, ""));
            let _ = peer.try_write(close).await;
        };
        sending.await;
        let mut received = 0;
        while let Some(message) = next(&mut told).await {
            let number: [u8; 8] = message.as_bytes()[..8].try_into().unwrap();
            assert_eq!(usize::from_be_bytes(number), received, "seed {seed}");
            received += 1;
        }
        let closed = ends.next().await;
        assert_eq!(u16::from(closed.code()), 4001, "seed {seed}");
        assert!(received <= count, "seed {seed}");
        if longest < 1000 {
            assert_eq!(received, count, "messages received, seed {seed}, {http:?}");
            assert!(closed.is_clean(), "seed {seed}");
        }
    }
}

type AtRandom = (
    App,
    Ends,
    mpsc::UnboundedReceiver<Control>,
    mpsc::UnboundedReceiver<Option<Message>>,
);

/// An endpoint that pauses for up to `longest` ms, now and then.
fn at_random(mut pauses: Random, longest: u64) -> AtRandom {
    let (controls, control) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let seed = pauses.below(u64::from(u32::MAX)) + 1;
    let (app, ends) = endpoint(move |mut socket: WebSocket| {
        let (controls, tell) = (controls.clone(), tell.clone());
        async move {
            let mut pauses = Random(seed);
            controls.send(socket.control()).unwrap();
            while let Some(message) = socket.recv().await {
                tell.send(Some(message)).unwrap();
                if longest > 0 && pauses.below(10) == 0 {
                    sleep(Duration::from_millis(pauses.below(longest))).await;
                }
            }
            tell.send(None).unwrap();
        }
    });
    (under(UpgradeLayer::new(), app), ends, control, told)
}
