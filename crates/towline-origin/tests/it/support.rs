//! Handshakes over both versions of HTTP, with whatever origin they shall have.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, ORIGIN, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::ext::Protocol;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::duplex;
use tower::ServiceBuilder;
use towline_origin::{OriginLayer, OriginRejection};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// A handshake for `example.com`, from no page until it is given an origin.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    method: Option<Method>,
    host: Option<&'static str>,
    upgrade: Vec<&'static str>,
    protocol: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

pub(crate) fn handshake() -> Handshake {
    Handshake {
        method: None,
        host: Some("example.com"),
        upgrade: vec!["websocket"],
        protocol: Some("websocket"),
        headers: Vec::new(),
    }
}

/// A handshake for `example.com` by a page of this origin.
pub(crate) fn from(origin: impl AsRef<[u8]>) -> Handshake {
    handshake().and(ORIGIN.as_str(), origin)
}

impl Handshake {
    pub(crate) fn to(mut self, host: &'static str) -> Self {
        self.host = Some(host);
        self
    }

    pub(crate) fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    pub(crate) fn and(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// The first of these header lines.
    pub(crate) fn first(&self, name: &str) -> Option<&HeaderValue> {
        let mut lines = self.headers.iter();
        lines.find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// The lines of `Upgrade` over HTTP/1.1, and `:protocol` over HTTP/2.
    pub(crate) fn upgrade<const N: usize>(
        mut self,
        lines: [&'static str; N],
        protocol: impl Into<Option<&'static str>>,
    ) -> Self {
        self.upgrade = lines.to_vec();
        self.protocol = protocol.into();
        self
    }

    fn request(&self, http: Http) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        let headers = request.headers_mut();
        match http {
            Http::One => {
                if let Some(host) = self.host {
                    headers.append(HOST, HeaderValue::from_static(host));
                }
                headers.insert("connection", HeaderValue::from_static("upgrade"));
                for line in &self.upgrade {
                    headers.append(UPGRADE, HeaderValue::from_static(line));
                }
                *request.uri_mut() = "/ws".parse().unwrap();
            }
            Http::Two => {
                let host = self.host.unwrap_or("nobody.example");
                *request.uri_mut() = format!("http://{host}/ws").parse().unwrap();
                if let Some(protocol) = self.protocol {
                    *request.method_mut() = Method::CONNECT;
                    let protocol = Protocol::from_static(protocol);
                    request.extensions_mut().insert(protocol);
                }
            }
        }
        if let Some(method) = &self.method {
            *request.method_mut() = method.clone();
        }
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }
}

/// What became of a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The text of the typed rejection, by way of a layer further out.
    pub(crate) rejection: Option<String>,
    pub(crate) reached: bool,
    pub(crate) body: Bytes,
}

/// Sends the handshake to a service behind this layer.
pub(crate) async fn ask(layer: &OriginLayer, http: Http, handshake: &Handshake) -> Answer {
    let service = ServiceBuilder::new()
        .map_response(tell_the_rejection)
        .layer(layer.clone())
        .service_fn(reached);
    let service = TowerToHyperService::new(service);
    let (client, server) = duplex(64 * 1024);
    let (client, server) = (TokioIo::new(client), TokioIo::new(server));
    let request = handshake.request(http);
    let response = match http {
        Http::One => {
            tokio::spawn(http1::Builder::new().serve_connection(server, service));
            let (mut requests, connection) = conn::http1::handshake(client).await.unwrap();
            tokio::spawn(connection);
            requests.send_request(request).await
        }
        Http::Two => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.enable_connect_protocol();
            tokio::spawn(builder.serve_connection(server, service));
            let connected = conn::http2::handshake(TokioExecutor::new(), client).await;
            let (mut requests, connection) = connected.unwrap();
            tokio::spawn(connection);
            // Extended CONNECT is the server's to allow. A paused clock moves when its settings have come.
            tokio::time::sleep(Duration::from_millis(1)).await;
            requests.send_request(request).await
        }
    };
    let (head, body) = response.unwrap().into_parts();
    let text = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
    Answer {
        status: head.status.as_u16(),
        rejection: text("rejection").map(str::to_owned),
        reached: text("reached").is_some(),
        body: body.collect().await.unwrap().to_bytes(),
    }
}

async fn reached(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("reached"));
    let yes = HeaderValue::from_static("yes");
    response.headers_mut().insert("reached", yes);
    Ok(response)
}

fn tell_the_rejection<B>(mut response: Response<B>) -> Response<B> {
    if let Some(rejection) = response.extensions().get::<OriginRejection>() {
        let text = HeaderValue::try_from(rejection.to_string()).unwrap();
        response.headers_mut().insert("rejection", text);
    }
    response
}

/// A handshake as a service gets it.
pub(crate) fn request_from(origin: &str) -> Request<()> {
    Request::builder()
        .header("host", "example.com")
        .header("upgrade", "websocket")
        .header("origin", origin)
        .body(())
        .unwrap()
}
