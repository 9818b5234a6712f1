//! A peer that reads slowly is alive: its pings stand in line behind what is queued.

use futures_util::StreamExt;
use towline::keepalive::KeepAlive;
use towline::{CloseCode, SendError, WebSocket};

use crate::support::{BOTH, Clock, Connection, MIB, endpoint, secs, stack};

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

async fn lives(version: http::Version, app: crate::support::App) {
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
