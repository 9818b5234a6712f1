//! A server, mostly in memory, whose connections a test may slow down, and clients over it.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpSocket;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::test_util::{self, Client};
use towline_core::{Closed, Outcome, WebSocket, WebSocketUpgrade};

use crate::Io;
use crate::server::ResponseBody;

pub const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// The window of an HTTP/2 stream, and the number of streams on a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const STREAMS: u32 = 200;

pub type App = BoxCloneService<Request<Incoming>, Response<ResponseBody>, Infallible>;

/// Serves sockets by `endpoint`, and tells how they end.
pub fn endpoint<E, F>(endpoint: E) -> (App, Ends)
where
    E: Fn(WebSocket) -> F + Clone + Send + 'static,
    F: Future<Output: Outcome> + Send + 'static,
{
    endpoint_with(endpoint, |upgrade| upgrade)
}

/// The same with accept options.
pub fn endpoint_with<E, F>(
    endpoint: E,
    options: impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Clone + Send + 'static,
) -> (App, Ends)
where
    E: Fn(WebSocket) -> F + Clone + Send + 'static,
    F: Future<Output: Outcome> + Send + 'static,
{
    let (ended, ends) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let (endpoint, options, ended) = (endpoint.clone(), options.clone(), ended.clone());
        async move {
            let upgrade = WebSocketUpgrade::of(&request).unwrap();
            drop(request);
            let endpoint = move |socket: WebSocket| {
                // Also of an endpoint that never returns.
                let closed = socket.closed();
                tokio::spawn(async move {
                    let _ = ended.send(closed.await);
                });
                endpoint(socket)
            };
            let closed = options(upgrade).serve(endpoint).await.unwrap();
            Ok(closed.into())
        }
    });
    (BoxCloneService::new(service), Ends(ends))
}

/// How sockets ended.
pub struct Ends(UnboundedReceiver<Closed>);

impl Ends {
    pub async fn next(&mut self) -> Closed {
        self.0.recv().await.unwrap()
    }

    /// No socket has ended.
    #[track_caller]
    pub fn assert_none(&mut self) {
        if let Ok(closed) = self.0.try_recv() {
            panic!("{closed} after {:?}", closed.duration());
        }
    }
}

/// `service` under `layer`, with a body of one type.
pub fn under<L, S, B>(layer: L, service: S) -> App
where
    L: Layer<S>,
    L::Service: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    L::Service: Clone + Send + 'static,
    <L::Service as Service<Request<Incoming>>>::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    upgraded(layer.layer(service))
}

/// The service under an upgrade layer as an application.
pub fn upgraded<S, B>(service: S) -> App
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    BoxCloneService::new(service.map_response(|response| response.map(BodyExt::boxed_unsync)))
}

/// A connection to an application, and the client's end of it.
pub struct Connection {
    version: Version,
    http1: Option<Box<dyn Io>>,
    http2: Option<http2::SendRequest<Empty<Bytes>>>,
}

impl Connection {
    /// One over which bytes go as fast as they are read.
    pub async fn open(version: Version, app: App) -> Self {
        let (client, server) = duplex(64 * 1024);
        serve(server, app);
        Self::over(version, client).await
    }

    /// One over which the client gets so many bytes a second. What is on the way is little, as with `TCP_NOTSENT_LOWAT`.
    pub async fn open_slow(version: Version, app: App, bytes: usize) -> Self {
        let (client, mut far) = duplex(1024);
        let (near, server) = duplex(16 * 1024);
        serve(server, app);
        let (mut from_server, mut to_server) = tokio::io::split(near);
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = tokio::io::split(&mut far);
            let slow = async {
                let mut buffer = vec![0; bytes / 10];
                loop {
                    match from_server.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => {
                            if to_client.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                        }
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let fast = tokio::io::copy(&mut from_client, &mut to_server);
            tokio::select! {
                () = slow => {}
                _ = fast => {}
            }
        });
        Self::over(version, client).await
    }

    /// One over TCP, in real time, to a client that has little room for what it does not read. If `is_slow`, the kernel
    /// holds little of what is on the way as well, as on a slow line.
    pub async fn open_tcp(app: App, is_slow: bool) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if is_slow {
            // Accepted sockets inherit it.
            socket.set_send_buffer_size(64 * 1024).unwrap();
        }
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let room = if is_slow { 128 * 1024 } else { 16 * 1024 };
        socket.set_recv_buffer_size(room).unwrap();
        let connect = socket.connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::try_join!(connect, listener.accept()).unwrap();
        serve(accepted.0, app);
        Self::over(Version::HTTP_11, client).await
    }

    async fn over(version: Version, io: impl Io + 'static) -> Self {
        let (http1, http2) = if version == Version::HTTP_2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .handshake(TokioIo::new(io))
                .await
                .unwrap();
            tokio::spawn(connection);
            (None, Some(sender))
        } else {
            (Some(Box::new(io) as _), None)
        };
        Self {
            version,
            http1,
            http2,
        }
    }

    /// Opens a socket; over HTTP/1.1 one, over HTTP/2 any number.
    pub async fn socket(&mut self) -> Client {
        let io = self.offering(HeaderMap::new()).await;
        // It reads no more ahead than a message or two.
        let config = WebSocketConfig::default().read_buffer_size(16 * 1024);
        WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await
    }

    /// Opens a socket by a handshake with further headers.
    pub async fn offering(&mut self, headers: HeaderMap) -> TokioIo<Upgraded> {
        let mut response = if let Some(sender) = &mut self.http2 {
            let mut request = test_util::http2("/").map(|()| Empty::new());
            request.headers_mut().extend(headers);
            sender.send_request(request).await.unwrap()
        } else {
            let io = TokioIo::new(self.http1.take().unwrap());
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            let mut request = test_util::http1("/").map(|()| Empty::<Bytes>::new());
            request.headers_mut().extend(headers);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.version(), self.version);
        TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap())
    }
}

/// A client of `app` on a connection of its own.
pub async fn open(version: Version, app: App) -> Client {
    Connection::open(version, app).await.socket().await
}

/// Serves one connection, of either version.
pub fn serve(io: impl Io + 'static, app: App) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_send_buf_size(STREAM_WINDOW as usize)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS);
    tokio::spawn(async move {
        let service = TowerToHyperService::new(app);
        // A connection that breaks is seen at the client's end.
        let _ = builder
            .serve_connection_with_upgrades(TokioIo::new(io), service)
            .await;
    });
}
