//! What is admitted passes: request, response, readiness and error. What is refused never reaches the inner service.

use std::future::ready;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock::{Handle, spawn_layer};
use towline_origin::{OriginCheck, OriginLayer, OriginRejection, OriginRejectionKind};

use crate::support::request_from;

#[derive(Clone, Debug, PartialEq)]
struct Mark(u8);

#[tokio::test]
async fn a_request_passes_with_all_that_it_has() {
    let inner = service_fn(|request| ready(Ok::<_, ()>(Response::new(request))));
    let service = OriginLayer::same_origin().layer(inner);
    let mut request = request_from("https://example.com").map(|()| "body");
    request.extensions_mut().insert(Mark(7));
    let headers = request.headers().clone();

    let response = service.oneshot(request).await.unwrap();
    let request = response.into_body().into_inner().unwrap();
    assert_eq!(request.headers(), &headers);
    assert_eq!(request.extensions().get(), Some(&Mark(7)));
    assert_eq!(request.extensions().len(), 1);
    assert_eq!(request.into_body(), "body");
}

#[tokio::test]
async fn a_response_passes_with_its_body() {
    let inner = service_fn(|_: Request<()>| {
        let response = Response::builder().status(418).extension(Mark(7));
        ready(Ok::<_, ()>(
            response.body(Full::<Bytes>::from("a teapot")).unwrap(),
        ))
    });
    let service = OriginLayer::same_origin().layer(inner);
    let request = request_from("https://example.com");
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(response.extensions().get(), Some(&Mark(7)));
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "a teapot");
}

#[tokio::test]
async fn an_error_stays_the_inner_services_own() {
    let inner = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(Mark(7))));
    let service = OriginLayer::same_origin().layer(inner);
    let request = request_from("https://example.com");
    assert_eq!(service.oneshot(request).await.unwrap_err(), Mark(7));
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = spawn_layer(OriginLayer::same_origin());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call(request_from("https://example.com")));
    answer(&mut handle).await;
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.into_body().into_inner().unwrap(), "reached");
}

#[tokio::test]
async fn a_refusal_does_not_reach_the_inner_service() {
    let (mut service, mut handle) = spawn_layer(OriginLayer::same_origin());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let refused = service.call(request_from("https://evil.example"));
    let response = refused.await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.headers().is_empty());
    let rejection = response.extensions().get::<OriginRejection>().unwrap();
    assert_eq!(rejection.kind(), OriginRejectionKind::NotAllowed);
    assert_eq!(rejection.origin().unwrap(), "https://evil.example");
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(0));
    assert_eq!(response.into_body().into_inner(), None);
    // As ready as it was, for the next one.
    assert!(service.poll_ready().is_ready());
    tokio::spawn(service.call(request_from("https://example.com")));
    answer(&mut handle).await;
}

/// Answers the next request to reach the mock.
async fn answer(handle: &mut Handle<Request<()>, Response<String>>) {
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()["origin"], "https://example.com");
    answer.send_response(Response::new("reached".to_owned()));
}

#[test]
fn services_are_send_and_sync_and_clone() {
    fn assert<T: Clone + Send + Sync + 'static>() {}
    assert::<OriginLayer>();
    assert::<OriginCheck<()>>();
    assert::<OriginRejection>();
}
