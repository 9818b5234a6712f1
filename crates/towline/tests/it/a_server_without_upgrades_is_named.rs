//! Served without `with_upgrades()`, the peer gets 101 and the end, and `accept` says what is missing.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::{ServiceBuilder, service_fn};
use towline::{AcceptError, UpgradeFailed, UpgradeLayer, WebSocketUpgrade};
use towline_testing::{HANDSHAKE, next, within};

#[tokio::test]
async fn on_hyper() {
    let (report, mut reports) = mpsc::unbounded_channel();
    let endpoint = service_fn(move |request: Request<Incoming>| {
        let report = report.clone();
        async move {
            let error = WebSocketUpgrade::of(&request)
                .unwrap()
                .accept()
                .await
                .unwrap_err();
            report.send(error).unwrap();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let stack = ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(endpoint);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Here `.with_upgrades()` is missing.
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(stack))
            .await
    });

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");

    let error = next(&mut reports).await;
    assert!(matches!(
        error,
        AcceptError::UpgradeFailed(UpgradeFailed::NotServed(_))
    ));
    assert!(error.source().is_some());
    let text = error.to_string();
    assert!(text.contains("with_upgrades()"), "{text}");
    assert!(text.contains("serve_connection_with_upgrades()"), "{text}");
}
