//! Two layers with two lists, beside one another and around one another.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline_origin::OriginLayer;

use crate::support::request_from;

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn only(origin: &str) -> OriginLayer {
    OriginLayer::allow([origin]).unwrap()
}

#[tokio::test]
async fn beside_one_another_each_decides_for_its_own() {
    async fn reached(_: Request<axum::body::Body>) -> Result<Response<Empty<Bytes>>, Infallible> {
        Ok(Response::new(Empty::new()))
    }
    let mount = |origin| {
        let layer = ServiceBuilder::new().layer(only(origin));
        layer.service(service_fn(reached))
    };
    let app = axum::Router::new()
        .route_service("/a", mount(A))
        .route_service("/b", mount(B));
    // Each twice, and in both orders, lest a first verdict be kept for the second.
    for (path, origin, status) in [
        ("/a", A, 200),
        ("/b", A, 403),
        ("/a", A, 200),
        ("/a", B, 403),
        ("/b", B, 200),
        ("/b", A, 403),
    ] {
        let mut request = request_from(origin).map(|()| axum::body::Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path} from {origin}");
    }
}

#[tokio::test]
async fn around_one_another_both_must_admit() {
    let both = OriginLayer::allow([A, B]).unwrap();
    for (outer, inner, origin, status) in [
        (only(A), both.clone(), A, 200),
        (only(A), both.clone(), B, 403),
        (both.clone(), only(A), A, 200),
        (both.clone(), only(A), B, 403),
        (only(A), only(B), A, 403),
        (only(A), only(B), B, 403),
    ] {
        let service = ServiceBuilder::new()
            .layer(outer)
            .layer(inner)
            .service_fn(async |_| Ok::<_, Infallible>(Response::new(())));
        let response = service.oneshot(request_from(origin)).await.unwrap();
        assert_eq!(response.status(), status);
    }
}
