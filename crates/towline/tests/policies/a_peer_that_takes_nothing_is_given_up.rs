//! A peer whose window stays closed is given up, also while the endpoint waits for room to send.

use towline::keepalive::KeepAlive;
use towline::{CloseCode, ClosedBy, SendError, WebSocket};
use towline_testing::memory::{BOTH, endpoint, open};
use towline_testing::{Clock, MIB, secs};

use crate::support::stack;

/// Sends until it cannot.
async fn flood(mut socket: WebSocket) -> Result<(), SendError> {
    loop {
        socket.send(vec![0; 16 * 1024]).await?;
    }
}

/// Sends more than any buffer on the way holds, and waits for the peer.
async fn send_and_listen(mut socket: WebSocket) -> Result<(), SendError> {
    socket.send(vec![0; 8 * MIB]).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_waits_to_send() {
    for version in BOTH {
        for interval in [None, Some(secs(30))] {
            let keep_alive = KeepAlive::new().interval(interval);
            let (app, mut ends) = endpoint(flood);
            let _client = open(version, stack(keep_alive, app)).await;
            let clock = Clock::start();
            let closed = ends.next().await;
            clock.assert(secs(30)..=secs(30));
            assert_eq!(closed.by(), ClosedBy::Policy);
            // No Close can reach it.
            assert_eq!(closed.code(), CloseCode::ABNORMAL);
            assert_eq!(closed.reason(), "write timeout");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_listens() {
    for version in BOTH {
        let keep_alive = KeepAlive::new().write_timeout(secs(7));
        let (app, mut ends) = endpoint(send_and_listen);
        let _client = open(version, stack(keep_alive, app)).await;
        let clock = Clock::start();
        let closed = ends.next().await;
        clock.assert(secs(7)..=secs(7));
        assert_eq!(closed.reason(), "write timeout");
    }
}
