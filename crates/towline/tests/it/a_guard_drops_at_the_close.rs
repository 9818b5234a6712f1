//! What a layer's future holds is dropped when the socket has closed, not when the handshake is answered.

use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Request;
use tokio::sync::mpsc::{self, UnboundedSender, error::TryRecvError};
use tower::{ServiceBuilder, layer::layer_fn};
use tower_service::Service;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{EVERYWHERE, Guard, NoBody, app, connect, next, serve};

/// Holds a guard in its future.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    pub(crate) inner: S,
    pub(crate) dropped: UnboundedSender<&'static str>,
}

impl<S> Service<Request<NoBody>> for Guarded<S>
where
    S: Service<Request<NoBody>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<NoBody>) -> Self::Future {
        let guard = Guard(self.dropped.clone(), "dropped");
        let inner = self.inner.call(request);
        async move {
            let _guard = guard;
            inner.await
        }
        .boxed()
    }
}

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let (dropped, mut drops) = mpsc::unbounded_channel();
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(layer_fn(move |inner| Guarded {
                inner,
                dropped: dropped.clone(),
            }))
            .service(EchoService::new());
        let address = serve(server, http, app(stack)).await;

        let mut client = connect(http, address).await;
        client.echo("held").await;
        assert_eq!(drops.try_recv().unwrap_err(), TryRecvError::Empty);
        client.close().await;
        assert_eq!(next(&mut drops).await, "dropped");
    }
}
