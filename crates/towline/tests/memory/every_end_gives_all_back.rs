//! However a socket ends, its memory, its tasks and its descriptors come back.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::Full;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tower::{ServiceBuilder, service_fn};
use towline::{UpgradeLayer, WebSocket, WebSocketUpgrade};
use towline_testing::{
    App, CLOSE, HANDSHAKE, Http, KIB, NoBody, Server, TEXT, Wire, app, close_body,
    extended_connect, frame, serve, within,
};

use crate::heap::{Heap, alone};

/// How many sockets are open at a time.
const AT_ONCE: usize = 16;

#[derive(Clone, Copy, Debug)]
enum End {
    /// By the client, once the socket is open.
    ClientCloses,
    ClientDrops,
    ClientResets,
    ClientHalfCloses,
    ClientBreaksTheProtocol,
    ClientDropsWithinAMessage,
    /// By what the endpoint does when it has received the message that names it.
    EndpointReturns,
    EndpointReturnsAndClientDrops,
    EndpointFails,
    EndpointPanics,
    EndpointAborts,
    BackgroundTaskDrops,
    BackgroundTaskPanics,
    /// Before there is a socket.
    ClientGoneBeforeAccept,
    AcceptDropped,
    Refused,
}

use End::*;

const ENDS: [End; 16] = [
    ClientCloses,
    ClientDrops,
    ClientResets,
    ClientHalfCloses,
    ClientBreaksTheProtocol,
    ClientDropsWithinAMessage,
    EndpointReturns,
    EndpointReturnsAndClientDrops,
    EndpointFails,
    EndpointPanics,
    EndpointAborts,
    BackgroundTaskDrops,
    BackgroundTaskPanics,
    ClientGoneBeforeAccept,
    AcceptDropped,
    Refused,
];

/// Does what it is told by the first message.
async fn obey(mut socket: WebSocket) -> Result<(), &'static str> {
    let Some(order) = socket.recv().await else {
        return Ok(());
    };
    // An unwinding without the message of a panic on the terminal.
    let panic = || std::panic::resume_unwind(Box::new("on purpose"));
    let closed = socket.closed();
    match order.as_bytes() {
        b"EndpointFails" => return Err("on purpose"),
        b"EndpointPanics" => panic(),
        b"EndpointAborts" => socket.abort(),
        b"BackgroundTaskDrops" => {
            tokio::spawn(async move { drop(socket) });
            closed.await;
        }
        b"BackgroundTaskPanics" => {
            tokio::spawn(async move {
                let _socket = socket;
                panic();
            });
            closed.await;
        }
        _ => {}
    }
    Ok(())
}

fn obeying() -> App {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        Ok::<_, Infallible>(match WebSocketUpgrade::of(&request) {
            Ok(upgrade) => match upgrade.serve(obey).await {
                Ok(closed) => Response::<Full<Bytes>>::from(closed),
                Err(error) => error.into(),
            },
            Err(error) => error.into(),
        })
    });
    app(ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(endpoint))
}

fn never_accepting() -> App {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let _upgrade = WebSocketUpgrade::of(&request).unwrap();
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    app(ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(endpoint))
}

