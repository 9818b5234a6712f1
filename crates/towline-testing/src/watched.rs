//! A peer in memory, at a server's connection that tells how it ends.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::either::Either;

use crate::KIB;
use crate::clock::{settle, soon};
use crate::http2::{Connection, Stream};
use crate::memory::{self, App};
use crate::peer::{self, handshake_with};
use crate::server::Http;

pub const BOTH: [Http; 2] = [Http::One, Http::Two];

/// The client of an open socket, over HTTP/1.1 or HTTP/2.
pub type Peer = peer::Peer<Either<DuplexStream, Stream>, Server>;

/// The server's end of the connection, as a test sees it.
pub struct Server {
    /// From now on the server's writes fail; what was sent to it is still read.
    pub broken: Arc<AtomicBool>,
    /// [`SHUT_DOWN`] and [`DROPPED`], as they happen.
    pub events: UnboundedReceiver<&'static str>,
    /// Over HTTP/2 the connection of the stream, which would end with it.
    connection: Option<Connection>,
}

impl Peer {
    /// Opens a socket over which `room` bytes are on the way to the client at most.
    pub async fn open(http: Http, app: App, room: usize) -> Self {
        Self::offering(http, app, room, &[]).await
    }

    /// The same by a handshake with further headers.
    pub async fn offering(http: Http, app: App, room: usize, headers: &[(&str, &str)]) -> Self {
        Self::watching(http, app, room, headers, |_| {}).await
    }

    /// The same; `watch` is called within the server's call that ends the connection.
    pub async fn watching(
        http: Http,
        app: App,
        room: usize,
        headers: &[(&str, &str)],
        watch: impl Fn(&'static str) + Send + 'static,
    ) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let (sender, events) = mpsc::unbounded_channel();
        let mut server = Server {
            broken: Arc::clone(&broken),
            events,
            connection: None,
        };
        let tell = Box::new(move |event| {
            watch(event);
            let _ = sender.send(event);
        });
        let (client, io) = match http {
            Http::One => duplex(room),
            Http::Two => duplex(64 * KIB),
        };
        memory::serve(Watched { io, broken, tell }, app);
        match http {
            Http::One => {
                let mut peer = Self::at(Either::Left(client), server);
                let lines = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"));
                let request = handshake_with(&lines.collect::<String>());
                peer.write(request).await;
                assert_eq!(peer.head().await, 101);
                peer
            }
            Http::Two => {
                let window = room.try_into().unwrap();
                let mut connection = Connection::over(client, "localhost".to_owned(), window).await;
                // Extended CONNECT is the server's to allow: its settings come first.
                settle().await;
                let stream = connection.socket_with(headers).await;
                server.connection = Some(connection);
                Self::at(Either::Right(stream), server)
            }
        }
    }

    /// The server's events, for a test that gives the peer away.
    pub fn take_events(&mut self) -> UnboundedReceiver<&'static str> {
        let (_, gone) = mpsc::unbounded_channel();
        mem::replace(&mut self.server.events, gone)
    }

    /// Waits until the server has dropped the socket's transport, and reads nothing meanwhile. Over HTTP/2 that is a
    /// reset, whose reason comes back.
    pub async fn dropped(&mut self) -> Option<Reason> {
        match &mut self.io {
            Either::Left(_) => {
                let events = &mut self.server.events;
                while let Some(event) = soon(events.recv()).await {
                    if event == DROPPED {
                        break;
                    }
                }
                None
            }
            Either::Right(stream) => {
                let reset = soon(poll_fn(|cx| stream.send.poll_reset(cx))).await;
                Some(reset.unwrap())
            }
        }
    }
}

/// The events of a [`Server`].
pub const SHUT_DOWN: &str = "shut down";
pub const DROPPED: &str = "dropped";

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
