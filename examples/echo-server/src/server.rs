//! The server: hyper-util's, which speaks HTTP/1.1 and HTTP/2 on one port, with or without TLS.

use std::convert::Infallible;
use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use towline::Sockets;
use towline::keepalive::InvalidKeepAlive;
use towline::origin::InvalidOrigin;
use tracing::{Instrument, debug, debug_span};
use tracing_subscriber::filter::ParseError;

use crate::app::{App, Body, app};
use crate::cli::Options;
use crate::connections::{CLOSING, Connections, IDLE};
use crate::listen::listen;
use crate::shutdown::Shutdown;
use crate::tls::{self, InvalidTls};

/// How long a client may take for the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes that one WebSocket over HTTP/2 may send ahead of its endpoint. The connection's window has room for all of its
/// streams, so that a stream whose endpoint does not read does not stop the others.
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;

/// Why the server does not run.
#[derive(Debug)]
pub(crate) enum Error {
    Origin(InvalidOrigin),
    Listen(SocketAddr, io::Error),
    Serve(io::Error),
    KeepAlive(InvalidKeepAlive),
    Log(ParseError),
    Runtime(io::Error),
    Tls(InvalidTls),
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

impl From<InvalidTls> for Error {
    fn from(error: InvalidTls) -> Self {
        Self::Tls(error)
    }
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::Log(error)
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
            Self::Log(error) => write!(f, "bad RUST_LOG: {error}"),
            Self::Runtime(error) => write!(f, "cannot start threads: {error}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

/// Serves until Ctrl-C or SIGTERM, and then until the sockets are drained.
pub(crate) async fn run(options: &Options) -> Result<ExitCode, Error> {
    let sockets = Sockets::new();
    let app = app(options, &sockets)?;
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    let listener = listen(options.listen).map_err(|error| Error::Listen(options.listen, error))?;
    let address = listener.local_addr().map_err(Error::Serve)?;
    let within = options.drain.0.unwrap_or(Duration::ZERO);
    let mut shutdown = Shutdown::prepare(sockets, within).map_err(Error::Serve)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    writeln!(io::stdout(), "listening on {scheme}://{address}").map_err(Error::Serve)?;

    let server = Server {
        app,
        tls,
        max_streams: options.max_streams,
        connections: Arc::new(Connections::new(IDLE, CLOSING)),
    };
    // Requests other than handshakes are answered during the drain.
    let drained = tokio::select! {
        never = accept(&listener, &server) => match never {},
        drained = shutdown.drained(&server.connections) => drained.map_err(Error::Serve)?,
    };
    drop(listener);
    let code = shutdown.finish(drained, &server.connections).await;
    code.map_err(Error::Serve)
}

/// The application and the settings that connections are served with.
#[derive(Clone)]
struct Server {
    app: App,
    tls: Option<TlsAcceptor>,
    max_streams: u32,
    connections: Arc<Connections>,
}

async fn accept(listener: &TcpListener, server: &Server) -> Infallible {
    let mut failed = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                failed = false;
                tokio::spawn(server.clone().connection(stream, peer));
            }
            Err(error) => {
                // Said once: peers that hold many connections must not fill the log.
                if !failed {
                    eprintln!("echo-server: cannot accept a connection: {error}");
                }
                failed = true;
                // Out of file descriptors, most likely: some will be closed.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Server {
    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        // HTTP/2 answers with small writes of its own; the kernel would hold the next one back until the peer acknowledges.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.serve(stream, peer).await;
        };
        match timeout(TLS_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer).await,
            Ok(Err(error)) => debug!(%peer, %error, "no TLS"),
            Err(_) => debug!(%peer, "no TLS within {TLS_TIMEOUT:?}"),
        }
    }

    async fn serve<I>(self, stream: I, peer: SocketAddr)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        // Without a timer hyper's own bound on a request head, 30 s, does nothing.
        builder.http1().timer(TokioTimer::new());
        builder
            .http2()
            .enable_connect_protocol()
            .max_concurrent_streams(self.max_streams)
            // With more data before it, a ping would be late at a client that reads slowly.
            .max_send_buf_size(STREAM_WINDOW as usize)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * self.max_streams);
        let connection = self.connections.open();
        let busy = connection.requests();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(busy());
            answer(peer, self.app.clone(), request)
        });
        let stream = TokioIo::new(stream);
        connection
            .serve(builder.serve_connection_with_upgrades(stream, service))
            .await;
    }
}

/// The answer to one request. It is in a span that says whose it is; so is the socket that may come of it.
fn answer(
    peer: SocketAddr,
    app: App,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let (version, method, path) = (request.version(), request.method(), request.uri().path());
    let span = debug_span!("request", %peer, ?version, %method, path);
    let answering = async {
        let response = app.oneshot(request).await?;
        debug!(status = response.status().as_u16(), "answered");
        Ok(response)
    };
    answering.instrument(span)
}

#[cfg(test)]
mod tests;
