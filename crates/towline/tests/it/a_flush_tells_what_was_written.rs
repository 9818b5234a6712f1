//! `flush` is good when all was written, also after the end of the socket, and what waits to be written counts as queued.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;
use tower::{ServiceBuilder, service_fn};
use towline::test_util::{Client, connect, http1, http2};
use towline::{Sender, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{NoBody, within};

/// How much the transport of these tests holds.
const CAPACITY: usize = 64 * 1024;

/// A socket whose endpoint waits for its end: the client's end, and a sender of the server's.
async fn open(request: Request<()>) -> (Client, Sender) {
    let (give, mut given) = mpsc::unbounded_channel();
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let give = give.clone();
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served = upgrade.serve(|socket| async move {
                let (sender, mut receiver) = socket.split();
                give.send(sender).unwrap();
                while receiver.recv().await.is_some() {}
            });
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
        }
    });
    let app = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(|_| NoBody::new()))
        .layer(UpgradeLayer::new())
        .service(endpoint);
    let (client, _) = connect(app, request).await.unwrap();
    (client, given.recv().await.unwrap())
}

/// Leaves a transport that is full, and nothing queued.
async fn fill_exactly(sender: &Sender) {
    /// Of a frame of 64 KiB at most.
    const HEADER: usize = 4;

    sender.try_send(vec![0; CAPACITY - HEADER]).unwrap();
    within(sender.flush()).await.unwrap();
}

/// Queues messages until the transport takes no more either.
async fn fill(sender: &Sender) {
    while sender.try_send(vec![0; 1000]).is_ok() {
        while sender.try_send(vec![0; 1000]).is_ok() {}
        settle().await;
    }
}

/// Until nothing is left to be done.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn what_was_written_before_the_end_was_flushed() {
    for request in [http1("/ws"), http2("/ws")] {
        let (mut client, sender) = open(request).await;
        sender.send("written").await.unwrap();
        let message = within(client.next()).await.unwrap().unwrap();
        assert_eq!(message, Message::text("written"));
        drop(client);
        within(sender.control().closed()).await;
        within(sender.flush()).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_lost_at_the_end_was_not() {
    for request in [http1("/ws"), http2("/ws")] {
        let (client, sender) = open(request).await;
        fill(&sender).await;
        let flush = tokio::spawn({
            let sender = sender.clone();
            async move { sender.flush().await }
        });
        settle().await;
        drop(client);
        within(flush).await.unwrap().unwrap_err();
        within(sender.flush()).await.unwrap_err();
    }
}

#[tokio::test]
async fn what_the_transport_does_not_take_counts_as_queued() {
    let (client, sender) = open(http1("/ws")).await;
    fill_exactly(&sender).await;
    while sender.try_send(vec![0; 1000]).is_ok() {}
    settle().await;
    assert!(sender.try_send("too much").is_err());
    drop(client);
}

/// It wakes the driver, which wakes it only when something was written.
#[tokio::test]
async fn one_that_waits_does_not_spin() {
    let (client, sender) = open(http1("/ws")).await;
    fill_exactly(&sender).await;
    // There is room for more in the queue, but not in the transport.
    sender.try_send("waits").unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let flush = tokio::spawn({
        let polls = Arc::clone(&polls);
        async move {
            let mut flush = pin!(sender.flush());
            poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                flush.as_mut().poll(cx)
            })
            .await
        }
    });
    settle().await;
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls <= 2, "{polls}");
    drop(client);
    within(flush).await.unwrap().unwrap_err();
}
