//! A server over memory, and its endpoints.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{
    AcceptError, Closed, HandshakeError, HandshakeErrorKind, WebSocket, WebSocketUpgrade,
};
use towline_testing::{HANDSHAKE, Peer, Reply, soon};
use towline_upgrade::UpgradeLayer;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A valid handshake as a service gets it, from a server that gives no connection.
pub(crate) fn offered() -> Request<()> {
    let request = Request::builder()
        .header("host", "example.com")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut request = request.body(()).expect("a request");
    let on_upgrade = hyper::upgrade::on(&mut request);
    request.extensions_mut().insert(on_upgrade);
    request
}

/// Why the layer refuses a handshake by itself: its endpoint is not called.
pub(crate) async fn refusal(layer: UpgradeLayer) -> HandshakeErrorKind {
    let inner =
        service_fn(async |_| -> Result<Response<String>, BoxError> { panic!("it was called") });
    let refused = layer.layer(inner).oneshot(offered()).await;
    let refused = refused.expect("a response");
    let error = refused.extensions().get::<HandshakeError>();
    error.expect("a reason").kind()
}

/// Polls `future` once, and no more.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// The same future, which must not be polled over and over: on a paused clock that would hang.
pub(crate) async fn without_spinning<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        assert!(polls < 100, "it spins");
        future.as_mut().poll(cx)
    })
    .await
}

/// Serves one connection over HTTP/1.1.
pub(crate) fn serve<S, B>(service: S) -> Client
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (client, server) = duplex(64 * 1024);
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::spawn(connection.with_upgrades());
    Client(client)
}

/// Serves under a layer that keeps the 101 to itself; the client has sent its handshake.
pub(crate) async fn serve_unanswered<S, B>(service: S) -> Peer
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Send,
{
    let mut client = Peer::new(
        serve(service_fn(move |request: Request<Incoming>| {
            let service = service.clone();
            async move {
                let _accepted = service.oneshot(request).await?;
                pending::<Result<Response<String>, BoxError>>().await
            }
        }))
        .0,
    );
    client.write(HANDSHAKE).await;
    client
}

/// A service of one request; its end is told whether the endpoint finished or was dropped.
pub(crate) fn once<F, Fut, T>(
    endpoint: F,
) -> (
    impl Service<
        Request<Incoming>,
        Response = T,
        Error = BoxError,
        Future = impl Future<Output = Result<T, BoxError>> + Send + 'static,
    > + Clone
    + Send
    + 'static,
    Ended,
)
where
    F: FnOnce(Request<Incoming>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Observed + Send + 'static,
{
    let (ended, receiver) = oneshot::channel();
    let once = Arc::new(Mutex::new(Some((endpoint, ended))));
    let service = service_fn(move |request| {
        let taken = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (endpoint, ended) = taken.expect("a service of one request");
        let future = endpoint(request);
        async move {
            let result = future.await;
            let end = result.as_ref().map_or(End::Error, T::end);
            let _ = ended.send(end);
            result
        }
    });
    (service, Ended(receiver))
}

/// How an endpoint finished.
#[derive(Debug)]
pub(crate) enum End {
    Response(u16, Option<Box<Closed>>),
    Error,
}

/// A response, as a test looks at it.
pub(crate) trait Observed {
    fn end(&self) -> End;
}

impl<B> Observed for Response<B> {
    fn end(&self) -> End {
        let closed = self.extensions().get::<Closed>().cloned();
        End::Response(self.status().as_u16(), closed.map(Box::new))
    }
}

/// The end of an endpoint, seen from the layers around it.
pub(crate) struct Ended(oneshot::Receiver<End>);

impl Ended {
    /// How the endpoint finished; `None` if it was dropped before, or panicked.
    #[track_caller]
    pub(crate) fn wait(self) -> impl Future<Output = Option<End>> {
        soon(self.0.map(Result::ok))
    }

    /// The `Closed` in the endpoint's response.
    #[track_caller]
    pub(crate) fn closed(self) -> impl Future<Output = Closed> {
        self.wait().map(|end| match end {
            Some(End::Response(_, Some(closed))) => *closed,
            other => panic!("the endpoint ended with {other:?}"),
        })
    }

    pub(crate) fn is_pending(&mut self) -> bool {
        (&mut self.0).now_or_never().is_none()
    }
}

/// Opens a socket to an endpoint under `UpgradeLayer::new()`.
pub(crate) async fn open<F, Fut>(endpoint: F) -> (Peer, Ended)
where
    F: FnOnce(WebSocketUpgrade) -> Fut + Send + 'static,
    Fut: Future<Output = Response<String>> + Send + 'static,
{
    open_under(UpgradeLayer::new(), endpoint).await
}

/// Opens a socket to an endpoint under this layer.
pub(crate) async fn open_under<F, Fut>(layer: UpgradeLayer, endpoint: F) -> (Peer, Ended)
where
    F: FnOnce(WebSocketUpgrade) -> Fut + Send + 'static,
    Fut: Future<Output = Response<String>> + Send + 'static,
{
    let (service, ended) = once(move |request| {
        let upgrade = WebSocketUpgrade::of(&request).expect("an offer");
        endpoint(upgrade).map(Ok)
    });
    let peer = serve(layer.layer(service)).open().await;
    (peer, ended)
}

/// Opens a socket to a closure that is served by [`WebSocketUpgrade::serve`].
pub(crate) async fn open_served<F, Fut>(endpoint: F) -> (Peer, Ended)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    open(|upgrade| upgrade.serve(endpoint).map(respond)).await
}

