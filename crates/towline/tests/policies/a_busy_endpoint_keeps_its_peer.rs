//! A living peer is kept whatever its endpoint does or does not do.

use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use towline::keepalive::KeepAlive;
use towline::test_util::Client;
use towline::{CloseCode, ClosedBy, SendError, UpgradeLayer, WebSocket};
use towline_testing::memory::{BOTH, endpoint, open, under};
use towline_testing::{Clock, secs};

use crate::support::stack;

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

/// Works on each message for a while, and sends how many there were.
async fn work_and_sum_up(mut socket: WebSocket) -> Result<(), SendError> {
    let mut messages = 0;
    while socket.recv().await.is_some() {
        messages += 1;
        sleep(Duration::from_millis(300)).await;
    }
    socket.send(messages.to_string()).await
}

// Small messages that come together leave the inbox together, and are taken one by one all the same.

#[tokio::test(start_paused = true)]
async fn while_it_works_on_what_came_together() {
    for version in BOTH {
        let (app, mut ends) = endpoint(work_and_sum_up);
        let keep_alive = KeepAlive::new().stall_timeout(secs(2));
        let mut client = open(version, stack(keep_alive, app)).await;
        // As many as are taken at once, and more than the inbox has room for.
        for messages in [17, 80] {
            for _ in 0..messages {
                client.feed(Message::text("work")).await.unwrap();
            }
            client.flush().await.unwrap();
            sleep(Duration::from_millis(30)).await;
        }
        sleep(secs(20)).await;
        client.close(None).await.unwrap();
        assert_eq!(sum(&mut client).await, "97");
        assert_eq!(ends.next().await.by(), ClosedBy::Peer);
    }
}

#[tokio::test(start_paused = true)]
async fn that_has_said_its_last_word() {
    for version in BOTH {
        let (app, mut ends) = endpoint(work_and_sum_up);
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        for _ in 0..8 {
            client.feed(Message::text("work")).await.unwrap();
        }
        client.close(None).await.unwrap();
        assert_eq!(sum(&mut client).await, "8");
        assert_eq!(ends.next().await.by(), ClosedBy::Peer);
    }
}

/// The only message that comes.
async fn sum(client: &mut Client) -> String {
    let mut texts = Vec::new();
    while let Some(Ok(message)) = client.next().await {
        texts.extend(
            message
                .to_text()
                .ok()
                .filter(|_| message.is_text())
                .map(str::to_owned),
        );
    }
    texts.concat()
}

#[tokio::test(start_paused = true)]
async fn that_is_answered_behind_its_close_by_futures_in_a_set() {
    const ANSWERS: usize = 20;
    const SIZE: usize = 200_000;

    async fn answer(mut socket: WebSocket) -> Result<(), SendError> {
        while socket.recv().await.is_some() {}
        // It has wakers of its own.
        let mut set = FuturesUnordered::new();
        set.push(async {
            for _ in 0..ANSWERS {
                SinkExt::send(&mut socket, vec![0; SIZE].into()).await?;
            }
            Ok(())
        });
        set.next().await.unwrap_or(Ok(()))
    }
    for version in BOTH {
        let (app, mut ends) = endpoint(answer);
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        client.close(None).await.unwrap();
        let mut answers = 0;
        while let Some(Ok(message)) = client.next().await {
            answers += usize::from(message.len() == SIZE);
        }
        assert_eq!(answers, ANSWERS);
        assert_eq!(ends.next().await.by(), ClosedBy::Peer);
    }
}
