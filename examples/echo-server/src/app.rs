//! What the server answers: the page, and the echo endpoint inside of the upgrade layer.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline::keepalive::{InvalidKeepAlive, KeepAlive};
use towline::upgrade::UpgradeBody;
use towline::{EchoService, HandshakeError, UpgradeLayer, WebSocketUpgrade};

use crate::cli::Options;

/// The whole application, for requests over any version of HTTP.
pub(crate) type App =
    BoxCloneSyncService<Request<Incoming>, Response<UpgradeBody<Full<Bytes>>>, Infallible>;

/// The application as the options want it.
///
/// # Errors
///
/// A duration is zero.
pub(crate) fn app(options: &Options) -> Result<App, InvalidKeepAlive> {
    let site = Arc::new(Site::new(&options.path));
    let keep_alive = KeepAlive::new()
        .interval(options.keep_alive.0)
        .timeout(options.keep_alive_timeout.0)
        .idle_timeout(options.idle_timeout.0)
        .max_lifetime(options.max_lifetime.0);
    let routes = service_fn(move |request| route(Arc::clone(&site), request));
    let app = ServiceBuilder::new()
        .layer(UpgradeLayer::new().max_message_size(options.max_message_size))
        .layer(keep_alive.layer()?)
        .service(routes);
    Ok(BoxCloneSyncService::new(app))
}

struct Site {
    path: String,
    page: Bytes,
}

impl Site {
    fn new(path: &str) -> Self {
        let page = include_str!("page.html").replace("{{path}}", path);
        Self {
            path: path.to_owned(),
            page: page.into(),
        }
    }
}

async fn route(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == site.path && (path != "/" || attempts_websocket(&request)) {
        return EchoService::new().oneshot(request).await;
    }
    let found = path == "/";
    let read = request.method() == Method::GET || request.method() == Method::HEAD;
    Ok(match (found, read) {
        (true, true) => page(site.page.clone()),
        (true, false) => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this page is read by GET\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allow);
            response
        }
        (false, _) => plain(StatusCode::NOT_FOUND, "the page is at /\n"),
    })
}

/// Whether the upgrade layer found a handshake, good or bad.
fn attempts_websocket<B>(request: &Request<B>) -> bool {
    let extensions = request.extensions();
    extensions.get::<WebSocketUpgrade>().is_some() || extensions.get::<HandshakeError>().is_some()
}

fn page(page: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(page));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
