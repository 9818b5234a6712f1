//! What is admitted passes: request, response, readiness and error. What is refused never reaches the inner service.

use std::future::ready;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};
use towline_origin::{OriginBody, OriginCheck, OriginLayer, OriginRejection, OriginRejectionKind};

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
    let (mut service, mut handle) = spawn();
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = tokio::spawn(service.call("https://example.com"));
    assert_request_eq!(handle, "https://example.com").send_response("reached");
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().into_inner(), Some("reached"));
}

#[tokio::test]
async fn a_refusal_does_not_reach_the_inner_service() {
    let (mut service, mut handle) = spawn();
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let response = service.call("https://evil.example").await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.headers().is_empty());
    let rejection = response.extensions().get::<OriginRejection>().unwrap();
    assert_eq!(rejection.kind(), OriginRejectionKind::NotAllowed);
    assert_eq!(rejection.origin().unwrap(), "https://evil.example");
    assert_eq!(response.into_body().into_inner(), None);
    // It is as ready as it was, for the next.
    assert!(service.poll_ready().is_ready());
    tokio::spawn(service.call("https://example.com"));
    assert_request_eq!(handle, "https://example.com").send_response("reached");
}

/// The layer around a mock that takes the origin and gives a body.
fn spawn() -> (
    mock::Spawn<
        impl Service<
            &'static str,
            Response = Response<OriginBody<&'static str>>,
            Future: Send,
            Error: std::fmt::Debug + Send,
        >,
    >,
    mock::Handle<String, &'static str>,
) {
    mock::spawn_with(|mock: mock::Mock<String, &'static str>| {
        let inner = mock
            .map_request(|request: Request<()>| {
                request.headers()["origin"].to_str().unwrap().to_owned()
            })
            .map_response(Response::new);
        OriginLayer::same_origin()
            .layer(inner)
            .map_request(request_from)
    })
}

#[test]
fn services_are_send_and_sync_and_clone() {
    fn assert<T: Clone + Send + Sync + 'static>() {}
    assert::<OriginLayer>();
    assert::<OriginCheck<()>>();
    assert::<OriginRejection>();
}
