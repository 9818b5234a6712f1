//! Servers on port 0 and clients for them.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_service::Service;
use towline::{UpgradeLayer, WebSocketUpgrade};

/// Longer than anything takes: what runs into it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A good opening handshake.
pub(crate) const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) type NoBody = Empty<Bytes>;
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// A whole application, of one type for every server.
pub(crate) type App = BoxCloneSyncService<Request<NoBody>, Response<ResponseBody>, Infallible>;

pub(crate) fn app<S, B>(service: S) -> App
where
    S: Service<Request<NoBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(BodyExt::boxed_unsync)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Hyper,
    Axum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

pub(crate) const EVERYWHERE: [(Server, Http); 4] = [
    (Server::Hyper, Http::One),
    (Server::Hyper, Http::Two),
    (Server::Axum, Http::One),
    (Server::Axum, Http::Two),
];

/// Serves `app` on a free port for as long as the test's runtime lives.
pub(crate) async fn serve(server: Server, http: Http, app: App) -> SocketAddr {
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

pub(crate) async fn serve_axum(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) async fn serve_hyper<S, B>(http: Http, app: S) -> SocketAddr
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

/// An endpoint that gives its raw connection to tungstenite, and echoes.
pub(crate) async fn tungstenite_echo(
    request: Request<NoBody>,
) -> Result<Response<NoBody>, Infallible> {
    let upgrade = WebSocketUpgrade::of(&request).unwrap();
    let raw = upgrade.accept_raw().await.unwrap();
    let mut stream = WebSocketStream::from_raw_socket(raw, Role::Server, None).await;
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() || message.is_binary() {
            stream.send(message).await.unwrap();
        }
    }
    Ok(Response::new(NoBody::new()))
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A client's socket.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<Box<dyn Io>>,
}

/// Opens a socket at `/ws`.
pub(crate) async fn connect(http: Http, address: SocketAddr) -> Client {
    try_connect(http, address).await.unwrap()
}

/// The head of the response that refuses a socket at `/ws`.
pub(crate) async fn refused(http: Http, address: SocketAddr) -> Response<()> {
    let refused = try_connect(http, address).await.err();
    *refused.expect("this is refused")
}

/// Opens a socket at `/ws`, or gives the head of the response that refuses it.
pub(crate) async fn try_connect(
    http: Http,
    address: SocketAddr,
) -> Result<Client, Box<Response<()>>> {
    within(async {
        match http {
            Http::One => connect_http1(address).await,
            Http::Two => connect_http2(address).await,
        }
    })
    .await
}

async fn connect_http1(address: SocketAddr) -> Result<Client, Box<Response<()>>> {
    let stream: Box<dyn Io> = Box::new(TcpStream::connect(address).await.unwrap());
    let request = format!("ws://{address}/ws").into_client_request().unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, head)) => {
            assert_eq!(head.status(), 101);
            Ok(Client { socket })
        }
        Err(Error::Http(refusal)) => Err(Box::new(refusal.map(drop))),
        Err(error) => panic!("{error}"),
    }
}

async fn connect_http2(address: SocketAddr) -> Result<Client, Box<Response<()>>> {
    let response = extended_connect(address).await;
    assert_eq!(response.version(), Version::HTTP_2);
    for forbidden in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(forbidden), "{forbidden}");
    }
    if response.status() != 200 {
        return Err(Box::new(response.map(drop)));
    }
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let io: Box<dyn Io> = Box::new(TokioIo::new(upgraded));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    Ok(Client { socket })
}

/// The answer to an extended CONNECT for a WebSocket on a connection of its own.
pub(crate) async fn extended_connect(address: SocketAddr) -> Response<Incoming> {
    http2_request(address, extended_connect_request(address)).await
}

pub(crate) fn extended_connect_request(address: SocketAddr) -> Request<NoBody> {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}/ws"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap()
}

pub(crate) async fn http2_request(
    address: SocketAddr,
    request: Request<NoBody>,
) -> Response<Incoming> {
    try_http2_request(address, request).await.unwrap()
}

pub(crate) async fn try_http2_request(
    address: SocketAddr,
    request: Request<NoBody>,
) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        within(self.socket.send(Message::text(text))).await.unwrap();
    }

    /// The next text message.
    pub(crate) async fn recv(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("a text message was expected, not {other:?}"),
        }
    }

    pub(crate) async fn echo(&mut self, text: &str) {
        self.send(text).await;
        assert_eq!(self.recv().await, text);
    }

    /// Closes with 1000 and reads to the end of the connection.
    pub(crate) async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        within(self.socket.close(Some(frame))).await.unwrap();
        assert_eq!(self.closed().await, Some(1000));
    }

    /// Sends `count` messages of 70 kB, which come back, and starts to read only `late`.
    pub(crate) async fn read_late(self, count: usize, late: Duration) {
        const SIZE: usize = 70_000;

        let (mut sink, mut stream) = self.socket.split();
        let sending = tokio::spawn(async move {
            for index in 0..count {
                let payload = vec![index as u8; SIZE];
                sink.send(Message::binary(payload)).await.unwrap();
            }
            sink
        });
        sleep(late).await;
        for index in 0..count {
            let message = within(stream.next()).await.unwrap().unwrap();
            assert_eq!(message.into_data(), vec![index as u8; SIZE]);
        }
        drop(within(sending).await.unwrap());
    }

    /// Reads to the end of the connection; the code of the Close on the way.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(message) = self.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }

    async fn next(&mut self) -> Option<Message> {
        match within(self.socket.next()).await {
            Some(Ok(message)) => Some(message),
            None | Some(Err(Error::ConnectionClosed)) => None,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// `future`, unless it hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this hangs")
}

/// An endpoint that has the offer of a socket and never decides; it logs `called`, and `dropped`.
pub(crate) fn undecided(layer: &UpgradeLayer, log: mpsc::UnboundedSender<&'static str>) -> App {
    let endpoint = service_fn(move |request: Request<NoBody>| {
        let guard = Guard(log.clone(), "dropped");
        log.send("called").unwrap();
        async move {
            let _guard = guard;
            let _upgrade = WebSocketUpgrade::of(&request).unwrap();
            pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    app(layer.layer(endpoint))
}

/// The next thing that a server tells its test.
pub(crate) async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    within(receiver.recv()).await.expect("the server is gone")
}

/// Tells the test when it is dropped.
pub(crate) struct Guard(
    pub(crate) mpsc::UnboundedSender<&'static str>,
    pub(crate) &'static str,
);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}
