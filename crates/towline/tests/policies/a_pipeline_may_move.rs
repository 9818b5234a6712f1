//! An executor may move a pipeline from task to task: what it waits for wakes the task in which it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tower::Layer;
use towline::keepalive::KeepAlive;
use towline::{ClosedBy, SendError, UpgradeLayer, WebSocket};
use towline_testing::memory::{BOTH, endpoint, open, upgraded};
use towline_testing::{Clock, secs};

/// Moves its futures when it is notified.
#[derive(Clone, Debug, Default)]
struct Moving(Arc<Notify>);

impl<F> hyper::rt::Executor<F> for Moving
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.clone().go_on(Box::pin(future));
    }
}

impl Moving {
    fn go_on(self, mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(async move {
            tokio::select! {
                () = &mut future => return,
                () = self.0.notified() => {}
            }
            self.go_on(future);
        });
    }
}

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Of a busy socket, whose policies are not asked at each wake-up.
#[tokio::test(start_paused = true)]
async fn and_its_timer_finds_it() {
    for version in BOTH {
        let keep_alive = KeepAlive::new().interval(None).max_lifetime(secs(100));
        let (app, mut ends) = endpoint(echo);
        let moving = Moving::default();
        let layer = UpgradeLayer::new().executor(moving.clone());
        let app = upgraded(layer.layer(keep_alive.layer().unwrap().layer(app)));
        let mut client = open(version, app).await;
        let clock = Clock::start();
        for _ in 0..20 {
            client.send(Message::text("busy")).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_text());
        }
        moving.0.notify_one();
        let close = timeout(secs(1000), client.next()).await.unwrap();
        assert!(close.unwrap().unwrap().is_close());
        clock.assert(secs(100)..=secs(100));
        while client.next().await.is_some() {}
        assert_eq!(ends.next().await.by(), ClosedBy::Policy);
    }
}