/// What an endpoint ends with.
pub(crate) fn respond(result: Result<Closed, AcceptError>) -> Response<String> {
    result.map_or_else(Response::from, Response::from)
}

pub(crate) fn response(status: u16, body: &str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status.try_into().expect("a status");
    response
}

/// Echoes until there is no more; the socket is dropped then.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// A client before its handshake.
pub(crate) struct Client(pub(crate) DuplexStream);

impl Client {
    /// Sends [`HANDSHAKE`], which has to be accepted.
    pub(crate) async fn open(self) -> Peer {
        let (reply, peer) = self.request(HANDSHAKE).await;
        assert_eq!(reply.status, 101, "{reply:?}");
        peer
    }

    /// Sends these bytes and reads a response.
    pub(crate) async fn request(self, request: impl AsRef<[u8]>) -> (Reply, Peer) {
        let mut peer = Peer::new(self.0);
        peer.write(request).await;
        let reply = peer.reply().await;
        (reply, peer)
    }
}

/// Tokio's executor, counting the tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting(Arc<[AtomicUsize; 3]>);

impl Counting {
    pub(crate) fn tasks(&self) -> usize {
        self.0[0].load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> usize {
        self.tasks() - self.0[2].load(Ordering::Relaxed)
    }

    pub(crate) fn panics(&self) -> usize {
        self.0[1].load(Ordering::Relaxed)
    }
}

impl<F> hyper::rt::Executor<F> for Counting
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let counts = Arc::clone(&self.0);
        counts[0].fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                counts[1].fetch_add(1, Ordering::Relaxed);
            }
            counts[2].fetch_add(1, Ordering::Relaxed);
        });
    }
}

pub(crate) type AnyPipeline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands the pipelines to the test, which polls them, instead of spawning them.
#[derive(Clone, Debug)]
pub(crate) struct HandOver(mpsc::UnboundedSender<AnyPipeline>);

impl HandOver {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<AnyPipeline>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }
}

impl<F> hyper::rt::Executor<F> for HandOver
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, pipeline: F) {
        self.0.send(Box::pin(pipeline)).expect("the test waits");
    }
}

/// A future, or a body, whose drop panics.
pub(crate) struct PanicsOnDrop<T>(pub(crate) T);

impl<T> fmt::Debug for PanicsOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanicsOnDrop")
    }
}

impl<F: Future + Unpin> Future for PanicsOnDrop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        self.0.poll_unpin(cx)
    }
}

impl Body for PanicsOnDrop<()> {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Infallible>>> {
        Poll::Ready(None)
    }
}

impl<T> Drop for PanicsOnDrop<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a drop that panics");
        }
    }
}
