//! An operator changes a list while the server runs.

use std::convert::Infallible;

use http::Response;
use tower::{ServiceBuilder, ServiceExt};
use towline_origin::{AllowedOrigins, OriginLayer};

use crate::support::request_from;

#[tokio::test]
async fn for_every_service_of_every_layer_that_has_it() {
    let list = AllowedOrigins::new(["https://a.com"]).unwrap();
    let services = [
        OriginLayer::allow_list(&list),
        OriginLayer::same_origin().or_allow_list(&list),
    ]
    .map(|layer| {
        ServiceBuilder::new()
            .layer(layer)
            .service_fn(async |_| Ok::<_, Infallible>(Response::new(())))
    });
    let statuses = async || {
        let mut statuses = Vec::new();
        for service in &services {
            for origin in ["https://a.com", "https://b.com"] {
                let response = service.clone().oneshot(request_from(origin)).await;
                statuses.push(response.unwrap().status().as_u16());
            }
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 403, 200, 403]);
    list.replace(["https://b.com"]).unwrap();
    assert_eq!(statuses().await, [403, 200, 403, 200]);
    list.replace(["https://a.com", "b.com"]).unwrap_err();
    assert_eq!(statuses().await, [403, 200, 403, 200]);
}
