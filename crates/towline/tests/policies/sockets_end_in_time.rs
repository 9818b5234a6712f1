//! A socket that is idle or open for too long closes, and both ends know why.

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as Code;
use towline::keepalive::{KeepAlive, Strategy};
use towline::{CloseCode, ClosedBy, SendError, WebSocket};
use towline_testing::memory::{BOTH, endpoint, open};
use towline_testing::{Clock, secs};

use crate::support::stack;

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn with_1001_and_a_reason() {
    let idle = KeepAlive::new().idle_timeout(secs(100));
    let old = KeepAlive::new().max_lifetime(secs(100));
    for version in BOTH {
        for (keep_alive, reason, after) in [
            (idle, "idle timeout", secs(40 + 100)),
            (old, "maximum lifetime", secs(100)),
        ] {
            let (app, mut ends) = endpoint(echo);
            let mut client = open(version, stack(keep_alive, app)).await;
            let clock = Clock::start();
            let _ = timeout(secs(40), client.next_close()).await.unwrap_err();
            client.send(Message::text("not idle")).await.unwrap();
            // Pings and pongs are no messages.
            let (code, text) = client.next_close().await;
            clock.assert(after..=after);
            assert_eq!((code, &text[..]), (Code::Away, reason));

            let closed = ends.next().await;
            assert_eq!(closed.by(), ClosedBy::Policy);
            assert_eq!(closed.code(), CloseCode::GOING_AWAY);
            assert_eq!(closed.reason(), reason);
            assert!(closed.is_clean());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn and_not_by_unsolicited_pongs() {
    for version in BOTH {
        let keep_alive = KeepAlive::new()
            .interval(secs(5))
            .timeout(secs(1))
            .strategy(Strategy::UnsolicitedPong);
        let (app, mut ends) = endpoint(echo);
        let mut client = open(version, stack(keep_alive, app)).await;
        sleep(secs(50)).await;
        ends.assert_none();
        for _ in 0..9 {
            let pong = client.next().await.unwrap().unwrap();
            assert!(pong.is_pong() && pong.is_empty());
        }
    }
}

trait NextClose {
    async fn next_close(&mut self) -> (Code, String);
}

impl NextClose for towline::test_util::Client {
    async fn next_close(&mut self) -> (Code, String) {
        loop {
            let message = self.next().await.unwrap().unwrap();
            if let Message::Close(Some(frame)) = message {
                // The reply goes out with the next poll.
                while self.next().await.is_some() {}
                return (frame.code, frame.reason.to_string());
            }
        }
    }
}
