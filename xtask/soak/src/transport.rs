//! The two halves of a connection: TCP, or a stream of HTTP/2 by h2 itself, as hyper's client would hide how it ends.

use std::future::poll_fn;
use std::io;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How much is read at a time.
const READ: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(OwnedReadHalf),
    Stream(RecvStream),
}

#[derive(Debug)]
pub(crate) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    Stream(SendStream<Bytes>),
}

/// Both halves of TCP.
pub(crate) fn tcp(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    let (read, write) = stream.into_split();
    (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
}

/// An error of h2 as one of IO.
pub(crate) fn io_error(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

impl ReadHalf {
    /// Appends what has come; 0 at the end. Nothing is lost when the future is dropped.
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => {
                buffer.reserve(READ);
                tcp.read_buf(buffer).await
            }
            Self::Stream(stream) => {
                let Some(data) = stream.data().await.transpose().map_err(io_error)? else {
                    return Ok(0);
                };
                let window = stream.flow_control();
                window.release_capacity(data.len()).map_err(io_error)?;
                buffer.extend_from_slice(&data);
                Ok(data.len())
            }
        }
    }
}

impl WriteHalf {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.write_all(bytes).await,
            Self::Stream(stream) => {
                let mut rest = Bytes::copy_from_slice(bytes);
                while !rest.is_empty() {
                    stream.reserve_capacity(rest.len());
                    let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
                    let room = room.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io_error)?;
                    let now = rest.split_to(room.min(rest.len()));
                    stream.send_data(now, false).map_err(io_error)?;
                }
                Ok(())
            }
        }
    }

    /// Nothing more will be written.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.shutdown().await,
            Self::Stream(stream) => stream.send_data(Bytes::new(), true).map_err(io_error),
        }
    }

    /// Ends the connection by a RST, the stream by a RST_STREAM, once the other half is dropped.
    pub(crate) fn reset(self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => {
                tcp.as_ref().set_zero_linger()?;
                tcp.forget();
            }
            Self::Stream(mut stream) => stream.send_reset(Reason::CANCEL),
        }
        Ok(())
    }

    /// Ends the connection as a process that ends does: a RST where data is unread, else a FIN. A stream is reset.
    pub(crate) fn abandon(self) {
        if let Self::Tcp(tcp) = self {
            tcp.forget();
        }
    }
}
