//! When the pipeline of a raw connection ends first, reads and writes fail.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Error;
use tower::Layer;
use towline_core::{RawConnection, WebSocketUpgrade};
use towline_testing::{settle, soon};
use towline_upgrade::UpgradeLayer;

use crate::support::{Counting, once, open_under, poll_once, response, serve};
use crate::tungstenite_lives_in_the_pipeline::{accept, echo, open};

/// A task that reads, another that writes more than the peer takes, and the error of each.
///
/// They have no library between: tungstenite wakes reader and writer together. Both halves are kept, so nothing but
/// the end of the pipeline ends the other one.
fn read_and_write(raw: RawConnection) -> [oneshot::Receiver<io::Error>; 2] {
    let (mut input, mut output) = tokio::io::split(raw);
    let (read, reads) = oneshot::channel();
    let (written, writes) = oneshot::channel();
    tokio::spawn(async move {
        let _ = read.send(input.read_u8().await.unwrap_err());
        std::future::pending::<()>().await;
        drop(input);
    });
    tokio::spawn(async move {
        let error = loop {
            if let Err(error) = output.write_all(&[0; 100_000]).await {
                break error;
            }
        };
        let _ = written.send(error);
        std::future::pending::<()>().await;
        drop(output);
    });
    [reads, writes]
}

async fn assert_aborted(errors: [oneshot::Receiver<io::Error>; 2]) {
    for error in errors {
        let error = soon(error).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "{error}");
    }
}

/// Runs the pipeline in a task that can be dropped.
#[derive(Clone, Default)]
struct Abortable(Arc<Mutex<Option<AbortHandle>>>);

impl<F> hyper::rt::Executor<F> for Abortable
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let handle = tokio::spawn(future).abort_handle();
        *self.0.lock().unwrap() = Some(handle);
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_task_of_the_pipeline_is_dropped() {
    let executor = Abortable::default();
    let layer = UpgradeLayer::new().executor(executor.clone());
    let (sender, errors) = oneshot::channel();
    let (service, ended) = once(|request| async move {
        let raw = WebSocketUpgrade::of(&request)?.accept_raw().await?;
        let _ = sender.send(read_and_write(raw));
        Ok(response(200, ""))
    });
    let mut peer = serve(layer.layer(service)).open().await;
    ended.wait().await.unwrap();
    let mut errors = soon(errors).await.unwrap();
    settle().await;
    for error in &mut errors {
        assert!(error.try_recv().is_err(), "too early");
    }
    executor.0.lock().unwrap().take().unwrap().abort();
    assert_aborted(errors).await;
    peer.rest().await;
}

/// As it closes a `WebSocket`, wherever that is.
#[tokio::test(start_paused = true)]
async fn when_the_endpoint_fails() {
    let counting = Counting::default();
    let layer = UpgradeLayer::new().executor(counting.clone());
    let (sender, errors) = oneshot::channel();
    let (service, _ended) = once(|request| async move {
        let raw = WebSocketUpgrade::of(&request)?.accept_raw().await?;
        let _ = sender.send(read_and_write(raw));
        settle().await;
        Ok(response(500, ""))
    });
    let mut peer = serve(layer.layer(service)).open().await;
    assert_aborted(soon(errors).await.unwrap()).await;
    peer.rest().await;
    assert_eq!(counting.running(), 0);
}

/// The endpoint failed before another task of its came to take the connection.
#[tokio::test(start_paused = true)]
async fn when_the_endpoint_fails_before_the_stream_is_there() {
    let (sender, errors) = oneshot::channel();
    let (mut peer, _ended) = open_under(UpgradeLayer::new(), |upgrade| async {
        let (go, gone) = oneshot::channel::<()>();
        tokio::spawn(async {
            let mut accepting = Box::pin(accept(upgrade));
            assert!(poll_once(&mut accepting).await.is_pending());
            go.send(()).unwrap();
            // The connection comes and is the driver's again.
            settle().await;
            settle().await;
            let mut stream = accepting.await.unwrap();
            let _ = sender.send(stream.next().await.unwrap().unwrap_err());
        });
        gone.await.unwrap();
        response(500, "")
    })
    .await;
    peer.expect_close(1011, "").await;
    let error = soon(errors).await.unwrap();
    assert!(
        matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionAborted),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_connection() {
    let counting = Counting::default();
    let layer = UpgradeLayer::new().executor(counting.clone());
    let (service, _ended) = once(|request| async move {
        let mut stream = accept(WebSocketUpgrade::of(&request)?).await?;
        let message = stream.next().await;
        if message.is_some() {
            panic!("a message that panics");
        }
        Ok(response(200, ""))
    });
    let mut peer = serve(layer.layer(service)).open().await;
    peer.text("panic").await;
    peer.expect_end().await;
    drop(peer);
    settle().await;
    assert_eq!((counting.running(), counting.panics()), (0, 0));
}

/// A peer that goes ends the stream, and with it the pipeline.
#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_ends_the_pipeline() {
    let (peer, ended) = open(UpgradeLayer::new(), echo).await;
    drop(peer);
    ended.wait().await.unwrap();
}
