//! A concurrency limit inside of the upgrade layer holds its permit until the socket closes.

use http::Request;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline::{EchoService, UpgradeLayer};
use towline_testing::{EVERYWHERE, NoBody, app, connect, next, serve, within};

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let (log, mut events) = mpsc::unbounded_channel();
        let endpoint = log.clone();
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .map_request(move |request: Request<NoBody>| {
                endpoint.send("let in").unwrap();
                request
            })
            .service(EchoService::new());
        // A limit holds requests back in `poll_ready`.
        let stack = service_fn(move |request| {
            log.send("arrived").unwrap();
            stack.clone().oneshot(request)
        });
        let address = serve(server, http, app(stack)).await;

        let mut first = connect(http, address).await;
        // `arrived` and `let in` of the first.
        let first_events = [next(&mut events).await, next(&mut events).await];
        assert_eq!(first_events, ["arrived", "let in"]);

        let second = tokio::spawn(async move { connect(http, address).await });
        assert_eq!(next(&mut events).await, "arrived");
        for _ in 0..100 {
            first.echo("still here").await;
        }
        let let_in = events.try_recv();
        assert_eq!(let_in, Err(TryRecvError::Empty), "{server:?} {http:?}");

        first.close().await;
        assert_eq!(next(&mut events).await, "let in");
        let mut second = within(second).await.unwrap();
        second.echo("at last").await;
        second.close().await;
    }
}
