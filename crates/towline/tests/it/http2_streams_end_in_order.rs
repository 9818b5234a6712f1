//! Over HTTP/2 a client reads the Close and then END_STREAM, and is not reset while it has not ended its own side.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use towline::{UpgradeLayer, WebSocketUpgrade};
use towline_testing::http2::{Connection, Stream};
use towline_testing::{App, CLOSE, Http, NoBody, Server, TEXT, app, close_body, frame, serve};

/// Echoes until it is told to close.
fn closing() -> App {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let served = upgrade.serve(|mut socket| async move {
            while let Some(message) = socket.recv().await {
                if message.as_bytes() == b"close" {
                    socket.close(4000, "as told").await.unwrap();
                    return;
                }
                socket.send(message).await.unwrap();
            }
        });
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
    });
    let layers = ServiceBuilder::new().layer(UpgradeLayer::new());
    app(layers.service(endpoint))
}

async fn expect_close(stream: &mut Stream, code: u16, reason: &str) {
    let close = stream.frame().await.unwrap();
    assert_eq!(close, Some((CLOSE, close_body(code, reason))));
}

/// END_STREAM, and no RST_STREAM by the time that a message went to and fro beside it.
async fn expect_end(stream: &mut Stream, beside: &mut Stream) {
    assert_eq!(stream.frame().await.unwrap(), None);
    beside.echo("beside").await;
    assert!(stream.reset().is_none());
    stream.end();
    beside.echo("still beside").await;
    assert!(stream.reset().is_none());
}

#[tokio::test]
async fn whoever_closes() {
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::Two, closing()).await;
        let mut connection = Connection::open(address).await;
        let mut beside = connection.socket().await;

        let mut stream = connection.socket().await;
        stream.write(frame(CLOSE, close_body(1000, "done")));
        expect_close(&mut stream, 1000, "").await;
        expect_end(&mut stream, &mut beside).await;

        let mut stream = connection.socket().await;
        stream.write(frame(TEXT, "close"));
        expect_close(&mut stream, 4000, "as told").await;
        stream.write(frame(CLOSE, close_body(4000, "")));
        expect_end(&mut stream, &mut beside).await;

        let mut stream = connection.socket().await;
        stream.write(frame(0x83, "unknown"));
        expect_close(&mut stream, 1002, "unknown opcode 3").await;
        expect_end(&mut stream, &mut beside).await;
    }
}

#[tokio::test]
async fn sixty_in_a_row() {
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::Two, closing()).await;
        let mut connection = Connection::open(address).await;
        for _ in 0..60 {
            let mut stream = connection.socket().await;
            stream.write(frame(TEXT, "close"));
            expect_close(&mut stream, 4000, "as told").await;
            stream.write(frame(CLOSE, close_body(4000, "")));
            stream.end();
            assert_eq!(stream.frame().await.unwrap(), None);
        }
    }
}

/// None of the clients reads before all servers have closed and all answers are there.
#[tokio::test]
async fn sixty_at_once() {
    for server in [Server::Hyper, Server::Axum] {
        let address = serve(server, Http::Two, closing()).await;
        let mut connection = Connection::open(address).await;
        let mut streams = Vec::new();
        for _ in 0..60 {
            streams.push(connection.socket().await);
        }
        for stream in &mut streams {
            stream.write(frame(TEXT, "close"));
            stream.write(frame(CLOSE, close_body(4000, "")));
            stream.end();
        }
        for stream in &mut streams {
            // Crossing: each side's Close is its own.
            let (first, body) = stream.frame().await.unwrap().unwrap();
            assert_eq!((first, &body[..2]), (CLOSE, &4000_u16.to_be_bytes()[..]));
            assert_eq!(stream.frame().await.unwrap(), None);
        }
    }
}
