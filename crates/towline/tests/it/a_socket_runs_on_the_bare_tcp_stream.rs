//! hyper's layers are taken off a TCP stream, whichever server put them on: it is the driver that sets its options.

use std::convert::Infallible;

use axum::serve::ListenerExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use towline::{EchoService, UpgradeLayer};
use towline_testing::{App, Http, NoBody, ResponseBody, Wire, app, next};

fn echo() -> App {
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(EchoService::new()))
}

/// A second descriptor of the server's socket, to look at its options.
fn look_at(stream: &TcpStream) -> Socket {
    let socket = SockRef::from(stream).try_clone().unwrap();
    assert!(!socket.tcp_nodelay().unwrap(), "nobody has set it yet");
    socket
}

/// A client opens a socket; the server's end of it is looked at.
async fn assert_bare(listener: TcpListener, serve: impl AsyncFnOnce(TcpListener) -> Socket) {
    let address = listener.local_addr().unwrap();
    let (mut wire, socket) = tokio::join!(Wire::open(Http::One, address), serve(listener));
    wire.echo("served").await;
    assert!(socket.tcp_nodelay().unwrap());
    #[cfg(any(target_os = "android", target_os = "linux"))]
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 64 * 1024);
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

type Hyper<S> = TowerToHyperService<BoxCloneSyncService<Request<Incoming>, S, Infallible>>;

fn service() -> Hyper<Response<ResponseBody>> {
    let app = echo().map_request(|request: Request<Incoming>| request.map(|_| NoBody::new()));
    TowerToHyperService::new(BoxCloneSyncService::new(app))
}

#[tokio::test]
async fn under_hyper() {
    assert_bare(listen().await, async |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = look_at(&stream);
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service())
            .with_upgrades();
        tokio::spawn(connection);
        socket
    })
    .await;
}

#[tokio::test]
async fn under_hyper_utils_auto_server() {
    assert_bare(listen().await, async |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = look_at(&stream);
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let io = TokioIo::new(stream);
            server.serve_connection_with_upgrades(io, service()).await
        });
        socket
    })
    .await;
}

#[tokio::test]
async fn under_axum() {
    assert_bare(listen().await, async |listener| {
        let (sockets, mut socket) = mpsc::unbounded_channel();
        let listener = listener.tap_io(move |stream| sockets.send(look_at(stream)).unwrap());
        let app =
            echo().map_request(|request: Request<axum::body::Body>| request.map(|_| NoBody::new()));
        let app = service_fn(move |request| app.clone().oneshot(request));
        let router = axum::Router::new().fallback_service(app);
        tokio::spawn(async move { axum::serve(listener, router).await });
        next(&mut socket).await
    })
    .await;
}
