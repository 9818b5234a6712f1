//! The server: hyper-util's, which speaks HTTP/1.1 and HTTP/2 on one port.

use std::convert::Infallible;
use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use towline::Sockets;
use towline::keepalive::InvalidKeepAlive;
use towline::origin::InvalidOrigin;

use crate::app::{App, app};
use crate::cli::Options;
use crate::shutdown::Shutdown;

/// What one WebSocket over HTTP/2 may send ahead of its endpoint, and how many there are on a connection. The
/// connection's window has room for all of them, so that one that nobody reads does not stop its siblings.
const STREAM_WINDOW: u32 = 64 * 1024;
const STREAMS: u32 = 200;

/// Why the server does not run.
#[derive(Debug)]
pub(crate) enum Error {
    Origin(InvalidOrigin),
    Listen(SocketAddr, io::Error),
    Serve(io::Error),
    KeepAlive(InvalidKeepAlive),
}

impl From<InvalidOrigin> for Error {
    fn from(error: InvalidOrigin) -> Self {
        Self::Origin(error)
    }
}

impl From<InvalidKeepAlive> for Error {
    fn from(error: InvalidKeepAlive) -> Self {
        Self::KeepAlive(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(error) => {
                write!(f, "bad --origin: {error}")?;
                match error.source() {
                    Some(cause) => write!(f, ": {cause}"),
                    None => Ok(()),
                }
            }
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::KeepAlive(error) => error.fmt(f),
            Self::Serve(error) => write!(f, "cannot serve: {error}"),
        }
    }
}

/// Serves until Ctrl-C or SIGTERM, and then until the sockets are drained.
pub(crate) async fn run(options: &Options) -> Result<ExitCode, Error> {
    let sockets = Sockets::new();
    let app = app(options, &sockets)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| Error::Listen(options.listen, error))?;
    let address = listener.local_addr().map_err(Error::Serve)?;
    let within = options.drain.0.unwrap_or(Duration::ZERO);
    let mut shutdown = Shutdown::prepare(sockets, within).map_err(Error::Serve)?;
    writeln!(io::stdout(), "listening on http://{address}").map_err(Error::Serve)?;

    let connections = GracefulShutdown::new();
    let drained = tokio::select! {
        never = accept(&listener, &app, &connections) => match never {},
        drained = shutdown.drained() => drained.map_err(Error::Serve)?,
    };
    drop(listener);
    let code = shutdown.finish(drained, connections).await;
    code.map_err(Error::Serve)
}

async fn accept(listener: &TcpListener, app: &App, connections: &GracefulShutdown) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, app.clone(), connections.watcher()));
            }
            Err(error) => {
                eprintln!("echo-server: cannot accept a connection: {error}");
                // Out of file descriptors, most likely: some will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, app: App, watcher: Watcher) {
    // HTTP/2 answers with small writes of its own; the kernel would hold the next one back until the peer acknowledges.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        // A ping behind more than this would be late at a client that reads slowly.
        .max_send_buf_size(STREAM_WINDOW as usize)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS);
    let service = TowerToHyperService::new(app);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A connection that breaks is its client's affair.
    let _ = watcher.watch(connection).await;
}
