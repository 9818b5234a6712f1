//! Servers on free ports: raw hyper and `axum::serve`, over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};

use crate::clock::within;

pub type NoBody = Empty<Bytes>;
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A whole application, of one type for every server.
pub type App = BoxCloneSyncService<Request<NoBody>, Response<ResponseBody>, Infallible>;

pub fn app<S, B>(service: S) -> App
where
    S: Service<Request<NoBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(BodyExt::boxed_unsync)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Hyper,
    Axum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

pub const EVERYWHERE: [(Server, Http); 4] = [
    (Server::Hyper, Http::One),
    (Server::Hyper, Http::Two),
    (Server::Axum, Http::One),
    (Server::Axum, Http::Two),
];

/// Serves `app` on a free port for as long as the test's runtime lives.
pub async fn serve(server: Server, http: Http, app: App) -> SocketAddr {
    match server {
        Server::Hyper => serve_hyper(http, app).await,
        Server::Axum => {
            let app = app
                .map_request(|request: Request<axum::body::Body>| request.map(|_| NoBody::new()));
            let app = service_fn(move |request| app.clone().oneshot(request));
            serve_axum(axum::Router::new().fallback_service(app)).await
        }
    }
}

pub async fn serve_axum(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub async fn serve_hyper<S, B>(http: Http, app: S) -> SocketAddr
where
    S: Service<Request<NoBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let app = app
                .clone()
                .map_request(|request: Request<Incoming>| request.map(|_| NoBody::new()));
            let service = TowerToHyperService::new(app);
            let io = TokioIo::new(stream);
            tokio::spawn(async move {
                let _ = match http {
                    Http::One => {
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(io, service)
                            .with_upgrades()
                            .await
                    }
                    Http::Two => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .enable_connect_protocol()
                            .serve_connection(io, service)
                            .await
                    }
                };
            });
        }
    });
    address
}

/// The next thing that a server tells its test.
pub async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    within(receiver.recv()).await.expect("the server is gone")
}
