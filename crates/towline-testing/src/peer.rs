//! The client's end of a socket, which writes what it likes and looks at every byte of the answer.

use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Io;
use crate::client::{extended_connect, extended_connect_request, http2_request};
use crate::clock::{LONG, NEVER, limited, within};
use crate::frame::{BINARY, CLOSE, TEXT, close_body, frame, read_frame};
use crate::server::Http;

/// A good opening handshake, with the key of RFC 6455 section 1.3.
pub const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\n\
    host: example.com\r\n\
    connection: upgrade\r\n\
    upgrade: websocket\r\n\
    sec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// [`HANDSHAKE`] with these lines besides.
pub fn handshake_with(lines: &str) -> String {
    let lines = [HANDSHAKE.trim_end(), lines.trim_end()].join("\r\n");
    format!("{}\r\n\r\n", lines.trim_end())
}

/// The client's end of a socket, or of a connection before its handshake.
pub struct Peer<T = Box<dyn Io>, S = ()> {
    pub io: T,
    /// The server's end, as far as the test can see it.
    pub server: S,
    patience: Duration,
}

/// One over a connection of any kind, in real time. It reads ahead.
pub type Wire = Peer<BufReader<Box<dyn Io>>>;

/// A response over HTTP/1.1.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// The values of this header, line by line.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .collect()
    }
}

impl Peer {
    /// One in virtual time.
    pub fn new(io: impl Io + 'static) -> Self {
        Self::at(Box::new(io), ())
    }
}

impl Wire {
    /// Opens a socket on a connection of its own.
    pub async fn open(http: Http, address: SocketAddr) -> Self {
        match http {
            Http::One => Self::upgrade(TcpStream::connect(address).await.unwrap()).await,
            Http::Two => {
                let response = within(extended_connect(address)).await;
                assert_eq!(response.status(), 200);
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                Self::over(TokioIo::new(upgraded))
            }
        }
    }

    /// Opens a socket on this connection, over HTTP/1.1.
    pub async fn upgrade(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut wire = Self::over(stream);
        wire.write(HANDSHAKE).await;
        assert_eq!(wire.head().await, 101);
        wire
    }

    /// Opens a socket by a handshake that offers `extensions`; what the server answers to that.
    pub async fn offer(
        http: Http,
        address: SocketAddr,
        extensions: &str,
    ) -> (Self, Option<String>) {
        const NAME: &str = "sec-websocket-extensions";

        let (wire, answers) = match http {
            Http::One => {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut wire = Self::over(stream);
                let offer = handshake_with(&format!("{NAME}: {extensions}"));
                wire.write(offer).await;
                let reply = within(wire.read_head()).await.unwrap();
                assert_eq!(reply.status, 101, "{extensions}");
                let answers = reply.header(NAME).into_iter().map(str::to_owned);
                (wire, answers.collect::<Vec<_>>())
            }
            Http::Two => {
                let mut request = extended_connect_request(address);
                let offer = extensions.parse().unwrap();
                request.headers_mut().insert(NAME, offer);
                let response = within(http2_request(address, request)).await;
                assert_eq!(response.status(), 200, "{extensions}");
                let answers = response.headers().get_all(NAME).iter();
                let answers = answers
                    .map(|answer| answer.to_str().unwrap().to_owned())
                    .collect();
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                (Self::over(TokioIo::new(upgraded)), answers)
            }
        };
        assert!(answers.len() <= 1, "{extensions}: {answers:?}");
        (wire, answers.into_iter().next())
    }

    pub fn over(io: impl Io + 'static) -> Self {
        Self {
            patience: LONG,
            ..Self::at(BufReader::with_capacity(1024, Box::new(io)), ())
        }
    }
}

impl<T: Io, S> Peer<T, S> {
    pub(crate) fn at(io: T, server: S) -> Self {
        Self {
            io,
            server,
            patience: NEVER,
        }
    }

