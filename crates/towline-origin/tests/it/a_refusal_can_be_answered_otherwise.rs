//! `on_reject`: another head for what is refused.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use tower::{ServiceBuilder, ServiceExt};
use towline_origin::{OriginLayer, OriginRejection, OriginRejectionKind};

use crate::support::request_from;

#[tokio::test]
async fn by_a_head_that_sees_why() {
    let layer = OriginLayer::same_origin().on_reject(|rejection| {
        let status = match rejection.kind() {
            OriginRejectionKind::Null => StatusCode::UNAUTHORIZED,
            _ => StatusCode::NOT_FOUND,
        };
        let response = Response::builder().status(status);
        response
            .header("refused", rejection.to_string())
            .body(())
            .unwrap()
    });
    let service = ServiceBuilder::new()
        .layer(layer)
        .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new("reached")));
    for (origin, status, text) in [
        ("null", 401, "origin is null: \"null\""),
        (
            "https://a.com",
            404,
            "origin is not allowed: \"https://a.com\"",
        ),
    ] {
        let response = service.clone().oneshot(request_from(origin)).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["refused"], text);
        let rejection = response.extensions().get::<OriginRejection>().unwrap();
        assert_eq!(rejection.to_string(), text);
        assert_eq!(response.into_body().into_inner(), None);
    }
    let passed = service
        .oneshot(request_from("https://example.com"))
        .await
        .unwrap();
    assert_eq!(
        (passed.status(), passed.into_body().into_inner()),
        (StatusCode::OK, Some("reached"))
    );
}
