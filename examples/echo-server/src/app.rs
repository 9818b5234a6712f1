//! What the server answers: the page, and the echo endpoint inside of the origin and the upgrade layer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline::keepalive::KeepAlive;
use towline::origin::{InvalidOrigin, OriginBody};
use towline::upgrade::UpgradeBody;
use towline::{
    Compression, EchoService, HandshakeError, OriginLayer, Sockets, UpgradeLayer, WebSocketUpgrade,
};

use crate::cli::Options;
use crate::connections::Busy;
use crate::server::Error;

/// The whole application, for requests over any version of HTTP.
pub(crate) type App = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What a response may have in it.
pub(crate) type Body = OriginBody<UpgradeBody<Full<Bytes>>>;

/// The application as the options want it, whose sockets are among `sockets`.
///
/// # Errors
///
/// An option that there is not: an origin, or a duration of zero.
pub(crate) fn app(options: &Options, sockets: &Sockets) -> Result<App, Error> {
    let site = Arc::new(Site::new(&options.path));
    let keep_alive = KeepAlive::new()
        .interval(options.keep_alive.0)
        .timeout(options.keep_alive_timeout.0)
        .idle_timeout(options.idle_timeout.0)
        .max_lifetime(options.max_lifetime.0);
    let routes = service_fn(move |request| route(Arc::clone(&site), request));
    let upgrade = UpgradeLayer::new()
        .sockets(sockets)
        .max_sockets(options.max_sockets)
        .max_message_size(options.max_message_size)
        .compression(options.compression.then(Compression::new));
    let app = ServiceBuilder::new()
        .layer(origins(options)?)
        .layer(upgrade)
        .layer(keep_alive.layer()?)
        .service(routes);
    Ok(BoxCloneSyncService::new(app))
}

/// Whose pages may open a socket: the server's own, under the names that it surely goes by, and those of the options.
fn origins(options: &Options) -> Result<OriginLayer, InvalidOrigin> {
    let address = match options.listen.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let own = OriginLayer::same_origin().hosts(["localhost", &address])?;
    if options.origins.is_empty() {
        return Ok(own);
    }
    own.or_allow(&options.origins)
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
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // Held until the socket has ended: a connection with a socket is not idle.
    let _busy = request.extensions_mut().remove::<Busy>();
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn admits(arguments: &[&str], host: &str, origin: &str) -> bool {
        let command = ["echo-server"].iter().chain(arguments);
        let layer = origins(&Options::parse_from(command)).unwrap();
        let request = Request::builder().header("host", host);
        let request = request.header("origin", origin).body(()).unwrap();
        layer.policy().check(&request.into_parts().0).is_ok()
    }

    #[test]
    fn its_own_pages_are_admitted_under_names_that_it_surely_goes_by() {
        let ipv6 = ["--listen", "[::1]:5000"];
        for (arguments, name, expected) in [
            ([].as_slice(), "localhost", true),
            (&[], "127.0.0.1", true),
            (&[], "[::1]", false),
            (&ipv6, "[::1]", true),
            (&ipv6, "127.0.0.1", false),
            // It resolves to this machine today.
            (&[], "evil.example", false),
        ] {
            let host = format!("{name}:5000");
            let admitted = admits(arguments, &host, &format!("http://{host}"));
            assert_eq!(admitted, expected, "{arguments:?} {name}");
        }
        assert!(!admits(&[], "localhost:5000", "http://localhost:5001"));
        assert!(!admits(&[], "localhost:5000", "http://evil.example"));
        // As native clients name it.
        assert!(admits(&[], "localhost:5000", "ws://localhost:5000"));
        assert!(!admits(&[], "localhost:5000", "ws://evil.example"));
        assert!(!admits(&[], "localhost:5000", "file://"));
    }

    #[test]
    fn the_options_add_others() {
        let more = ["--origin", "https://a.com", "--origin", "https://*.b.com"];
        for (origin, expected) in [
            ("http://localhost:5000", true),
            ("https://a.com", true),
            ("https://x.b.com", true),
            ("https://b.com", false),
        ] {
            let admitted = admits(&more, "localhost:5000", origin);
            assert_eq!(admitted, expected, "{origin}");
        }
        assert!(admits(
            &["--origin", "file://"],
            "localhost:5000",
            "file://"
        ));
        for origin in ["http://evil.example", "ws://evil.example", "file://"] {
            assert!(admits(&["--origin", "*"], "localhost:5000", origin));
        }
    }
}