    /// Writes while the server takes it.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        limited(self.patience, self.io.write_all(bytes.as_ref())).await
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.expect("the server reads");
        // The server may have taken this and ended the connection meanwhile.
        let _ = limited(self.patience, self.io.flush()).await;
    }

    pub async fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.write(frame(first, payload)).await;
    }

    pub async fn text(&mut self, text: &str) {
        self.send(TEXT, text).await;
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        self.send(CLOSE, close_body(code, reason)).await;
    }

    /// Ends the client's output, with FIN or END_STREAM, and reads on.
    pub async fn half_close(&mut self) {
        limited(self.patience, self.io.shutdown()).await.unwrap();
    }

    /// Returns `true` if the server still holds the connection.
    pub async fn is_connected(&mut self) -> bool {
        self.io.write_all(b"x").await.is_ok()
    }

    /// Reads the head of a response over HTTP/1.1; its status.
    pub async fn head(&mut self) -> u16 {
        let reply = limited(self.patience, self.read_head()).await;
        reply.expect("a response").status
    }

    /// Reads a response over HTTP/1.1, with the body of its declared length.
    pub async fn reply(&mut self) -> Reply {
        limited(self.patience, self.read_reply())
            .await
            .expect("a response")
    }

    async fn read_reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.read_head().await?;
        let length = reply
            .header("content-length")
            .first()
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.io.read_exact(&mut body).await?;
        reply.body = String::from_utf8(body).expect("text");
        Ok(reply)
    }

    async fn read_head(&mut self) -> io::Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.io.read_u8().await?);
        }
        let head = String::from_utf8(head).expect("an ASCII head");
        let status = head.strip_prefix("HTTP/1.1 ").expect("a status line");
        Ok(Reply {
            status: status[..3].parse().expect("a status"),
            head,
            body: String::new(),
        })
    }

    /// The first byte and the payload of the next frame; `None` at the end of the server's output.
    #[track_caller]
    pub fn frame(&mut self) -> impl Future<Output = Option<(u8, Vec<u8>)>> {
        let caller = Location::caller();
        let frame = self.try_frame();
        async move {
            match frame.await {
                Ok(frame) => frame,
                Err(error) => panic!("{error}, at {caller}"),
            }
        }
    }

    /// The same; an error at an end that is not in good order.
    #[track_caller]
    pub fn try_frame(&mut self) -> impl Future<Output = io::Result<Option<(u8, Vec<u8>)>>> {
        limited(self.patience, read_frame(&mut self.io))
    }

    /// The next frame is this one.
    #[track_caller]
    pub fn expect(&mut self, first: u8, payload: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move {
            let (found, expected) = (frame.await, Some((first, payload.as_ref().to_vec())));
            assert_eq!(found, expected, "at {caller}");
        }
    }

    #[track_caller]
    pub fn expect_text(&mut self, text: &str) -> impl Future<Output = ()> {
        self.expect(TEXT, text)
    }

    /// The next frame is a Close with this code and reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16, reason: &str) -> impl Future<Output = ()> {
        self.expect(CLOSE, close_body(code, reason))
    }

    /// The next frame is a Close with this code; its reason does not matter.
    #[track_caller]
    pub fn expect_close_code(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move {
            match frame.await {
                Some((CLOSE, body)) => assert_eq!(body[..2], code.to_be_bytes(), "at {caller}"),
                other => panic!("a Close was expected, not {other:?}, at {caller}"),
            }
        }
    }

    /// The server's output ends here, with FIN or END_STREAM.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        let frame = self.frame();
        async move { assert_eq!(frame.await, None, "at {caller}") }
    }

    /// A message goes and comes back.
    #[track_caller]
    pub fn expect_echo(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            self.text("are you there?").await;
            let echoed = self.frame().await;
            assert_eq!(
                echoed,
                Some((TEXT, b"are you there?".to_vec())),
                "at {caller}"
            );
        }
    }

    /// A binary message goes and comes back.
    pub async fn echo(&mut self, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        self.write(frame(BINARY, payload)).await;
        let echoed = self.frame().await;
        assert!(
            echoed.as_ref() == Some(&(BINARY, payload.to_vec())),
            "{} bytes, echoed as {echoed:?}",
            payload.len()
        );
    }

    /// The next frame is a Close, and then the connection ends, in good order; the Close's body.
    pub async fn closed(&mut self) -> Vec<u8> {
        let body = match self.frame().await {
            Some((CLOSE, body)) => body,
            other => panic!("a Close was expected, not {other:?}"),
        };
        let end = self.frame().await;
        assert_eq!(end, None, "behind the Close");
        body
    }

    /// The same; the Close's code.
    pub async fn closed_with(&mut self) -> u16 {
        let body = self.closed().await;
        u16::from_be_bytes([body[0], body[1]])
    }

    /// All bytes to the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = limited(self.patience, self.io.read_to_end(&mut bytes)).await;
        read.expect("an end");
        bytes
    }

    /// Takes so many bytes, and goes on when `pause` has passed, until there are no more.
    pub async fn trickle(&mut self, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        while self.io.read_exact(&mut buffer).await.is_ok() {
            sleep(pause).await;
        }
    }
}
