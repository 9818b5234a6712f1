//! The connections of a server: idle ones are closed, and all of them are told when the server stops.
//!
//! This file is made to be copied. It needs nothing of the application but that each request carries a [`Busy`], which is
//! held until the request is answered, or until the socket that it opened has ended. Inside of an `UpgradeLayer` that is a
//! local variable of the service; in axum it is an argument of the handler, `_busy: Extension<Busy>`. A server whose answers
//! take long to send holds it in the body of the response as well. A service that upgrades by itself has answered at the 101,
//! so its sockets over HTTP/2 do not count.
//!
//! A connection is idle while it has no `Busy`, whatever bytes its peer sends. So one bound covers
//!
//! - a peer that sends nothing, or stops within the 24 bytes by which hyper-util tells the versions of HTTP apart; hyper-util
//!   has no timeout there;
//! - half a request head, over HTTP/1.1 and HTTP/2;
//! - keep-alive of HTTP/1.1 between two requests;
//! - an HTTP/2 connection without streams, also one whose peer sends pings.
//!
//! hyper's `keep_alive_interval` is not used. It ends an HTTP/2 connection, and all sockets on it, when the answer to its
//! ping is late, although a slow peer may only be still reading the data before that ping. (Measured
//! with an interval of 1 s and a timeout of 3 s: a peer that reads 300 kB/s of 9 MB loses its 150 sockets.) The keep-alive of
//! each socket notices a dead peer, and then the connection is idle.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

/// How long a connection may be idle.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// How long the end of a connection may take once it is idle.
pub(crate) const CLOSING: Duration = Duration::from_secs(5);

/// Makes the connections of a server, and tells them that it stops.
#[derive(Debug)]
pub(crate) struct Connections {
    idle: Duration,
    closing: Duration,
    stop: watch::Sender<()>,
}

impl Connections {
    /// A connection that is idle for `idle` is closed. Over HTTP/2 the peer may take `closing` to answer the GOAWAY; after
    /// that the connection is dropped.
    pub(crate) fn new(idle: Duration, closing: Duration) -> Self {
        let (stop, _) = watch::channel(());
        Self {
            idle,
            closing,
            stop,
        }
    }

    /// A connection that has begun now.
    pub(crate) fn open(&self) -> Connection {
        Connection {
            activity: Arc::new(Activity::new()),
            idle: self.idle,
            closing: self.closing,
            stop: self.stop.subscribe(),
        }
    }

    /// Tells the connections that are open now that the server stops, and returns at once. An HTTP/2 connection sends
    /// GOAWAY, and ends with its last stream; one of HTTP/1.1 ends with the answer to the request under way.
    ///
    /// Later connections are not told. A server that goes on accepting while it drains its sockets calls this twice: when
    /// the drain begins and when it is over. hyper-util's `GracefulShutdown` can do so only once.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(());
    }

    /// Waits until no connection is left. A socket over HTTP/1.1 is not part of its connection any more.
    pub(crate) async fn closed(&self) {
        self.stop.closed().await;
    }
}

/// A connection among [`Connections`].
#[derive(Debug)]
pub(crate) struct Connection {
    activity: Arc<Activity>,
    idle: Duration,
    closing: Duration,
    stop: watch::Receiver<()>,
}

impl Connection {
    /// Makes a [`Busy`] for each request.
    pub(crate) fn requests(&self) -> impl Fn() -> Busy + use<> {
        let activity = Arc::clone(&self.activity);
        move || Busy::new(Arc::clone(&activity))
    }

    /// Serves until the connection ends by itself, is idle for too long, or has ended after [`Connections::stop`]. Errors
    /// are the peer's affair.
    pub(crate) async fn serve<C: GracefulConnection>(mut self, connection: C) {
        let mut connection = pin!(connection);
        tokio::select! {
            // First, so that a request that has arrived is read before the connection is told to stop.
            biased;
            _ = connection.as_mut() => return,
            _ = self.stop.changed() => {}
            () = self.activity.idle_for(self.idle) => {}
        }
        connection.as_mut().graceful_shutdown();
        // A stream may have been opened before the peer saw the GOAWAY. It is served.
        tokio::select! {
            _ = connection => {}
            () = self.activity.idle_for(self.closing) => {}
        }
    }
}

/// Keeps its connection from being idle. It goes into the extensions of the request, and from there into the service that
/// answers.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.state().busy += 1;
        Self(activity)
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        if state.busy == 0 {
            state.since = Instant::now();
            drop(state);
            self.0.idle.notify_one();
        }
    }
}

/// The number of a connection's [`Busy`] values.
#[derive(Debug)]
struct Activity {
    state: Mutex<State>,
    /// `busy` has become 0.
    idle: Notify,
}

#[derive(Debug)]
struct State {
    busy: usize,
    /// When `busy` became 0.
    since: Instant,
}

impl Activity {
    fn new() -> Self {
        let state = State {
            busy: 0,
            since: Instant::now(),
        };
        Self {
            state: Mutex::new(state),
            idle: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the connection has been idle for `duration`, counted from now at the earliest. A request that comes and
    /// goes does not touch the timer: when it fires, it is set anew.
    async fn idle_for(&self, duration: Duration) {
        let begin = Instant::now();
        loop {
            let since = {
                let state = self.state();
                (state.busy == 0).then_some(state.since.max(begin))
            };
            let Some(since) = since else {
                self.idle.notified().await;
                continue;
            };
            let left = duration.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}
