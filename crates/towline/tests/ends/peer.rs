//! A peer in memory that reads and writes as slowly as a test likes, and a server's connection that tells how it ends.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use h2::Reason;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{sleep, timeout};

use crate::stack::{self, App};
use crate::streams::{Connection, Stream};
use crate::support::{HANDSHAKE, Http};
use crate::wire::{CLOSE, close_body, frame, read_frame};

pub(crate) const BOTH: [Http; 2] = [Http::One, Http::Two];

pub(crate) const KIB: usize = 1024;

/// An hour of virtual time: only what will never happen takes as long.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// The output of `future`. In virtual time a test that would wait for ever fails at once.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match timeout(NEVER, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing came, waited for at {caller}"),
        }
    }
}

/// Lets every task run until it waits for something: a paused clock moves only then.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// The client of an open socket, over memory.
pub(crate) struct Peer {
    pub(crate) io: Transport,
    pub(crate) server: Server,
    /// Over HTTP/2 the connection of the stream, which would end with it.
    _connection: Option<Connection>,
}

pub(crate) enum Transport {
    One(DuplexStream),
    Two(Stream),
}

/// The server's end of the connection, as a test sees it.
pub(crate) struct Server {
    /// From now on the server's writes fail; what was sent to it is still read.
    pub(crate) broken: Arc<AtomicBool>,
    /// [`SHUT_DOWN`] and [`DROPPED`], as they happen.
    pub(crate) events: UnboundedReceiver<&'static str>,
}

impl Peer {
    /// Opens a socket over which `room` bytes are on the way to the client at most.
    pub(crate) async fn open(http: Http, app: App, room: usize) -> Self {
        Self::offering(http, app, room, &[]).await
    }

    /// The same by a handshake with further headers.
    pub(crate) async fn offering(
        http: Http,
        app: App,
        room: usize,
        headers: &[(&str, &str)],
    ) -> Self {
        Self::watching(http, app, room, headers, |_| {}).await
    }

    /// The same; `watch` is called within the server's call that ends the connection.
    pub(crate) async fn watching(
        http: Http,
        app: App,
        room: usize,
        headers: &[(&str, &str)],
        watch: impl Fn(&'static str) + Send + 'static,
    ) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let (sender, events) = mpsc::unbounded_channel();
        let server = Server {
            broken: Arc::clone(&broken),
            events,
        };
        let tell = Box::new(move |event| {
            watch(event);
            let _ = sender.send(event);
        });
        let (client, io) = match http {
            Http::One => duplex(room),
            Http::Two => duplex(64 * KIB),
        };
        stack::serve(Watched { io, broken, tell }, app);
        match http {
            Http::One => {
                let mut io = client;
                let end = HANDSHAKE.len() - b"\r\n".len();
                let mut request = HANDSHAKE[..end].to_vec();
                for (name, value) in headers {
                    request.extend(format!("{name}: {value}\r\n").into_bytes());
                }
                request.extend(b"\r\n");
                soon(io.write_all(&request)).await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(soon(io.read_u8()).await.unwrap());
                }
                assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
                Self {
                    io: Transport::One(io),
                    server,
                    _connection: None,
                }
            }
            Http::Two => {
                let window = room.try_into().unwrap();
                let mut connection = Connection::over(client, "localhost".to_owned(), window).await;
                // Extended CONNECT is the server's to allow: its settings come first.
                settle().await;
                let stream = connection.socket_with(headers).await;
                Self {
                    io: Transport::Two(stream),
                    server,
                    _connection: Some(connection),
                }
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.expect("the server reads");
    }

    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        soon(self.io.write_all(bytes.as_ref())).await
    }

    pub(crate) async fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.write(frame(first, payload)).await;
    }

    pub(crate) async fn close(&mut self, code: u16) {
        self.send(CLOSE, close_body(code, "")).await;
    }

    /// Sends no more: FIN, or END_STREAM.
    pub(crate) async fn half_close(&mut self) {
        soon(self.io.shutdown()).await.unwrap();
    }

    /// The first byte and the payload of the next frame; `None` at the end of the server's output.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> impl Future<Output = Option<(u8, Vec<u8>)>> {
        let caller = Location::caller();
        let frame = soon(read_frame(&mut self.io));
        async move {
            match frame.await {
                Ok(frame) => frame,
                Err(error) => panic!("{error}, at {caller}"),
            }
        }
    }

    /// The next frame is this one.
    #[track_caller]
    pub(crate) fn expect(
        &mut self,
        first: u8,
        payload: impl AsRef<[u8]>,
    ) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move {
            let found = frame.await;
            assert_eq!(
                found,
                Some((first, payload.as_ref().to_vec())),
                "at {caller}"
            );
        }
    }

    /// The next frame is a Close of this code; its reason does not matter.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move {
            match frame.await {
                Some((CLOSE, body)) => assert_eq!(body[..2], code.to_be_bytes(), "at {caller}"),
                other => panic!("a Close was expected, not {other:?}, at {caller}"),
            }
        }
    }

    /// The server's output ends here: FIN, or END_STREAM.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move { assert_eq!(frame.await, None, "at {caller}") }
    }

    /// Takes so many bytes, and goes on when `pause` has passed, until there are no more.
    pub(crate) async fn trickle(&mut self, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        while self.io.read_exact(&mut buffer).await.is_ok() {
            sleep(pause).await;
        }
    }

    /// The server's events, for a test that gives the peer away.
    pub(crate) fn take_events(&mut self) -> UnboundedReceiver<&'static str> {
        let (_, gone) = mpsc::unbounded_channel();
        mem::replace(&mut self.server.events, gone)
    }

    /// Waits until the server has dropped the socket's transport, and reads nothing meanwhile. Over HTTP/2 that is a
    /// reset, whose reason comes back.
    pub(crate) async fn dropped(&mut self) -> Option<Reason> {
        match &mut self.io {
            Transport::One(_) => {
                let events = &mut self.server.events;
                while let Some(event) = soon(events.recv()).await {
                    if event == DROPPED {
                        break;
                    }
                }
                None
            }
            Transport::Two(stream) => {
                let reset = soon(poll_fn(|cx| stream.send.poll_reset(cx))).await;
                Some(reset.unwrap())
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::One(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Two(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::One(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Two(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::One(io) => Pin::new(io).poll_flush(cx),
            Self::Two(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::One(io) => Pin::new(io).poll_shutdown(cx),
            Self::Two(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The events of a [`Server`].
pub(crate) const SHUT_DOWN: &str = "shut down";
pub(crate) const DROPPED: &str = "dropped";

/// The server's end of a connection.
struct Watched {
    io: DuplexStream,
    broken: Arc<AtomicBool>,
    tell: Box<dyn Fn(&'static str) + Send>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        if shut.is_ready() {
            (self.tell)(SHUT_DOWN);
        }
        shut
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        (self.tell)(DROPPED);
    }
}
