//! The end of connections when the server stops, also of those that are accepted during the drain.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tower::ServiceBuilder;
use towline::{OriginLayer, UpgradeLayer};

use super::*;
use crate::connections::Busy;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that answers "late" for each permit, and tells of each request.
struct Slow {
    server: Server,
    address: SocketAddr,
    begun: mpsc::UnboundedReceiver<()>,
    permits: Arc<Semaphore>,
}

impl Slow {
    async fn start() -> Self {
        let (begins, begun) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let answers = Arc::clone(&permits);
        let slow = tower::service_fn(move |mut request: Request<Incoming>| {
            let (begins, answers) = (begins.clone(), Arc::clone(&answers));
            async move {
                let _busy = request.extensions_mut().remove::<Busy>();
                begins.send(()).unwrap();
                answers.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("late")))
            }
        });
        let layers = ServiceBuilder::new()
            .layer(OriginLayer::same_origin())
            .layer(UpgradeLayer::new());
        let server = Server {
            app: App::new(layers.service(slow)),
            ..server(IDLE, CLOSING, None)
        };
        Self {
            address: serve(server.clone()).await,
            server,
            begun,
            permits,
        }
    }

    async fn begun(&mut self) {
        within(self.begun.recv()).await.unwrap();
    }

    fn answer(&self) {
        self.permits.add_permits(1);
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered() {
    let mut slow = Slow::start().await;
    let mut http1 = TcpStream::connect(slow.address).await.unwrap();
    http1.write_all(GET).await.unwrap();
    slow.begun().await;

    let stream = TokioIo::new(TcpStream::connect(slow.address).await.unwrap());
    let handshake = http2::handshake(TokioExecutor::new(), stream);
    let (mut requests, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let url = format!("http://{}/", slow.address);
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let response = tokio::spawn(requests.send_request(request));
    slow.begun().await;

    slow.server.connections.stop();
    // The connections hear of it before the requests are answered.
    tokio::task::yield_now().await;
    slow.answer();
    slow.answer();
    let mut answer = String::new();
    within(http1.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nlate"), "{answer}");
    let response = within(response).await.unwrap().unwrap();
    let body = within(response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "late");
    within(connection).await.unwrap().unwrap();
    within(slow.server.connections.closed()).await;
}

#[tokio::test]
async fn connections_without_a_request_end_at_once() {
    let slow = Slow::start().await;
    let mut http1 = TcpStream::connect(slow.address).await.unwrap();
    slow.answer();
    http1.write_all(GET).await.unwrap();
    let mut buffer = [0; 4096];
    assert!(within(http1.read(&mut buffer)).await.unwrap() > 0);

    let stream = TokioIo::new(TcpStream::connect(slow.address).await.unwrap());
    let handshake = http2::handshake(TokioExecutor::new(), stream);
    let (mut requests, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    slow.answer();
    let url = format!("http://{}/", slow.address);
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let response = within(requests.send_request(request)).await.unwrap();
    within(response.into_body().collect()).await.unwrap();

    slow.server.connections.stop();
    assert_eq!(within(http1.read(&mut buffer)).await.unwrap(), 0);
    within(connection).await.unwrap().unwrap();
    assert!(requests.is_closed());
    within(slow.server.connections.closed()).await;
}

#[tokio::test]
async fn connections_accepted_during_the_drain_are_told_when_it_is_over() {
    let slow = Slow::start().await;
    slow.server.connections.stop();
    let mut client = TcpStream::connect(slow.address).await.unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..2 {
        slow.answer();
        client.write_all(GET).await.unwrap();
        assert!(within(client.read(&mut buffer)).await.unwrap() > 0);
    }
    slow.server.connections.stop();
    assert_eq!(within(client.read(&mut buffer)).await.unwrap(), 0);
    within(slow.server.connections.closed()).await;
}
