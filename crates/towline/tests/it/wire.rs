//! A client that writes what it likes and looks at every byte of the answer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{
    HANDSHAKE, Http, Io, extended_connect, extended_connect_request, http2_request, within,
};

/// First bytes of whole messages and control frames: FIN and an opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// The masking key of the examples in RFC 6455 section 5.7.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame with the shortest form of its length.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    let masked = payload.iter().zip(KEY.iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a masked frame that declares this length.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(0x80 | length as u8),
        126..=0xffff => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(KEY);
    header
}

pub(crate) fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The first byte and the payload of the next frame; `None` at an end between frames.
pub(crate) async fn read_frame(
    io: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let first = match io.read_u8().await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        first => first?,
    };
    let length = match io.read_u8().await? {
        126 => io.read_u16().await?.into(),
        127 => io.read_u64().await?,
        length => length.into(),
    };
    let mut payload = vec![0; length.try_into().expect("a length")];
    io.read_exact(&mut payload).await?;
    Ok(Some((first, payload)))
}

/// The client's end of an open socket.
pub(crate) struct Wire(BufReader<Box<dyn Io>>);

impl Wire {
    /// Opens a socket on a connection of its own.
    pub(crate) async fn open(http: Http, address: SocketAddr) -> Self {
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
    pub(crate) async fn upgrade(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut wire = Self::over(stream);
        wire.write(HANDSHAKE).await;
        assert_eq!(wire.head().await, 101);
        wire
    }

    /// Opens a socket by a handshake that offers `extensions`; what the server answers to that.
    pub(crate) async fn offer(
        http: Http,
        address: SocketAddr,
        extensions: &str,
    ) -> (Self, Option<String>) {
        const NAME: &str = "sec-websocket-extensions";

        match http {
            Http::One => {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut wire = Self::over(stream);
                let end = HANDSHAKE.len() - b"\r\n".len();
                let line = format!("{NAME}: {extensions}\r\n\r\n");
                wire.write([&HANDSHAKE[..end], line.as_bytes()].concat())
                    .await;
                let (status, headers) = wire.read_head().await;
                assert_eq!(status, 101, "{extensions}");
                let mut answers = headers
                    .iter()
                    .filter_map(|line| line.strip_prefix(NAME)?.strip_prefix(": "));
                let answer = answers.next().map(str::to_owned);
                assert_eq!(answers.next(), None, "{extensions}");
                (wire, answer)
            }
            Http::Two => {
                let mut request = extended_connect_request(address);
                let offer = extensions.parse().unwrap();
                request.headers_mut().insert(NAME, offer);
                let response = within(http2_request(address, request)).await;
                assert_eq!(response.status(), 200, "{extensions}");
                let mut answers = response.headers().get_all(NAME).iter();
                let answer = answers
                    .next()
                    .map(|answer| answer.to_str().unwrap().to_owned());
                assert_eq!(answers.next(), None, "{extensions}");
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                (Self::over(TokioIo::new(upgraded)), answer)
            }
        }
    }

    pub(crate) fn over(io: impl Io + 'static) -> Self {
        Self(BufReader::with_capacity(1024, Box::new(io)))
    }

    /// Writes while the server takes it.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within(self.0.write_all(bytes.as_ref())).await
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.unwrap();
        // The server may have taken this and ended the connection meanwhile.
        let _ = within(self.0.flush()).await;
    }

    /// Ends what the client sends, and reads on.
    pub(crate) async fn half_close(&mut self) {
        within(self.0.shutdown()).await.unwrap();
    }

    /// Reads the head of a response over HTTP/1.1; its status.
    pub(crate) async fn head(&mut self) -> u16 {
        self.read_head().await.0
    }

    /// The same, and its headers.
    async fn read_head(&mut self) -> (u16, Vec<String>) {
        let (mut status, mut headers) = (0, Vec::new());
        loop {
            let mut line = String::new();
            assert_ne!(within(self.0.read_line(&mut line)).await.unwrap(), 0);
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if line == "\r\n" {
                return (status, headers);
            }
            headers.push(line.trim_end().to_owned());
        }
    }

    /// The first byte and the payload of the next frame; `None` at an end in good order.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        match self.try_frame().await {
            Ok(frame) => frame,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same; an error at any other end.
    pub(crate) async fn try_frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        within(read_frame(&mut self.0)).await
    }

    /// A message goes and comes back.
    pub(crate) async fn echo(&mut self, payload: impl AsRef<[u8]>) {
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
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let body = match self.frame().await {
            Some((CLOSE, body)) => body,
            other => panic!("a Close was expected, not {other:?}"),
        };
        let end = self.frame().await;
        assert_eq!(end, None, "behind the Close");
        body
    }

    /// The same; the Close's code.
    pub(crate) async fn closed_with(&mut self) -> u16 {
        let body = self.closed().await;
        u16::from_be_bytes([body[0], body[1]])
    }
}
