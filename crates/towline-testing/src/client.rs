//! Clients of a server on a port: tungstenite's sockets, and requests over HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Io;
use crate::clock::within;
use crate::server::{Http, NoBody};

/// A client's socket.
pub struct Client {
    pub socket: WebSocketStream<Box<dyn Io>>,
}

/// Opens a socket at `/ws`.
pub async fn connect(http: Http, address: SocketAddr) -> Client {
    try_connect(http, address).await.unwrap()
}

/// The head of the response that refuses a socket at `/ws`.
pub async fn refused(http: Http, address: SocketAddr) -> Response<()> {
    let refused = try_connect(http, address).await.err();
    *refused.expect("this is refused")
}

/// Opens a socket at `/ws`, or gives the head of the response that refuses it.
pub async fn try_connect(http: Http, address: SocketAddr) -> Result<Client, Box<Response<()>>> {
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
pub async fn extended_connect(address: SocketAddr) -> Response<Incoming> {
    http2_request(address, extended_connect_request(address)).await
}

pub fn extended_connect_request(address: SocketAddr) -> Request<NoBody> {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}/ws"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap()
}

pub async fn http2_request(address: SocketAddr, request: Request<NoBody>) -> Response<Incoming> {
    try_http2_request(address, request).await.unwrap()
}

pub async fn try_http2_request(
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
    pub async fn send(&mut self, text: &str) {
        within(self.socket.send(Message::text(text))).await.unwrap();
    }

    /// The next text message.
    pub async fn recv(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("a text message was expected, not {other:?}"),
        }
    }

    pub async fn echo(&mut self, text: &str) {
        self.send(text).await;
        assert_eq!(self.recv().await, text);
    }

    /// Closes with 1000 and reads to the end of the connection.
    pub async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        within(self.socket.close(Some(frame))).await.unwrap();
        assert_eq!(self.closed().await, Some(1000));
    }

    /// Sends `count` messages of 70 kB, which come back, and starts to read only `late`.
    pub async fn read_late(self, count: usize, late: Duration) {
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
    pub async fn closed(&mut self) -> Option<u16> {
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
