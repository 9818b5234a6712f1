//! With `max_sockets(1)`, and over TCP: a handshake that is sent as soon as the end of the socket before was seen is
//! accepted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tower::{Layer, service_fn};
use towline::{UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::http2::{Connection, Stream};
use towline_testing::{
    CLOSE, HANDSHAKE, Http, NoBody, Server, TEXT, Wire, app, close_body, frame, serve, within,
};

const TRIES: usize = 100;

/// So many refusals are enough to fail.
const ENOUGH: usize = 5;

/// The side that closes first.
#[derive(Clone, Copy, Debug)]
enum First {
    Client,
    Server,
}

/// Serves one socket at a time, which the endpoint closes after the first message.
async fn serve_one_socket(http: Http) -> SocketAddr {
    let layer = UpgradeLayer::new().max_sockets(1);
    let closing = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        let served = upgrade.serve(|mut socket: WebSocket| async move {
            if socket.recv().await.is_some() {
                socket.close(1000, "").await.unwrap();
            }
        });
        Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.await.unwrap()))
    });
    serve(Server::Hyper, http, app(layer.layer(closing))).await
}

/// Exchanges the Closes and reads to END_STREAM.
async fn close_stream(stream: &mut Stream, first: First) {
    let close = frame(CLOSE, close_body(1000, ""));
    match first {
        First::Client => stream.write(&close),
        First::Server => stream.write(frame(TEXT, "close")),
    }
    let (opcode, _) = stream.frame().await.unwrap().expect("a Close");
    assert_eq!(opcode, CLOSE);
    if let First::Server = first {
        stream.write(&close);
    }
    assert_eq!(stream.frame().await.unwrap(), None);
}

/// Opens one socket after the other on a connection. Each CONNECT is sent as soon as the stream before has ended, from
/// the client's side as well if that `ends` it.
async fn assert_none_refused_over_http2(first: First, ends: bool) {
    let address = serve_one_socket(Http::Two).await;
    let mut connection = Connection::open(address).await;
    let mut stream = connection.socket().await;
    let (mut refused, mut tries) = (0, 0);
    while tries < TRIES && refused < ENOUGH {
        close_stream(&mut stream, first).await;
        if ends {
            stream.end();
        }
        let mut opened = connection.try_socket(&[]).await;
        tries += 1;
        refused += usize::from(opened.is_err());
        let next = within(async {
            loop {
                match opened {
                    Ok(stream) => break stream,
                    Err(status) => assert_eq!(status, 503),
                }
                sleep(Duration::from_millis(1)).await;
                opened = connection.try_socket(&[]).await;
            }
        });
        stream = next.await;
    }
    assert_eq!(refused, 0, "refused of {tries}, {first:?} first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_connect_on_the_connection_is_accepted() {
    for first in [First::Client, First::Server] {
        assert_none_refused_over_http2(first, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_connect_is_accepted_before_the_client_ends_its_stream() {
    for first in [First::Client, First::Server] {
        assert_none_refused_over_http2(first, false).await;
    }
}

async fn assert_none_refused_over_http1(first: First) {
    let address = serve_one_socket(Http::One).await;
    let mut wire = Wire::open(Http::One, address).await;
    let (mut refused, mut tries) = (0, 0);
    while tries < TRIES && refused < ENOUGH {
        let close = frame(CLOSE, close_body(1000, ""));
        match first {
            First::Client => wire.write(&close).await,
            First::Server => wire.write(frame(TEXT, "close")).await,
        }
        assert_eq!(wire.frame().await.expect("a Close").0, CLOSE);
        if let First::Server = first {
            wire.write(&close).await;
        }
        // The server's FIN; this client keeps its own back.
        assert_eq!(wire.frame().await, None);
        let (mut next, mut status) = handshake(address).await;
        tries += 1;
        refused += usize::from(status != 101);
        let opened = within(async {
            while status != 101 {
                assert_eq!(status, 503);
                sleep(Duration::from_millis(10)).await;
                (next, status) = handshake(address).await;
            }
            next
        });
        // Only now the client ends the connection before.
        wire = opened.await;
    }
    assert_eq!(refused, 0, "refused of {tries}, {first:?} first");
}

/// The status that a handshake over HTTP/1.1 gets.
async fn handshake(address: SocketAddr) -> (Wire, u16) {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut wire = Wire::over(stream);
    wire.write(HANDSHAKE).await;
    let status = wire.head().await;
    (wire, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_handshake_is_accepted_before_the_clients_fin() {
    for first in [First::Client, First::Server] {
        assert_none_refused_over_http1(first).await;
    }
}
