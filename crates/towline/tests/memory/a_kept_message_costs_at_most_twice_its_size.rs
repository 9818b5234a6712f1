//! What an endpoint keeps costs about what was sent, whatever else the server has echoed meanwhile.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use towline::{SendError, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{BINARY, Http, KIB, MIB, NoBody, Server, Wire, app, frame, serve};

use crate::heap::{Heap, alone};

const KEPT: usize = 16 * KIB;

/// What the buffers of large messages take that are kept for the next, of each thread.
const SPARE: usize = 4 * MIB;

async fn keep(mut socket: WebSocket) -> Result<(), SendError> {
    let mut kept = Vec::new();
    while let Some(message) = socket.recv().await {
        if message.len() == KEPT {
            kept.push(message);
        }
        socket.send("seen").await?;
    }
    Ok(())
}

#[test]
fn between_long_ones_that_are_not() {
    alone(async {
        let endpoint = service_fn(|request: Request<NoBody>| async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let closed = upgrade.serve(keep).await.unwrap();
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(closed))
        });
        let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
        let address = serve(Server::Hyper, Http::One, app(layers.service(endpoint))).await;
        let mut wire = Wire::open(Http::One, address).await;
        let (long, short) = (frame(BINARY, vec![7; MIB]), frame(BINARY, vec![7; KEPT]));
        let heap = Heap::now();
        let messages = 100;
        for message in [&long, &short].into_iter().cycle().take(2 * messages) {
            wire.write(message).await;
            wire.frame().await.unwrap();
        }
        let growth = heap.growth();
        assert!(growth < 2 * messages * KEPT + 2 * SPARE, "{growth}");
    });
}
