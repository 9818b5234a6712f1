//! A panic of the endpoint gives the peer Close 1011, and nothing else of the server is hurt.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use towline::{UpgradeLayer, WebSocketUpgrade};
use towline_testing::{EVERYWHERE, NoBody, app, connect, serve};

async fn endpoint(request: Request<NoBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrade = WebSocketUpgrade::of(&request).unwrap();
    let served = upgrade.serve(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            assert_ne!(message.as_bytes(), b"panic", "on purpose");
            socket.send(message).await.unwrap();
        }
    });
    Ok(served.await.unwrap().into())
}

#[tokio::test]
async fn everywhere() {
    for (server, http) in EVERYWHERE {
        let stack = ServiceBuilder::new()
            .layer(UpgradeLayer::new())
            .service(service_fn(endpoint));
        let address = serve(server, http, app(stack)).await;

        let mut other = connect(http, address).await;
        let mut client = connect(http, address).await;
        client.echo("calm").await;
        client.send("panic").await;
        assert_eq!(client.closed().await, Some(1011), "{server:?} {http:?}");

        other.echo("unhurt").await;
        other.close().await;
    }
}
