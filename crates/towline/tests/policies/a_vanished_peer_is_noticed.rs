//! A peer that is gone without FIN or RST is noticed an interval and a timeout after its last byte.

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Message;
use towline::keepalive::KeepAlive;
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

/// Sends for ever, and never looks.
async fn send(mut socket: WebSocket) -> Result<(), SendError> {
    loop {
        tokio::time::sleep(secs(1)).await;
        socket.send("tick").await?;
    }
}

#[tokio::test(start_paused = true)]
async fn behind_its_last_message() {
    for version in BOTH {
        let (app, mut ends) = endpoint(echo);
        let mut client = open(version, stack(KeepAlive::new(), app)).await;
        // The first wait may be shorter.
        client.next_pong().await;
        client.send(Message::text("last words")).await.unwrap();
        let clock = Clock::start();
        // The connection stays open, and nobody is there.
        let closed = ends.next().await;
        // Of what comes within a second of other traffic the time is noted that much later.
        clock.assert(secs(27 + 20)..=secs(33 + 20 + 1));

        assert_eq!(closed.by(), ClosedBy::Policy);
        assert_eq!(closed.code(), CloseCode::INTERNAL_ERROR);
        assert_eq!(closed.reason(), "keep-alive timeout");
        assert!(!closed.is_clean());
        assert_eq!(closed.messages_received(), 1);

        // A peer that comes back after all finds out.
        let mut bytes = Vec::new();
        let _ = client.get_mut().read_to_end(&mut bytes).await;
        let close = b"\x88\x14\x03\xf3keep-alive timeout";
        assert!(bytes.ends_with(close), "{version:?}: {bytes:x?}");
    }
}

#[tokio::test(start_paused = true)]
async fn that_never_said_a_word() {
    for version in BOTH {
        let (app, mut ends) = endpoint(echo);
        let _client = open(version, stack(KeepAlive::new(), app)).await;
        let clock = Clock::start();
        let closed = ends.next().await;
        clock.assert(secs(15 + 20)..=secs(30 + 20));
        assert_eq!(closed.reason(), "keep-alive timeout");
        assert_eq!(closed.round_trip(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn by_an_endpoint_that_only_sends() {
    for version in BOTH {
        let (app, mut ends) = endpoint(send);
        let _client = open(version, stack(KeepAlive::new(), app)).await;
        let clock = Clock::start();
        // Whatever goes into the buffers on the way is no sign of life.
        let closed = ends.next().await;
        clock.assert(secs(15 + 20)..=secs(30 + 20));
        assert_eq!(closed.reason(), "keep-alive timeout");
    }
}

trait NextPong {
    /// Answers one ping.
    async fn next_pong(&mut self);
}

impl NextPong for towline::test_util::Client {
    async fn next_pong(&mut self) {
        let ping = self.next().await.unwrap().unwrap();
        assert!(ping.is_ping());
        self.flush().await.unwrap();
    }
}
