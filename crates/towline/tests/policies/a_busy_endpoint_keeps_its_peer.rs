//! A living peer is kept whatever its endpoint does or does not do.

use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use towline::keepalive::KeepAlive;
use towline::test_util::Client;
use towline::{CloseCode, ClosedBy, SendError, WebSocket};

use crate::support::{BOTH, Clock, endpoint, open, secs, stack};

const INTERVAL: u64 = 5;

fn keep_alive() -> KeepAlive {
    KeepAlive::new()
        .interval(secs(INTERVAL))
        .timeout(secs(3))
        .write_timeout(secs(4))
}

/// Sleeps for more than ten intervals, then echoes.
async fn sleep_and_echo(mut socket: WebSocket) -> Result<(), SendError> {
    sleep(secs(11 * INTERVAL)).await;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Reads in the background for ever, and so answers pings; the number of messages.
fn listen(mut client: Client) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut messages = 0;
        while let Some(Ok(message)) = client.next().await {
            messages += usize::from(message.is_text());
        }
        messages
    })
}

#[tokio::test(start_paused = true)]
async fn while_it_sleeps() {
    for version in BOTH {
        let (app, mut ends) = endpoint(sleep_and_echo);
        let mut client = open(version, stack(keep_alive(), app)).await;
        let mut pings = 0;
        let _ = timeout(secs(10 * INTERVAL), async {
            while let Some(Ok(message)) = client.next().await {
                pings += usize::from(message.is_ping());
            }
        })
        .await;
        assert!((9..=12).contains(&pings), "{pings} pings");
        ends.assert_none();

        client.send(Message::text("still here?")).await.unwrap();
        while !client.next().await.unwrap().unwrap().is_text() {}
        client.close(None).await.unwrap();
        while client.next().await.is_some() {}
        let closed = ends.next().await;
        assert_eq!(closed.by(), ClosedBy::Peer);
        assert!(closed.round_trip().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn while_its_inbox_is_full() {
    for version in BOTH {
        let (app, mut ends) = endpoint(sleep_and_echo);
        let client = open(version, stack(keep_alive(), app)).await;
        // More than the inbox and all buffers on the way hold: the rest waits, and so does the peer.
        let messages = 400;
        let (mut sink, mut stream) = StreamExt::split(client);
        let sender = tokio::spawn(async move {
            for _ in 0..messages {
                sink.send(Message::binary(vec![0; 1024])).await.unwrap();
            }
        });
        sleep(secs(10 * INTERVAL)).await;
        assert!(!sender.is_finished());
        ends.assert_none();

        // Then all of it is answered.
        let mut answers = 0;
        while answers < messages {
            let message = stream.next().await.unwrap().unwrap();
            answers += usize::from(message.is_binary());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_only_sends() {
    async fn send(mut socket: WebSocket) -> Result<(), SendError> {
        for _ in 0..100 {
            sleep(secs(INTERVAL) / 10).await;
            socket.send("tick").await?;
        }
        Ok(())
    }
    for version in BOTH {
        let (app, mut ends) = endpoint(send);
        let client = open(version, stack(keep_alive(), app)).await;
        let messages = listen(client);
        assert_eq!(ends.next().await.code(), CloseCode::NORMAL);
        assert_eq!(messages.await.unwrap(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn until_it_has_taken_nothing_for_minutes() {
    for version in BOTH {
        let (app, mut ends) = endpoint(async |_socket: WebSocket| sleep(secs(100_000)).await);
        let client = open(version, stack(KeepAlive::new(), app)).await;
        let (mut sink, stream) = StreamExt::split(client);
        tokio::spawn(
            async move { while sink.send(Message::binary(vec![0; 1024])).await.is_ok() {} },
        );
        let closes = tokio::spawn(stream.collect::<Vec<_>>());
        let clock = Clock::start();
        let closed = ends.next().await;
        clock.assert(secs(300)..=secs(311));
        assert_eq!(closed.by(), ClosedBy::Policy);
        assert_eq!(closed.code(), CloseCode::INTERNAL_ERROR);
        assert_eq!(closed.reason(), "stall timeout");
        let close = closes.await.unwrap().into_iter().flatten().last().unwrap();
        assert!(close.to_string().contains("stall timeout"), "{close}");
    }
}
