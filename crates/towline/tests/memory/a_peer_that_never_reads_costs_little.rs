//! What a peer does not read stays within the bounds of the queues, however much it sends.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::timeout;
use tower::{ServiceBuilder, service_fn};
use towline::{UpgradeLayer, WebSocketUpgrade};
use towline_testing::{App, BINARY, Http, KIB, MIB, NoBody, PING, PONG, Wire, app, frame, serve};

use crate::heap::{BOTH, Heap, alone, echo, hyper};

/// How long a server takes nothing before it is believed to have stopped.
const STALLED: Duration = Duration::from_millis(300);

/// Sends `message` until 64 MiB are sent or the server takes no more; how many bytes it took.
async fn flood(wire: &mut Wire, message: &[u8]) -> usize {
    let chunk = message.repeat((64 * KIB).div_ceil(message.len()));
    let mut taken = 0;
    while taken < 64 * MIB && timeout(STALLED, wire.write(&chunk)).await.is_ok() {
        taken += chunk.len();
    }
    taken
}

async fn assert_bounded(app: App) {
    for (server, http) in BOTH {
        for size in [0, 60 * KIB] {
            let address = serve(server, http, app.clone()).await;
            let mut wire = Wire::open(http, address).await;
            let message = frame(BINARY, vec![7; size]);
            let heap = Heap::now();
            let taken = flood(&mut wire, &message).await;
            heap.assert_peak(MIB + hyper(http), (server, http, size, taken));
        }
    }
}

#[test]
fn while_it_is_echoed() {
    alone(assert_bounded(echo(MIB)));
}

#[test]
fn while_the_endpoint_takes_nothing() {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let _socket = upgrade.accept().await.unwrap();
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    alone(assert_bounded(app(layers.service(endpoint))));
}

/// The server reads on, and owes no more than the newest of the pongs that find no room.
#[test]
fn while_it_sends_pings() {
    alone(async {
        for (server, http) in BOTH {
            let address = serve(server, http, echo(MIB)).await;
            let mut wire = Wire::open(http, address).await;
            let pings = frame(PING, [b'x'; 125]).repeat(500);
            let total = match http {
                Http::One => 32 * MIB,
                Http::Two => 12 * MIB,
            };
            let heap = Heap::now();
            for _ in 0..total / pings.len() {
                wire.write(&pings).await;
            }
            heap.assert_peak(MIB + hyper(http), (server, http));

            wire.write(frame(PING, "newest")).await;
            let mut pong = None;
            while pong.as_deref() != Some(&b"newest"[..]) {
                let (first, payload) = wire.frame().await.unwrap();
                assert_eq!(first, PONG);
                pong = Some(payload);
            }
            wire.echo("and on").await;
        }
    });
}
