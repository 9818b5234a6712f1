//! The sockets of one HTTP/2 connection, by h2 itself: hyper's client would hide how a stream ends.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::within;
use crate::wire::{BINARY, frame};

pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
    pub(crate) task: JoinHandle<Result<(), h2::Error>>,
}

/// The client's end of a stream.
pub(crate) struct Stream {
    pub(crate) send: SendStream<Bytes>,
    recv: RecvStream,
    /// What came behind the frame that was read last.
    rest: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // Streams that are not read, of 64 KiB each, take nothing from the others.
        let handshake = Builder::new()
            .initial_connection_window_size(16 * 1024 * 1024)
            .handshake(stream);
        let (requests, connection) = within(handshake).await.unwrap();
        let task = tokio::spawn(connection);
        Self {
            requests,
            address,
            task,
        }
    }

    /// Asks for a socket.
    pub(crate) async fn request(&mut self) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/ws", self.address))
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        within(poll_fn(|cx| self.requests.poll_ready(cx)))
            .await
            .unwrap();
        self.requests.send_request(request, false).unwrap()
    }

    pub(crate) async fn socket(&mut self) -> Stream {
        let (response, send) = self.request().await;
        let response = within(response).await.unwrap();
        assert_eq!(response.status(), 200);
        Stream {
            send,
            recv: response.into_body(),
            rest: Vec::new(),
        }
    }
}

impl Stream {
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.send.send_data(bytes, false).unwrap();
    }

    /// The client sends no more.
    pub(crate) fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).unwrap();
    }

    /// The next frame, of at most 125 bytes; `None` at END_STREAM, an error at a reset.
    pub(crate) async fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, h2::Error> {
        loop {
            if let [first, length, rest @ ..] = &*self.rest {
                let length = usize::from(*length);
                assert!(length <= 125);
                if let Some((payload, rest)) = rest.split_at_checked(length) {
                    let frame = (*first, payload.to_vec());
                    self.rest = rest.to_vec();
                    return Ok(Some(frame));
                }
            }
            match within(self.recv.data()).await.transpose()? {
                Some(data) => {
                    let _ = self.recv.flow_control().release_capacity(data.len());
                    self.rest.extend(data);
                }
                None => {
                    assert_eq!(self.rest, b"", "the end within a frame");
                    return Ok(None);
                }
            }
        }
    }

    pub(crate) async fn echo(&mut self, payload: &str) {
        self.write(frame(BINARY, payload));
        let echoed = self.frame().await.unwrap();
        assert_eq!(echoed, Some((BINARY, payload.into())));
    }

    /// The RST_STREAM that has come, if one has.
    pub(crate) fn reset(&mut self) -> Option<Result<Reason, h2::Error>> {
        poll_fn(|cx| self.send.poll_reset(cx)).now_or_never()
    }
}
