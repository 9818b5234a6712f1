//! `max_sockets`, and the same by tower's own layers inside, refuse with 503 over every server and version.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use towline::{EchoService, UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{
    EVERYWHERE, Http, NoBody, Wire, app, connect, extended_connect, next, refused, serve,
    try_connect, undecided, within,
};

#[tokio::test]
async fn by_max_sockets() {
    for (server, http) in EVERYWHERE {
        let layer = UpgradeLayer::new().max_sockets(1);
        let address = serve(server, http, app(layer.layer(EchoService::new()))).await;
        let mut first = connect(http, address).await;
        let refused = refused(http, address).await;
        assert_eq!(refused.status(), 503, "{server:?} {http:?}");
        assert_eq!(refused.headers()["retry-after"], "10");
        first.echo("still here").await;
        first.close().await;
        let_in_again(http, address).await;
    }
}

async fn panics(_: WebSocket) {
    panic!("of the endpoint");
}

/// The client knows of the end before the server's layers have unwound.
async fn let_in_again(http: Http, address: std::net::SocketAddr) {
    within(async {
        loop {
            match try_connect(http, address).await {
                Ok(client) => break client.close().await,
                Err(refused) => assert_eq!(refused.status(), 503),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_slot_comes_back_from_an_endpoint_that_refuses_or_panics() {
    for (server, http) in EVERYWHERE {
        let endpoint = service_fn(|request: Request<NoBody>| async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            let served = upgrade.serve(panics).await;
            Ok::<Response<Full<Bytes>>, Infallible>(
                served.map_or_else(Response::from, Response::from),
            )
        });
        let layer = UpgradeLayer::new().max_sockets(1);
        let address = serve(server, http, app(layer.layer(endpoint))).await;
        for _ in 0..3 {
            within(async {
                loop {
                    if let Ok(mut client) = try_connect(http, address).await {
                        assert_eq!(client.closed().await, Some(1011));
                        break;
                    }
                }
            })
            .await;
        }

        let refuses = service_fn(async |_: Request<NoBody>| {
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            Ok::<_, Infallible>(response)
        });
        let layer = UpgradeLayer::new().max_sockets(1);
        let address = serve(server, http, app(layer.layer(refuses))).await;
        for _ in 0..3 {
            let refused = refused(http, address).await;
            assert_eq!(refused.status(), 403, "{server:?} {http:?}");
        }
    }
}

#[tokio::test]
async fn a_slot_comes_back_when_the_client_goes_before_the_accept() {
    for (server, http) in EVERYWHERE {
        let (log, mut events) = mpsc::unbounded_channel();
        let layer = UpgradeLayer::new().max_sockets(1);
        let address = serve(server, http, app(layer.layer(undecided(log)))).await;
        for _ in 0..2 {
            let client = tokio::spawn(async move {
                match http {
                    Http::One => drop(Wire::open(http, address).await),
                    Http::Two => drop(extended_connect(address).await),
                }
            });
            assert_eq!(next(&mut events).await, "called", "{server:?} {http:?}");
            client.abort();
            assert_eq!(next(&mut events).await, "dropped", "{server:?} {http:?}");
        }
    }
}

#[tokio::test]
async fn by_the_layers_of_tower() {
    for (server, http) in EVERYWHERE {
        let inside = ServiceBuilder::new()
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .service(EchoService::new());
        // What is shed is an error, which is to become a response inside of the upgrade layer.
        let inside = service_fn(move |request: Request<NoBody>| {
            let inside = inside.clone();
            async move {
                let shed: Result<_, BoxError> = inside.oneshot(request).await;
                Ok::<_, Infallible>(shed.unwrap_or_else(|_| {
                    let mut response = Response::new(Full::<Bytes>::default());
                    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                    response
                }))
            }
        });
        let address = serve(server, http, app(UpgradeLayer::new().layer(inside))).await;
        let mut first = connect(http, address).await;
        let refused = refused(http, address).await;
        assert_eq!(refused.status(), 503, "{server:?} {http:?}");
        first.echo("still here").await;
        first.close().await;
        let_in_again(http, address).await;
    }
}
