//! hyper without a framework: `cargo run -p examples --bin with-hyper`.
//!
//! Any tower middleware will do between the upgrade layer and the endpoint: `map_response` sees the response when the
//! socket has closed, and finds in it how that ended.

#[path = "echo-server/src/listen.rs"]
mod listen;

use std::convert::Infallible;
use std::io::{self, Write};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceBuilder;
use tower::util::BoxCloneService;
use towline::{Closed, EchoService, OriginLayer, UpgradeLayer};
use towline::{origin::OriginBody, upgrade::UpgradeBody};

use crate::listen::listen;

type App = BoxCloneService<Request<Incoming>, Response<Body>, Infallible>;

/// Each layer that answers by itself has a body of its own around the inner one.
type Body = OriginBody<UpgradeBody<Full<Bytes>>>;

/// Echoes on every path, and tells `report` how each socket ended.
fn app(report: impl Fn(&Closed) + Clone + Send + 'static) -> App {
    let service = ServiceBuilder::new()
        .layer(OriginLayer::same_origin())
        .layer(UpgradeLayer::new())
        .map_response(move |response: Response<Full<Bytes>>| {
            // A request that was no handshake has been refused, and carries none.
            if let Some(closed) = response.extensions().get::<Closed>() {
                report(closed);
            }
            response
        })
        .service(EchoService::new());
    BoxCloneService::new(service)
}

async fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve_connection(stream, app.clone()));
    }
}

async fn serve_connection(stream: TcpStream, app: App) {
    let served = http1::Builder::new()
        // Without a timer hyper's bound on a request head, 30 s, does nothing, and half a head is a connection for ever. It
        // also bounds the time between two requests.
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        // Without this hyper keeps the connection to itself: no handshake could be accepted.
        .with_upgrades();
    // A connection that breaks is its client's affair.
    let _ = served.await;
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = listen(([127, 0, 0, 1], 5000).into())?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let report = |closed: &Closed| eprintln!("{closed} after {:?}", closed.duration());
    serve(listener, app(report)).await
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use http::HeaderValue;
    use tokio::sync::mpsc;
    use tokio_tungstenite::connect_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{Error, Message};
    use towline::{CloseCode, ClosedBy};

    use super::*;

    #[tokio::test]
    async fn the_middleware_sees_how_the_socket_ended() {
        let (ended, mut ends) = mpsc::unbounded_channel();
        let report = move |closed: &Closed| ended.send(closed.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, app(report)));

        let (mut client, _) = connect_async(url).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        let echo = client.next().await.unwrap().unwrap();
        assert_eq!(echo, Message::text("hello"));
        // The socket is open, and the response is still on its way.
        assert!(ends.try_recv().is_err());

        client.close(None).await.unwrap();
        while client.next().await.is_some() {}
        drop(client);
        let closed = ends.recv().await.unwrap();
        assert_eq!(closed.by(), ClosedBy::Peer);
        assert_eq!(closed.code(), CloseCode::NO_STATUS);
        assert_eq!((closed.messages_received(), closed.messages_sent()), (1, 1));
    }

    #[tokio::test]
    async fn a_request_that_is_no_handshake_is_refused() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            app(|_| unreachable!("no socket was opened")),
        ));

        let mut client = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    }

    // While nothing happens, the clock jumps to the next timer, also over TCP.
    #[tokio::test(start_paused = true)]
    async fn half_a_head_ends_its_connection() {
        use std::time::Duration;

        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::time::timeout;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            app(|_| unreachable!("no socket was opened")),
        ));
        for bytes in [&b""[..], b"GET / HTTP/1.1\r\nHost: a\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(bytes).await.unwrap();
            let end = timeout(Duration::from_secs(60), client.read(&mut [0])).await;
            assert_eq!(end.expect("it waits for ever").unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_page_of_another_site_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(serve(
            listener,
            app(|_| unreachable!("no socket was opened")),
        ));

        let mut request = url.into_client_request().unwrap();
        let evil = HeaderValue::from_static("http://evil.example");
        request.headers_mut().insert("origin", evil);
        let Err(Error::Http(response)) = connect_async(request).await else {
            panic!("it got a socket");
        };
        assert_eq!(response.status(), 403);
    }
}
