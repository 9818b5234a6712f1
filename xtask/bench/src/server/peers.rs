//! The peers, a file each: an echo server as the peer's own documentation teaches it.
//!
//! All are alike in what is not theirs: one thread, the system's allocator, `TCP_NODELAY`, limits as the documentation leaves them.

mod axum;
mod fastwebsockets;
mod raw;
mod tokio_websockets;
mod towline;
mod tungstenite;
mod yawc;

use std::error::Error;
use std::future::Future;
use std::io;

use ::towline::{Compression, KeepAliveLayer};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Whose server it is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Peer {
    /// tokio's TCP alone: the floor
    Raw,
    /// axum's `ws`
    Axum,
    /// hyper and tokio-tungstenite
    Tungstenite,
    /// hyper and fastwebsockets
    Fastwebsockets,
    /// tokio-websockets with its own handshake
    TokioWebsockets,
    /// hyper, the upgrade layer and the echo service
    Towline,
    /// The same, for clients that offer compression
    TowlineCompressed,
    /// hyper and yawc, for clients that offer compression
    YawcCompressed,
    /// the same with the keep-alive layer
    TowlineKeepAlive,
}

impl Peer {
    /// Serves until an error of the listener.
    pub(crate) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        match self {
            Self::Raw => accept(listener, raw::serve).await,
            Self::Axum => axum::serve(listener).await,
            Self::Tungstenite => accept(listener, tungstenite::serve).await,
            Self::Fastwebsockets => accept(listener, fastwebsockets::serve).await,
            Self::TokioWebsockets => accept(listener, tokio_websockets::serve).await,
            Self::Towline => towline::serve(listener, None, None).await,
            Self::TowlineCompressed => {
                towline::serve(listener, Some(Compression::new()), None).await
            }
            Self::YawcCompressed => accept(listener, yawc::serve).await,
            Self::TowlineKeepAlive => {
                towline::serve(listener, None, Some(KeepAliveLayer::new())).await
            }
        }
    }
}

/// Runs `serve` in a task for every connection.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

/// Serves HTTP/1.1 with upgrades on one connection.
async fn http1<S>(stream: TcpStream, service: S)
where
    S: HttpService<Incoming> + Send,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: Body + Send + 'static,
    <S::ResBody as Body>::Data: Send,
    <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // A connection that breaks is its client's affair.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