fn dropping_the_accept() -> App {
    let endpoint = service_fn(|request: Request<NoBody>| async move {
        let upgrade = WebSocketUpgrade::of(&request).unwrap();
        assert!(upgrade.accept().now_or_never().is_none());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    app(ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(endpoint))
}

#[derive(Clone, Copy)]
struct Servers {
    http: Http,
    obeying: SocketAddr,
    never_accepting: SocketAddr,
    dropping_the_accept: SocketAddr,
}

impl Servers {
    async fn start(http: Http) -> Self {
        Self {
            http,
            obeying: serve(Server::Hyper, http, obeying()).await,
            never_accepting: serve(Server::Hyper, http, never_accepting()).await,
            dropping_the_accept: serve(Server::Hyper, http, dropping_the_accept()).await,
        }
    }

    async fn end(self, end: End) {
        match end {
            ClientGoneBeforeAccept => return self.go_before_the_answer().await,
            AcceptDropped => {
                let mut wire = Wire::open(self.http, self.dropping_the_accept).await;
                assert_close(&mut wire, 1011).await;
                return;
            }
            Refused => return self.be_refused().await,
            ClientResets => return self.reset().await,
            _ => {}
        }
        let mut wire = Wire::open(self.http, self.obeying).await;
        match end {
            ClientDrops => {}
            ClientCloses => {
                wire.write(frame(CLOSE, close_body(1000, "bye"))).await;
                assert_eq!(wire.closed_with().await, 1000);
            }
            ClientHalfCloses => {
                wire.half_close().await;
                assert_eq!(wire.frame().await, None);
            }
            ClientBreaksTheProtocol => {
                wire.write(b"\x81\x00").await;
                assert_eq!(wire.closed_with().await, 1002);
            }
            ClientDropsWithinAMessage => wire.write(frame(0x01, vec![b'x'; 20_000])).await,
            _ => {
                wire.write(frame(TEXT, format!("{end:?}"))).await;
                match end {
                    EndpointReturnsAndClientDrops => {}
                    EndpointAborts => assert_eq!(wire.frame().await, None),
                    EndpointFails | EndpointPanics | BackgroundTaskPanics => {
                        assert_close(&mut wire, 1011).await
                    }
                    _ => assert_close(&mut wire, 1000).await,
                }
            }
        }
    }

    async fn reset(self) {
        match self.http {
            Http::One => {
                let stream = TcpStream::connect(self.obeying).await.unwrap();
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(Wire::upgrade(stream).await);
            }
            // A stream that is dropped is reset.
            Http::Two => drop(Wire::open(self.http, self.obeying).await),
        }
    }

    async fn go_before_the_answer(self) {
        match self.http {
            Http::One => {
                let mut stream = TcpStream::connect(self.never_accepting).await.unwrap();
                stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
            }
            Http::Two => {
                let mut request = Box::pin(extended_connect(self.never_accepting));
                // Connected and sent, by about now.
                for _ in 0..20 {
                    assert!((&mut request).now_or_never().is_none());
                    yield_now().await;
                }
            }
        }
    }

    async fn be_refused(self) {
        let stream = TcpStream::connect(self.obeying).await.unwrap();
        let mut wire = Wire::over(stream);
        if let Http::One = self.http {
            wire.write("GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\n")
                .await;
            assert_eq!(wire.head().await, 426);
        }
    }
}

/// The server closes with this code, and the client answers.
async fn assert_close(wire: &mut Wire, code: u16) {
    let close = wire.frame().await;
    assert_eq!(close, Some((CLOSE, close_body(code, ""))));
    wire.write(frame(CLOSE, close_body(code, ""))).await;
    assert_eq!(wire.frame().await, None);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

async fn all_come_back(http: Http, sockets: usize) {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let servers = Servers::start(http).await;
    let started = tasks();
    let open = async |sockets| {
        let ends = stream::iter(ENDS.iter().cycle().take(sockets));
        ends.for_each_concurrent(AT_ONCE, |end| servers.end(*end))
            .await;
        within(async {
            while tasks() > started {
                yield_now().await;
            }
        })
        .await;
    };
    // What a runtime and its threads keep for good.
    open(20 * ENDS.len()).await;

    let (heap, before) = (Heap::now(), descriptors());
    open(sockets).await;
    assert_eq!(tasks(), started);
    assert!(heap.growth() <= 16 * KIB, "{} bytes", heap.growth());
    assert_eq!(descriptors(), before);
}

#[test]
fn over_http1() {
    alone(all_come_back(Http::One, 10_000));
}

#[test]
fn over_http2() {
    alone(all_come_back(Http::Two, 480));
}
