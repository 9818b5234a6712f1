//! A handle is used in every way that futures can be combined, at random, for many thousand steps; whoever waits for a
//! wake-up that never comes hangs the test.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::Full;
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;
use tower::{ServiceBuilder, service_fn};
use towline::{SendError, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{Http, NoBody, Random, Server, app, connect, serve, within};

/// The seed of the next endpoint.
static NEXT: AtomicU64 = AtomicU64::new(1);

const SOCKETS: u64 = 24;
const MESSAGES: u64 = 400;

/// Echoes until the end, each message in another way.
async fn endpoint(mut socket: WebSocket, seed: u64) -> Result<(), SendError> {
    let mut random = Random(seed);
    if random.below(2) == 0 {
        // From a task of its own, which wakes the driver's from outside.
        let task = tokio::spawn(async move { echo(&mut socket, &mut random).await });
        return task.await.expect("no panic");
    }
    echo(&mut socket, &mut random).await
}

async fn echo(socket: &mut WebSocket, random: &mut Random) -> Result<(), SendError> {
    while echo_one(socket, random).await? {}
    Ok(())
}

/// Whether there was a message.
pub(crate) async fn echo_one(
    socket: &mut WebSocket,
    random: &mut Random,
) -> Result<bool, SendError> {
    let received = match random.below(4) {
        0 => socket.recv().await,
        1 => socket.next().await,
        2 => tokio::select! {
            biased;
            () = yield_now() => socket.recv().await,
            message = socket.recv() => message,
        },
        _ => {
            let mut all = FuturesUnordered::new();
            all.push(socket.recv());
            all.next().await.expect("one future")
        }
    };
    let Some(message) = received else {
        return Ok(false);
    };
    match random.below(5) {
        0 => socket.send(message).await?,
        1 => SinkExt::send(socket, message).await?,
        2 => {
            let (sent, ()) = tokio::join!(socket.send(message), yield_now());
            sent?;
        }
        3 => {
            // Dropped after a poll, a send has queued all or nothing.
            let copy = message.clone();
            let sent = tokio::select! {
                biased;
                sent = socket.send(copy) => Some(sent),
                () = yield_now() => None,
            };
            match sent {
                Some(sent) => sent?,
                None => socket.send(message).await?,
            }
        }
        _ => {
            let mut sending = pin!(socket.send(message));
            tokio::select! {
                sent = &mut sending => sent?,
                () = yield_now() => sending.await?,
            }
        }
    }
    Ok(true)
}

async fn client(http: Http, address: std::net::SocketAddr, seed: u64) {
    let mut random = Random(seed);
    let (mut sink, mut stream) = connect(http, address).await.socket.split();
    let sizes: Vec<usize> = (0..MESSAGES).map(|_| random.size()).collect();
    let to_send = sizes.clone();
    let sending = tokio::spawn(async move {
        for (index, size) in to_send.into_iter().enumerate() {
            let message = Message::binary(vec![index as u8; size]);
            match random.below(2) {
                0 => sink.send(message).await.unwrap(),
                _ => sink.feed(message).await.unwrap(),
            }
        }
        sink.close().await.unwrap();
    });
    for (index, size) in sizes.into_iter().enumerate() {
        let message = within(stream.next()).await.unwrap().unwrap();
        assert_eq!(
            message.into_data(),
            vec![index as u8; size],
            "message {index}"
        );
    }
    within(sending).await.unwrap();
    while let Some(Ok(message)) = within(stream.next()).await {
        assert!(message.is_close(), "{message:?}");
    }
}

async fn run(http: Http) {
    let service = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let seed = NEXT.fetch_add(1, Ordering::Relaxed);
        let served = upgrade.serve(|socket| endpoint(socket, seed));
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    let address = serve(Server::Hyper, http, app(layers.service(service))).await;
    let clients: Vec<_> = (1..=SOCKETS)
        .map(|seed| tokio::spawn(client(http, address, seed)))
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http1() {
    run(Http::One).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2() {
    run(Http::Two).await;
}
