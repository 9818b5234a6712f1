//! The span of a trace layer is current in the endpoint, and its latency is the socket's lifetime.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::{ServiceBuilder, service_fn};
use tower_http::trace::TraceLayer;
use towline::{UpgradeLayer, WebSocketUpgrade};
use towline_testing::{EVERYWHERE, NoBody, app, connect, next, serve};
use tracing::Span;

/// The name of the current span.
fn span() -> Option<&'static str> {
    Span::current().metadata().map(tracing::Metadata::name)
}

async fn endpoint(request: Request<NoBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrade = WebSocketUpgrade::of(&request).unwrap();
    let served = upgrade.serve(|mut socket| async move {
        while let Some(_asked) = socket.recv().await {
            let name = span().unwrap_or("none");
            socket.send(name).await.unwrap();
        }
    });
    Ok(served.await.unwrap().into())
}

#[tokio::test]
async fn everywhere() {
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
    for (server, http) in EVERYWHERE {
        let (sender, mut latencies) = mpsc::unbounded_channel();
        let trace = TraceLayer::new_for_http()
            .make_span_with(|_: &Request<NoBody>| tracing::error_span!("request"))
            .on_response(move |_: &Response<_>, latency: Duration, _: &Span| {
                sender.send(latency).unwrap();
            });
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(trace)
            .service(service_fn(endpoint));
        let address = serve(server, http, app(stack)).await;

        let mut client = connect(http, address).await;
        let open = Instant::now();
        for _ in 0..10 {
            client.send("which span?").await;
            assert_eq!(client.recv().await, "request", "{server:?} {http:?}");
        }
        let lifetime = open.elapsed();
        client.close().await;
        assert!(next(&mut latencies).await >= lifetime);
    }
}

#[tokio::test]
async fn a_span_around_the_service_stays_with_the_pipeline() {
    use tracing::Instrument;

    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
    for (server, http) in EVERYWHERE {
        let inner = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .service(service_fn(endpoint));
        let stack = service_fn(move |request| {
            use tower::ServiceExt;
            inner
                .clone()
                .oneshot(request)
                .instrument(tracing::error_span!("outer"))
        });
        let address = serve(server, http, app(stack)).await;

        let mut client = connect(http, address).await;
        client.send("which span?").await;
        assert_eq!(client.recv().await, "outer");
        client.close().await;
    }
}
