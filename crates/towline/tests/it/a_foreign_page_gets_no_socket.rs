//! The origin layer in a whole stack, outside and inside of the upgrade layer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};
use tower::ServiceBuilder;
use towline::{EchoService, OriginLayer, UpgradeLayer};
use towline_testing::{App, EVERYWHERE, Http, app, connect, http2_request, serve, within};

#[tokio::test]
async fn in_either_order() {
    for (server, http) in EVERYWHERE {
        for stack in [outside, inside] {
            let reached = Arc::new(AtomicUsize::new(0));
            let address = serve(server, http, stack(Arc::clone(&reached))).await;
            let opened = match http {
                Http::One => 101,
                Http::Two => 200,
            };
            for (origin, status) in [
                (format!("http://{address}"), opened),
                ("http://evil.example".to_owned(), 403),
                (format!("http://{address}.evil.example"), 403),
                ("null".to_owned(), 403),
            ] {
                let answered = handshake(http, address, &origin).await;
                assert_eq!(answered, status, "{origin}, {server:?}, {http:?}");
            }
            assert_eq!(reached.load(Ordering::Relaxed), 1, "{server:?}, {http:?}");

            // No browser, so no origin: it is served as ever.
            let mut client = connect(http, address).await;
            client.echo("hello").await;
            client.close().await;
        }
    }
}

fn outside(reached: Arc<AtomicUsize>) -> App {
    let layers = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .layer(UpgradeLayer::new())
        .map_request(count(reached));
    app(layers.service(EchoService::new()))
}

fn inside(reached: Arc<AtomicUsize>) -> App {
    let layers = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .layer(OriginLayer::same_origin())
        .map_request(count(reached));
    app(layers.service(EchoService::new()))
}

fn count<T>(reached: Arc<AtomicUsize>) -> impl Fn(T) -> T + Clone {
    move |request| {
        reached.fetch_add(1, Ordering::Relaxed);
        request
    }
}

/// The status that a page of this origin gets for its handshake.
async fn handshake(http: Http, address: SocketAddr, origin: &str) -> u16 {
    let origin = HeaderValue::from_str(origin).unwrap();
    match http {
        Http::One => {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
            request.headers_mut().insert("origin", origin);
            match within(client_async(request, stream)).await {
                Ok((_, response)) => response.status().as_u16(),
                Err(Error::Http(response)) => response.status().as_u16(),
                Err(error) => panic!("{error}"),
            }
        }
        Http::Two => {
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri(format!("http://{address}/ws"))
                .extension(Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .header("origin", origin)
                .body(Empty::new())
                .unwrap();
            let response = within(http2_request(address, request)).await;
            let status = response.status().as_u16();
            if status != 200 {
                let body = within(response.into_body().collect()).await.unwrap();
                assert!(body.to_bytes().is_empty());
            }
            status
        }
    }
}
