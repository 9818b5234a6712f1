//! Sockets are opened while the drain begins, on several threads: each gets its Close or is refused, and each is counted.

use std::time::Duration;

use tower::Layer;
use towline::{Drain, EchoService, Sockets, UpgradeLayer};
use towline_testing::{EVERYWHERE, app, serve, try_connect, within};

const ROUNDS: u32 = 12;
const CLIENTS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whenever_it_begins() {
    let (mut opened, mut refused) = (0, 0);
    for (server, http) in EVERYWHERE {
        for round in 0..ROUNDS {
            let sockets = Sockets::new();
            let layer = UpgradeLayer::new().sockets(&sockets);
            let address = serve(server, http, app(layer.layer(EchoService::new()))).await;
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    tokio::spawn(async move {
                        match try_connect(http, address).await {
                            Ok(mut client) => {
                                assert_eq!(client.closed().await, Some(1001));
                                true
                            }
                            Err(response) => {
                                assert_eq!(response.status(), 503);
                                false
                            }
                        }
                    })
                })
                .collect();
            // Some are in time for it, and some are not.
            while sockets.active() < round as usize % CLIENTS {
                tokio::task::yield_now().await;
            }
            let drained = within(sockets.drain(Drain::new().within(Duration::from_secs(15))));
            let drained = drained.await.unwrap();
            let mut these = 0;
            for client in clients {
                these += usize::from(within(client).await.unwrap());
            }
            let row = format!("{server:?} {http:?}, round {round}");
            assert_eq!((drained.closed, drained.aborted), (these, 0), "{row}");
            assert_eq!(sockets.active(), 0, "{row}");
            opened += these;
            refused += CLIENTS - these;
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} {refused}");
}
