//! The driver: it owns the connection and keeps it going, whatever the endpoint is doing.
//!
//! Driver and endpoint share one task. A poll goes round: read → run the endpoint → write, until reading and writing
//! are blocked and the endpoint has seen all that is new.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::connection::{Connection, Gone};
use crate::deadline::deadline_after;
use crate::error::UpgradeFailed;
use crate::pipeline::Remote;
use crate::policies::{Policies, Running};
use crate::shared::Returned;
use crate::shared::{Batch, Shared};
use crate::timer::Timer;
use crate::trace;

/// What one poll does at most before other tasks have their turn.
const ROUNDS: usize = 16;

/// The work of one poll, in bytes read.
///
/// An empty frame is only six bytes, but it has to be decoded and answered. So each frame counts as [`FRAME`](Self::FRAME)
/// bytes more than it has.
#[derive(Debug)]
pub(crate) struct Budget {
    spent: usize,
}

impl Budget {
    /// 256 KiB, or 4 096 frames.
    const POLL: usize = 4096 * Self::FRAME;
    const FRAME: usize = 64;

    const fn new() -> Self {
        Self { spent: 0 }
    }

    /// Notes that bytes were read, or other work was done that takes as long, and that frames were decoded.
    #[inline]
    pub(crate) fn spend(&mut self, bytes: usize, frames: usize) {
        self.spent += bytes + Self::FRAME * frames;
    }

    #[inline]
    pub(crate) fn is_used_up(&self) -> bool {
        self.spent >= Self::POLL
    }

    /// The number of frames that may still be decoded. The last one may exceed the budget.
    pub(crate) fn frames(&self) -> usize {
        Self::POLL.saturating_sub(self.spent).div_ceil(Self::FRAME)
    }
}

/// Drives one socket from the accepted handshake to the end of its connection.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    // Boxed: it appears only once the upgrade is done, and a driver moves.
    connection: Option<Box<Connection>>,
    stage: Stage,
    timer: Timer,
    /// Empty between polls.
    arrived: Batch,
}

/// The endpoint ended with an error, a panic or an error's status.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a unit: all there is to tell the driver"
)]
pub struct EndpointFailed;

