//! `wss`: over HTTP/1.1, and over HTTP/2 where ALPN agrees on it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::ORIGIN;
use http::{HeaderValue, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Identity, Server, extended_connect, within};

/// A connection on which ALPN has agreed on the only protocol that the client offers.
async fn connect(server: &Server, identity: &Identity, alpn: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.made.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(server.authority()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let stream = within(connecting).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    stream
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    let large = Message::binary(vec![7; 500_000]);
    for message in [Message::text("hello"), large] {
        within(socket.send(message.clone())).await.unwrap();
        assert!(within(socket.next()).await.unwrap().unwrap() == message);
    }
    within(socket.close(None)).await.unwrap();
    let answer = within(socket.next()).await.unwrap().unwrap();
    assert!(answer.is_close(), "{answer}");
    assert!(within(socket.next()).await.is_none());
}

#[tokio::test]
async fn over_http1() {
    let identity = Identity::new("http1");
    let server = Server::start(&identity.options()).await;
    assert!(
        server.url.starts_with("https://127.0.0.1:"),
        "{}",
        server.url
    );

    let stream = connect(&server, &identity, b"http/1.1").await;
    let mut request = server.socket_url().into_client_request().unwrap();
    let origin = HeaderValue::try_from(&server.url).unwrap();
    request.headers_mut().insert(ORIGIN, origin);
    let opening = tokio_tungstenite::client_async(request, stream);
    let (socket, response) = within(opening).await.unwrap();
    assert_eq!(response.status(), 101);
    converse(socket).await;
}

#[tokio::test]
async fn over_http2_beside_the_page() {
    let identity = Identity::new("http2");
    // One thread serves as well as many.
    let options = [&identity.options()[..], &["--threads", "1"]].concat();
    let server = Server::start(&options).await;

    let stream = connect(&server, &identity, b"h2").await;
    let connecting =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut requests, connection) = within(connecting).await.unwrap();
    tokio::spawn(connection);

    let page = Request::get(&server.url)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let page = within(requests.send_request(page)).await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.version()),
        (200, Version::HTTP_2)
    );
    let html = within(page.into_body().collect()).await.unwrap().to_bytes();
    assert!(html.starts_with(b"<!doctype html>"));

    converse(extended_connect(&mut requests, &server).await).await;
}

#[tokio::test]
async fn pages_of_another_origin_get_none() {
    let identity = Identity::new("origin");
    let server = Server::start(&identity.options()).await;
    for origin in [
        // Another port by default than the server's.
        "https://127.0.0.1",
        "https://evil.example",
    ] {
        let stream = connect(&server, &identity, b"http/1.1").await;
        let mut request = server.socket_url().into_client_request().unwrap();
        let origin = HeaderValue::from_static(origin);
        request.headers_mut().insert(ORIGIN, origin);
        let opening = tokio_tungstenite::client_async(request, stream);
        let Err(Error::Http(response)) = within(opening).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 403);
    }
}

#[tokio::test]
async fn clients_that_say_nothing_or_speak_no_tls_are_in_nobodys_way() {
    let identity = Identity::new("silent");
    let server = Server::start(&identity.options()).await;
    let _silent = TcpStream::connect(server.authority()).await.unwrap();

    let mut plain = TcpStream::connect(server.authority()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    within(plain.write_all(request)).await.unwrap();
    let mut answer = Vec::new();
    let _ = within(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));

    connect(&server, &identity, b"http/1.1").await;
}
