//! On HTTP/2 a socket that its endpoint does not read leaves the sockets beside it alone, if the connection's window has
//! room for all streams.

use futures_util::{SinkExt, StreamExt};
use http::Version;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use towline::keepalive::KeepAlive;
use towline::{SendError, WebSocket};
use towline_testing::memory::{Connection, endpoint};
use towline_testing::secs;

use crate::support::stack;

const INTERVAL: u64 = 5;

/// Echoes; but from a peer that asks for it, it takes nothing more.
async fn echo_or_sleep(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        if message.as_bytes() == b"sleep" {
            sleep(secs(1000)).await;
        }
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn for_ten_intervals() {
    let keep_alive = KeepAlive::new().interval(secs(INTERVAL)).timeout(secs(3));
    let (app, mut ends) = endpoint(echo_or_sleep);
    let app = stack(keep_alive, app);
    let mut connection = Connection::open(Version::HTTP_2, app).await;
    let mut siblings = [connection.socket().await, connection.socket().await];
    let (mut unread, pings) = connection.socket().await.split();
    tokio::spawn(pings.for_each(|_| async {}));
    unread.send(Message::text("sleep")).await.unwrap();
    let blocked = tokio::spawn(async move {
        loop {
            unread
                .send(Message::binary(vec![0; 16 * 1024]))
                .await
                .unwrap();
        }
    });

    for round in 0..10 {
        for sibling in &mut siblings {
            // All the while it answers pings.
            let quiet = timeout(secs(INTERVAL) / 2, sibling.next_text()).await;
            assert!(quiet.is_err());
            sibling
                .send(Message::text(round.to_string()))
                .await
                .unwrap();
            assert_eq!(sibling.next_text().await, round.to_string());
        }
    }
    assert!(!blocked.is_finished());
    ends.assert_none();
}

trait NextText {
    async fn next_text(&mut self) -> String;
}

impl NextText for towline::test_util::Client {
    async fn next_text(&mut self) -> String {
        loop {
            let message = self.next().await.unwrap().unwrap();
            if let Message::Text(text) = message {
                return text.to_string();
            }
        }
    }
}
