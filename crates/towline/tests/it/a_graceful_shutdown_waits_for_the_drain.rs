//! The graceful shutdowns of axum and hyper-util return when the sockets have been drained, over both versions of HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any_service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use towline::upgrade::Drained;
use towline::{Drain, EchoService, Sockets, UpgradeLayer};
use towline_testing::{EVERYWHERE, Server, connect, within};

fn app(sockets: &Sockets) -> Router {
    Router::new()
        .route("/ws", any_service(EchoService::new()))
        .layer(UpgradeLayer::new().sockets(sockets))
}

/// Drains and then stops the server when `stop` says so.
async fn serve(
    server: Server,
    stop: oneshot::Receiver<Drain>,
) -> (SocketAddr, JoinHandle<Drained>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = match server {
        Server::Axum => tokio::spawn(serve_axum(listener, stop)),
        Server::Hyper => tokio::spawn(serve_hyper(listener, stop)),
    };
    (address, served)
}

async fn serve_axum(listener: TcpListener, stop: oneshot::Receiver<Drain>) -> Drained {
    let sockets = Sockets::new();
    let app = app(&sockets);
    let (result, drained) = oneshot::channel();
    let shutdown = async move {
        let drained = sockets.drain(stop.await.unwrap()).await;
        result.send(drained.unwrap()).unwrap();
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown)
        .await
        .unwrap();
    drained.await.unwrap()
}

async fn serve_hyper(listener: TcpListener, mut stop: oneshot::Receiver<Drain>) -> Drained {
    let sockets = Sockets::new();
    let app = app(&sockets);
    let graceful = GracefulShutdown::new();
    let drain = loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            drain = &mut stop => break drain.unwrap(),
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let service = TowerToHyperService::new(app.clone());
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        tokio::spawn(graceful.watch(connection));
    };
    let drained = sockets.drain(drain).await.unwrap();
    graceful.shutdown().await;
    drained
}

#[tokio::test]
async fn and_returns_then() {
    for (server, http) in EVERYWHERE {
        let (stop, stopped) = oneshot::channel();
        let (address, mut served) = serve(server, stopped).await;
        let mut clients = [connect(http, address).await, connect(http, address).await];
        for client in &mut clients {
            client.echo("hello").await;
        }
        stop.send(Drain::new()).unwrap();
        let [first, second] = &mut clients;
        assert_eq!(first.closed().await, Some(1001), "{server:?} {http:?}");
        assert_eq!(second.closed().await, Some(1001), "{server:?} {http:?}");
        let drained = within(&mut served).await.unwrap();
        assert_eq!((drained.closed, drained.aborted), (2, 0));
    }
}

#[tokio::test]
async fn and_not_before() {
    for (server, http) in EVERYWHERE {
        let (stop, stopped) = oneshot::channel();
        let (address, served) = serve(server, stopped).await;
        let mut client = connect(http, address).await;
        stop.send(Drain::new().grace(Duration::from_secs(15)))
            .unwrap();
        for _ in 0..20 {
            client.echo("still here").await;
        }
        assert!(!served.is_finished(), "{server:?} {http:?}");
        client.close().await;
        let drained = within(served).await.unwrap();
        assert_eq!((drained.closed, drained.aborted), (1, 0));
    }
}

/// A peer that answers nothing keeps neither the drain nor the server.
#[tokio::test]
async fn and_for_no_peer_longer_than_the_deadline() {
    for (server, http) in EVERYWHERE {
        let (stop, stopped) = oneshot::channel();
        let (address, served) = serve(server, stopped).await;
        let client = connect(http, address).await;
        let drain = Drain::new().within(Duration::from_millis(300));
        stop.send(drain).unwrap();
        let drained = within(served).await.unwrap();
        assert_eq!(
            (drained.closed, drained.aborted),
            (0, 1),
            "{server:?} {http:?}"
        );
        drop(client);
    }
}
