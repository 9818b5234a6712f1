//! From the signal to the end: the sockets are drained, then the rest of HTTP, and one line says what became of them.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;
use towline::upgrade::Drained;
use towline::{Drain, Sockets};

use crate::connections::Connections;

/// How long requests that are under way behind the drain may take.
const REST: Duration = Duration::from_secs(5);

/// The head start that a connection's GOAWAY has over the Close frames of its sockets, which are written by other tasks.
const LEAD: Duration = Duration::from_millis(100);

/// How the server ends.
pub(crate) struct Shutdown {
    signals: Signals,
    sockets: Sockets,
    drain: Drain,
}

impl Shutdown {
    /// From here on a signal does not end the process by itself.
    pub(crate) fn prepare(sockets: Sockets, within: Duration) -> io::Result<Self> {
        Ok(Self {
            signals: Signals::listen()?,
            sockets,
            drain: Drain::new()
                .reason("the server stops")
                .grace(LEAD.min(within))
                .within(within),
        })
    }

    /// Waits for a signal and drains the sockets; `None` if another signal came meanwhile.
    pub(crate) async fn drained(
        &mut self,
        connections: &Connections,
    ) -> io::Result<Option<Drained>> {
        self.signals.next().await;
        // Before the sockets close: a page that tries again at once takes a new connection, which a load balancer brings
        // to another server.
        connections.stop();
        tokio::select! {
            () = self.signals.next() => Ok(None),
            drained = self.sockets.drain(self.drain.clone()) => {
                drained.map(Some).map_err(io::Error::other)
            }
        }
    }

    /// Reports and ends the connections, unless another signal came before or comes meanwhile.
    pub(crate) async fn finish(
        mut self,
        drained: Option<Drained>,
        connections: &Connections,
    ) -> io::Result<ExitCode> {
        let Some(drained) = drained else {
            return Ok(ExitCode::FAILURE);
        };
        let Drained {
            closed, aborted, ..
        } = drained;
        writeln!(
            io::stdout(),
            "drained: {closed} sockets closed, {aborted} aborted"
        )?;
        // The connections that were accepted during the drain.
        connections.stop();
        tokio::select! {
            () = self.signals.next() => Ok(ExitCode::FAILURE),
            // What takes longer is cut off by the end of the process.
            _ = timeout(REST, connections.closed()) => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Ctrl-C and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
