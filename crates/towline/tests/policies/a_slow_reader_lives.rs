//! A peer that reads slowly is alive: its pings stand in line behind what is queued.

use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep, timeout};
use towline::keepalive::KeepAlive;
use towline::{CloseCode, ClosedBy, SendError, WebSocket};
use towline_testing::memory::{BOTH, Connection, endpoint};
use towline_testing::{Clock, MIB, secs};

use crate::support::stack;

async fn send_much(mut socket: WebSocket) -> Result<(), SendError> {
    socket.send(vec![0; MIB]).await?;
    socket.flush().await?;
    // As long again it has nothing to say.
    tokio::time::sleep(secs(130)).await;
    Ok(())
}

async fn send_many(mut socket: WebSocket) -> Result<(), SendError> {
    for _ in 0..64 {
        socket.send(vec![0; MIB / 64]).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn at_eight_kilobytes_a_second() {
    for version in BOTH {
        let (app, mut ends) = endpoint(send_much);
        lives(version, stack(KeepAlive::new(), app)).await;
        let closed = ends.next().await;
        assert_eq!(
            closed.code(),
            CloseCode::NORMAL,
            "{version:?}: {closed} after {:?}",
            closed.duration()
        );

        let (app, mut ends) = endpoint(send_many);
        lives(version, stack(KeepAlive::new(), app)).await;
        let closed = ends.next().await;
        assert_eq!(
            closed.code(),
            CloseCode::NORMAL,
            "{version:?}: {closed} after {:?}",
            closed.duration()
        );
    }
}

async fn lives(version: http::Version, app: towline_testing::memory::App) {
    let mut connection = Connection::open_slow(version, app, 8000).await;
    let mut client = connection.socket().await;
    let clock = Clock::start();
    let mut bytes = 0;
    while let Some(Ok(message)) = client.next().await {
        if message.is_binary() {
            bytes += message.len();
        }
    }
    assert_eq!(bytes, MIB);
    clock.assert(secs(130)..=secs(280));
}

/// Sends as long as it can.
async fn flood(mut socket: WebSocket) -> Result<(), SendError> {
    loop {
        socket.send(vec![0; MIB / 64]).await?;
    }
}

/// Twenty times as fast as by default, and so are the readers.
fn fast() -> KeepAlive {
    KeepAlive::new()
        .interval(Duration::from_millis(1500))
        .timeout(secs(1))
        .write_timeout(Duration::from_millis(1500))
}

/// What the kernel holds it reads in longer than the timeout.
#[tokio::test]
async fn over_tcp_until_it_reads_no_more() {
    let (app, mut ends) = endpoint(flood);
    let mut connection = Connection::open_tcp(stack(fast(), app), true).await;
    let mut client = connection.socket().await;

    let start = Instant::now();
    let mut pings = 0;
    while pings < 2 || start.elapsed() < secs(5) {
        let message = client.next().await.unwrap().unwrap();
        pings += usize::from(message.is_ping());
        sleep(Duration::from_millis(100)).await;
        ends.assert_none();
    }

    let closed = timeout(secs(60), ends.next()).await.unwrap();
    assert_eq!(closed.by(), ClosedBy::Policy, "{closed}");
}

/// The kernel has all of it, takes nothing more meanwhile, and that lasts longer than the write timeout.
#[tokio::test]
async fn over_tcp_before_the_ping_behind_a_long_message() {
    let keep_alive = fast().timeout(secs(5)).write_timeout(secs(2));
    let (app, mut ends) = endpoint(async |mut socket: WebSocket| {
        socket.send(vec![0; MIB]).await.unwrap();
        pending::<()>().await;
    });
    let mut connection = Connection::open_tcp(stack(keep_alive, app), false).await;
    let mut io = connection.offering(HeaderMap::new()).await;
    let mut read = 0;
    while read <= MIB_FRAME {
        read += some(&mut io).await;
        ends.assert_none();
        sleep(Duration::from_millis(50)).await;
    }
    assert!(read < MIB_FRAME + 125, "only a ping is behind it: {read}");
}

/// The same, in longer than the close timeout.
#[tokio::test]
async fn over_tcp_before_the_close_behind_a_long_message() {
    let close = 4;
    let (app, _ends) =
        endpoint(async |mut socket: WebSocket| socket.send(vec![0; MIB]).await.unwrap());
    let mut connection = Connection::open_tcp(stack(fast(), app), false).await;
    let mut io = connection.offering(HeaderMap::new()).await;
    let mut read = 0;
    while read < MIB_FRAME + close {
        read += some(&mut io).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read, MIB_FRAME + close);
}

/// A message of a mebibyte, in one frame.
const MIB_FRAME: usize = 10 + MIB;

/// Reads a little; how much that was.
async fn some(io: &mut (impl AsyncRead + Unpin)) -> usize {
    let read = io.read(&mut [0; 8 * 1024]).await.unwrap();
    assert_ne!(read, 0, "the socket has ended");
    read
}
