//! A long message that is compressed into one frame is held as it was sent and as it is compressed, and in no other copy.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::{Layer, service_fn};
use towline::{Compression, Message, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::deflate::{OFFER, RSV1};
use towline_testing::{BINARY, KIB, MIB, NoBody, Wire, app, next, serve};

use crate::heap::{BOTH, Heap, alone, hyper};

const LONG: usize = 32 * MIB;

#[test]
fn a_long_message_of_zeros_costs_next_to_nothing_more() {
    alone(async {
        for (server, http) in BOTH {
            let (heaps, mut heap) = mpsc::unbounded_channel();
            let endpoint = service_fn(move |request: Request<NoBody>| {
                let heaps = heaps.clone();
                async move {
                    let upgrade = WebSocketUpgrade::of(&request).unwrap();
                    let upgrade = upgrade.compression(Compression::new());
                    let served = upgrade.serve(|mut socket: WebSocket| async move {
                        let message = Message::from(vec![0; LONG]);
                        heaps.send(Heap::now()).unwrap();
                        socket.send(message).await.unwrap();
                        socket.closed().await;
                    });
                    Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
                }
            });
            let address = serve(server, http, app(UpgradeLayer::new().layer(endpoint))).await;
            let (mut wire, _) = Wire::offer(http, address, OFFER).await;
            let (first, payload) = wire.frame().await.unwrap();
            assert_eq!(first, BINARY | RSV1, "a frame of {} bytes", payload.len());
            assert!(payload.len() < 64 * KIB, "{}", payload.len());
            let most = MIB + hyper(http);
            next(&mut heap).await.assert_peak(most, (server, http));
        }
    });
}
