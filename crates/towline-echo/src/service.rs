//! The service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;
use towline_core::{SendError, WebSocket, WebSocketUpgrade};

/// Echoes whole messages, text as text and binary as binary, until the peer closes.
///
/// It takes requests of any body type and reads none of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoService(());

impl EchoService {
    /// An echo service.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<B> Service<Request<B>> for EchoService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let upgrade = WebSocketUpgrade::of(&request);
        // An idle socket does not keep its request.
        drop(request);
        Box::pin(async move {
            Ok(match upgrade {
                Ok(upgrade) => match upgrade.serve(echo).await {
                    Ok(closed) => closed.into(),
                    Err(error) => error.into(),
                },
                Err(error) => error.into(),
            })
        })
    }
}

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}
