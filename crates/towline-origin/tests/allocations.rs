//! What a decision allocates: nothing, but for the response to a refusal. A binary of its own, for its allocator counts.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use hyper::ext::Protocol;
use tower::{Layer, Service, service_fn};
use towline_origin::{AllowedOrigins, OriginBody, OriginLayer, OriginRejection};

/// Every kind of rule, and one that admits last of a hundred.
fn layers() -> Vec<OriginLayer> {
    let long: Vec<String> = (0..100)
        .map(|number| format!("https://{number}.com"))
        .chain([
            "https://*.example.com".to_owned(),
            "https://app.example.com".to_owned(),
        ])
        .collect();
    let list = AllowedOrigins::new(&long).unwrap();
    let same = OriginLayer::same_origin;
    vec![
        same(),
        same()
            .hosts(["localhost", "app.example.com"])
            .unwrap()
            .scheme(Scheme::HTTPS),
        same().trust_forwarded(true),
        OriginLayer::allow(["https://app.example.com"]).unwrap(),
        OriginLayer::allow_list(&list),
        OriginLayer::predicate(|origin, _| origin.host() == Some("app.example.com")),
        OriginLayer::predicate(|_, _| false).or_allow_list(&list),
        OriginLayer::allow(["*"]).unwrap().require_origin(true),
    ]
}

fn handshake(origin: &str) -> Request<()> {
    Request::builder()
        .header("host", "app.example.com")
        .header("upgrade", "h2c, websocket")
        .header("forwarded", "for=10.0.0.1;host=app.example.com;proto=https")
        .header("origin", origin)
        .body(())
        .unwrap()
}

fn extended_connect(origin: &str) -> Request<()> {
    let mut request = Request::connect("https://app.example.com/ws")
        .header("origin", origin)
        .body(())
        .unwrap();
    let websocket = Protocol::from_static("websocket");
    request.extensions_mut().insert(websocket);
    request
}

fn respond(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

/// The response to `request`, and how often something was allocated for it.
fn ask<S>(service: &mut S, request: Request<()>) -> (S::Response, u64)
where
    S: Service<Request<()>, Error = Infallible>,
{
    let mut response = None;
    let allocated = measure(|| {
        let future = pin!(service.call(request));
        let Poll::Ready(ready) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it waits");
        };
        response = ready.ok();
    });
    (response.unwrap(), allocated.count_total)
}

#[test]
fn what_passes_allocates_nothing() {
    for layer in layers() {
        let mut service = layer.layer(service_fn(respond));
        // A thread's first look at a list takes a slot for all that follow.
        ask(&mut service, handshake("https://app.example.com"));
        let plain = Request::builder().header("origin", "https://evil.example");
        for request in [
            handshake("https://app.example.com"),
            handshake("https://app.example.com:443"),
            handshake("wss://app.example.com"),
            extended_connect("https://app.example.com"),
            plain.body(()).unwrap(),
        ] {
            let (response, allocated) = ask(&mut service, request);
            assert_eq!(
                (response.status(), allocated),
                (StatusCode::OK, 0),
                "{layer:?}"
            );
        }
    }
}

#[test]
fn what_is_refused_allocates_its_response() {
    let refused = |origin| layers().into_iter().map(move |layer| (layer, origin));
    let null = refused("null");
    let malformed = refused("https://app.example.com/");
    // The last admits any that is well-formed.
    let others = ["https://evil.example", "wss://evil.example", "file://"];
    let others = others.map(|origin| refused(origin).take(layers().len() - 1));
    for (layer, origin) in null.chain(malformed).chain(others.into_iter().flatten()) {
        let mut service = layer.layer(service_fn(respond));
        let (first, _) = ask(&mut service, handshake(origin));
        let rejection = first.extensions().get::<OriginRejection>().unwrap().clone();
        let by_hand = measure(|| {
            let mut response = Response::new(None::<OriginBody<()>>);
            *response.status_mut() = StatusCode::FORBIDDEN;
            response.extensions_mut().insert(rejection);
        });
        for request in [handshake(origin), extended_connect(origin)] {
            let (response, allocated) = ask(&mut service, request);
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert_eq!(allocated, by_hand.count_total, "{layer:?}");
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(Box::new(7))).count_total, 1);
}