/// Where the connection is.
#[derive(Debug)]
enum Stage {
    Upgrading {
        on_upgrade: OnUpgrade,
        deadline: Instant,
        policies: Policies,
    },
    /// Here.
    Open,
    /// The endpoint reads and writes the connection by itself.
    Lent,
    Ended,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        on_upgrade: OnUpgrade,
        handshake_timeout: Duration,
        policies: Policies,
    ) -> Self {
        Self {
            shared,
            connection: None,
            stage: Stage::Upgrading {
                on_upgrade,
                deadline: deadline_after(Instant::now(), handshake_timeout),
                policies,
            },
            timer: Timer::default(),
            arrived: Batch::default(),
        }
    }

    /// The socket, as a registry reaches it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::socket(Arc::clone(&self.shared))
    }

    /// Whether [`Remote::abort`] ended the socket.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.is_cut()
    }

    /// Drives the socket and, between reading and writing, polls the endpoint that lives in the same task.
    ///
    /// `endpoint` is told whether the socket has closed. An endpoint that has returned by then is to be dropped at once, and
    /// so is all that it and its layers held: only after that the peer learns of the end.
    ///
    /// An endpoint that gives an error closes the socket with 1011, unless it closed that by itself before.
    ///
    /// Ready when the connection has ended; every handle knows by then. The endpoint may have more to do, and whoever
    /// polls goes on with it.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut endpoint: impl FnMut(&mut Context<'_>, bool) -> Result<(), EndpointFailed>,
    ) -> Poll<()> {
        let mut budget = Budget::new();
        for round in 0..ROUNDS {
            self.read(&mut budget, cx);
            // Whatever woke the task in the first place may have been meant for the endpoint.
            if self.shared.deliver(&mut self.arrived, cx) || round == 0 {
                let has_closed = self.connection.as_ref().is_some_and(|it| it.has_ended());
                let call = self.shared.endpoint_call();
                let polled = endpoint(cx, has_closed);
                drop(call);
                if let Err(EndpointFailed) = polled {
                    self.shared.fail();
                }
            }
            self.write(&mut budget, cx);
            let finished = match &mut self.connection {
                Some(connection) => connection.finish(&self.shared),
                None if matches!(self.stage, Stage::Ended) => return Poll::Ready(()),
                None => self.shared.rest(),
            };
            if finished {
                return Poll::Pending;
            }
            if budget.is_used_up() {
                break;
            }
        }
        self.shared.suspend();
        if let Some(connection) = &mut self.connection {
            connection.suspend();
        }
        // Woken behind the runtime's look at its transports: else it looks only once in many turns of this task.
        let _ = pin!(yield_now()).poll(cx);
        Poll::Pending
    }

    #[inline]
    fn read(&mut self, budget: &mut Budget, cx: &mut Context<'_>) {
        if self.connection.is_none() {
            self.poll_upgrade(cx);
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        if let Err(Gone) = connection.read(&mut self.arrived, budget, &self.shared, cx) {
            self.shared.take_last(&mut self.arrived);
            self.end();
        }
    }

    #[cold]
    fn poll_upgrade(&mut self, cx: &mut Context<'_>) {
        let Stage::Upgrading {
            on_upgrade,
            policies,
            ..
        } = &mut self.stage
        else {
            return;
        };
        match Pin::new(on_upgrade).poll(cx) {
            Poll::Ready(Ok(upgraded)) => {
                let policies = mem::take(policies);
                self.open(upgraded, &policies);
            }
            Poll::Ready(Err(error)) => self.upgrade_failed(error.into()),
            Poll::Pending => {}
        }
    }

    fn open(&mut self, upgraded: Upgraded, policies: &Policies) {
        let Some(upgraded) = self.shared.lend(upgraded) else {
            self.stage = Stage::Lent;
            return self.shared.open();
        };
        let mut connection = Connection::new(upgraded, &self.shared);
        connection.set_policies(Running::open(policies), &self.shared);
        self.here(connection);
        self.shared.open();
    }

    fn here(&mut self, connection: Connection) {
        self.stage = Stage::Open;
        self.connection = Some(Box::new(connection));
    }

    #[inline]
    fn write(&mut self, budget: &mut Budget, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else {
            return self.wait(cx);
        };
        if let Err(Gone) = connection.write(&self.shared, budget, &mut self.timer, cx) {
            self.end();
        }
    }

    /// There is nothing to write to.
    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) {
        match &self.stage {
            Stage::Upgrading { deadline, .. } => {
                if self.shared.put_off() {
                    self.upgrade_failed(UpgradeFailed::Aborted);
                } else if self.timer.poll(cx, Some(*deadline)).is_ready() {
                    self.upgrade_failed(UpgradeFailed::TimedOut);
                }
            }
            Stage::Lent => self.take_back(),
            Stage::Open | Stage::Ended => {}
        }
    }

    /// Goes on with a connection that was lent, once the loan has ended.
    fn take_back(&mut self) {
        let connection = match self.shared.take_back() {
            None => return,
            Some(Returned::Unused(upgraded)) => Connection::new(upgraded, &self.shared),
            Some(Returned::Used(io)) => Connection::ending(io, &self.shared),
            Some(Returned::Revoked) => return self.end(),
        };
        self.here(connection);
    }

    #[cold]
    fn end(&mut self) {
        self.stage = Stage::Ended;
        self.drop_connection();
        self.shared.ended();
    }

    /// What was written of what was queued is known to the end.
    fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.written(connection.written());
        }
    }

    fn upgrade_failed(&mut self, error: UpgradeFailed) {
        trace::upgrade_failed(&error);
        self.stage = Stage::Ended;
        self.shared.upgrade_failed(error);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.drop_connection();
        self.shared.abandon();
    }
}
