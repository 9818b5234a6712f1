//! A layer's policy reaches the socket from either side of the upgrade layer; the one nearest to the endpoint counts.

use tower::Layer;
use towline::keepalive::KeepAlive;
use towline::{SendError, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::memory::{App, BOTH, endpoint, endpoint_with, open, under};
use towline_testing::{Clock, secs};

use crate::support::stack;

async fn listen(mut socket: WebSocket) -> Result<(), SendError> {
    while socket.recv().await.is_some() {}
    Ok(())
}

fn lifetime(lifetime: u64) -> KeepAlive {
    KeepAlive::new().interval(None).max_lifetime(secs(lifetime))
}

/// `app` with a layer outside of the upgrade layer.
fn outside(keep_alive: KeepAlive, app: App) -> App {
    App::new(keep_alive.layer().unwrap().layer(app))
}

#[tokio::test(start_paused = true)]
async fn in_whatever_order() {
    let own = |upgrade: WebSocketUpgrade| upgrade.policy(lifetime(1).policy().unwrap());
    for version in BOTH {
        let (app, ends) = endpoint(listen);
        let (with_own, own_ends) = endpoint_with(listen, own);
        let stacks = [
            (stack(lifetime(2), app.clone()), 2),
            (
                outside(lifetime(3), under(UpgradeLayer::new(), app.clone())),
                3,
            ),
            (outside(lifetime(3), stack(lifetime(2), app.clone())), 2),
            (
                outside(
                    lifetime(3),
                    outside(lifetime(4), under(UpgradeLayer::new(), app.clone())),
                ),
                4,
            ),
        ];
        let mut ends = ends;
        for (app, lasts) in stacks {
            assert_lasts(version, app, &mut ends, lasts).await;
        }
        let app = outside(lifetime(3), stack(lifetime(2), with_own));
        let mut ends = own_ends;
        assert_lasts(version, app, &mut ends, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_may_turn_it_off() {
    let off = |upgrade: WebSocketUpgrade| {
        let off = KeepAlive::new()
            .interval(None)
            .write_timeout(None)
            .stall_timeout(None);
        upgrade.policy(off.policy().unwrap())
    };
    for version in BOTH {
        let (app, mut ends) = endpoint_with(listen, off);
        let _client = open(version, stack(KeepAlive::new(), app)).await;
        tokio::time::sleep(secs(3600)).await;
        ends.assert_none();
    }
}

async fn assert_lasts(
    version: http::Version,
    app: App,
    ends: &mut towline_testing::memory::Ends,
    lasts: u64,
) {
    let client = open(version, app).await;
    let clock = Clock::start();
    tokio::spawn(futures_util::StreamExt::for_each(client, |_| async {}));
    let closed = ends.next().await;
    clock.assert(secs(lasts)..=secs(lasts));
    assert_eq!(closed.reason(), "maximum lifetime");
}
