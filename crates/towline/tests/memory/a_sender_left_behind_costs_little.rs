//! A registry prunes its senders now and then: until it does, one of a closed socket costs little.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::timeout;
use tower::{ServiceBuilder, service_fn};
use towline::{Sender, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{App, Http, NoBody, Server, Wire, app, serve, within};

use crate::heap::{Heap, alone};

const SOCKETS: usize = 200;

type Registry = Arc<Mutex<Vec<Sender>>>;

fn registering(registry: Registry) -> App {
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let registry = Arc::clone(&registry);
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served = upgrade.serve(|socket| async move {
                let (sender, mut receiver) = socket.split();
                registry.lock().unwrap().push(sender.clone());
                let first = receiver.recv().await.unwrap();
                sender.send(first).await.unwrap();
                sender.flush().await.unwrap();
                // It waits for another when the socket ends, in its own task.
                assert!(
                    timeout(Duration::from_millis(1), receiver.recv())
                        .await
                        .is_err()
                );
                receiver.control().abort();
            });
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
        }
    });
    app(ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(endpoint))
}

/// What handle and driver share, and no task.
#[test]
fn after_the_end_of_its_socket() {
    alone(async {
        let registry = Registry::default();
        let address = serve(Server::Hyper, Http::One, registering(Arc::clone(&registry))).await;
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let started = tasks();
        let open = async |sockets| {
            for _ in 0..sockets {
                let mut wire = Wire::open(Http::One, address).await;
                wire.echo("used").await;
                assert_eq!(wire.frame().await, None);
            }
            within(async {
                while tasks() > started {
                    yield_now().await;
                }
            })
            .await;
        };
        open(SOCKETS).await;
        registry.lock().unwrap().clear();
        registry.lock().unwrap().reserve(SOCKETS);

        let heap = Heap::now();
        open(SOCKETS).await;
        assert_eq!(registry.lock().unwrap().len(), SOCKETS);
        let each = heap.growth() / SOCKETS;
        assert!(each < 1000, "{each} bytes");
    });
}
