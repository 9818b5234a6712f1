//! The transport of a socket: a bare TCP stream where there is one, whatever hyper gives otherwise.

mod tcp;

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

use self::tcp::Tcp;
use crate::pool;

/// The largest piece given to a transport that takes one at a time: HTTP/2's default frame size.
const MERGED: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) enum Io {
    Tcp(Tcp),
    /// HTTP/2, TLS, or a stream of the server's own.
    Hyper(TokioIo<Upgraded>),
}

impl Io {
    /// The transport under `upgraded`, and what was read from it already.
    pub(crate) fn new(upgraded: Upgraded) -> (Self, Bytes) {
        // hyper's own connections have the stream as it is, those of hyper-util's auto server one that rewinds.
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Self::Tcp(Tcp::new(parts.io.into_inner())), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => (Self::Tcp(Tcp::new(parts.io.into_inner())), parts.read_buf),
            Err(upgraded) => (Self::Hyper(TokioIo::new(upgraded)), Bytes::new()),
        }
    }
}

/// What the driver does. It writes outside of the task's cooperative budget: a busy endpoint must not starve it.
impl Io {
    /// Reads into the front of `buffer`; whether there is no more for now.
    ///
    /// On TCP that is known with the last bytes, so that it takes no further call to be woken by the next.
    #[inline(always)]
    pub(crate) fn poll_read_front(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> io::Result<Read> {
        match self {
            Self::Tcp(tcp) => tcp.read_front(cx, buffer),
            Self::Hyper(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(stream).poll_read(cx, &mut buffer);
                Read::from_poll(read.map_ok(|()| buffer.filled().len()))
            }
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => tcp.write(cx, bytes),
            Self::Hyper(stream) => write_hyper(stream, cx, bytes),
        }
    }

    #[inline(never)]
    pub(crate) fn write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => tcp.write_vectored(cx, slices),
            Self::Hyper(_) => outside_budget(cx, |cx| {
                Pin::new(&mut *self).poll_write_vectored(cx, slices)
            }),
        }
    }

    /// Hands on what TLS and HTTP/2 hold back.
    #[inline]
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Hyper(stream) => flush_hyper(stream, cx),
        }
    }

    /// Whether some of what was written has left, though the transport takes no more yet.
    pub(crate) fn take_progress(&mut self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.take_progress(),
            Self::Hyper(_) => false,
        }
    }

    pub(crate) fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside_budget(cx, |cx| Pin::new(&mut *self).poll_shutdown(cx))
    }
}

// Not inlined, to leave the registers to TCP.
#[inline(never)]
fn write_hyper(
    stream: &mut TokioIo<Upgraded>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    outside_budget(cx, |cx| Pin::new(&mut *stream).poll_write(cx, bytes))
}

#[inline(never)]
fn flush_hyper(stream: &mut TokioIo<Upgraded>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    outside_budget(cx, |cx| Pin::new(&mut *stream).poll_flush(cx))
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) bytes: usize,
    /// The task is woken when there is more.
    pub(crate) blocked: bool,
}

impl Read {
    pub(crate) fn from_poll(read: Poll<io::Result<usize>>) -> io::Result<Self> {
        Ok(match read {
            Poll::Ready(bytes) => Self {
                bytes: bytes?,
                blocked: false,
            },
            Poll::Pending => Self {
                bytes: 0,
                blocked: true,
            },
        })
    }

    /// Whether there will be no more.
    pub(crate) fn is_end(self) -> bool {
        self.bytes == 0 && !self.blocked
    }
}

/// Polls `f` outside of the task's cooperative budget.
pub(crate) fn outside_budget<R>(
    cx: &mut Context<'_>,
    f: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    pin!(unconstrained(poll_fn(f))).poll(cx)
}

/// The endpoint's side of a raw connection.
impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp.stream()).poll_read(cx, buffer),
            Self::Hyper(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp.stream()).poll_write(cx, bytes),
            Self::Hyper(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp.stream()).poll_write_vectored(cx, slices),
            Self::Hyper(stream) if stream.is_write_vectored() => {
                Pin::new(stream).poll_write_vectored(cx, slices)
            }
            Self::Hyper(stream) => merged(slices, |bytes| Pin::new(stream).poll_write(cx, bytes)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp.stream()).poll_flush(cx),
            Self::Hyper(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp.stream()).poll_shutdown(cx),
            Self::Hyper(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Writes the beginning of `slices` as one piece: a header and its payload, or many small frames, in one HTTP/2 frame.
fn merged<R>(slices: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> R) -> R {
    match slices {
        [first, ..] if first.len() >= MERGED => write(&first[..MERGED]),
        [only] => write(only),
        _ => {
            let mut scratch = pool::take_scratch();
            let mut len = 0;
            for slice in slices {
                let taken = slice.len().min(MERGED - len);
                scratch[len..len + taken].copy_from_slice(&slice[..taken]);
                len += taken;
            }
            let written = write(&scratch[..len]);
            pool::put_scratch(scratch);
            written
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_merged_up_to_a_frame() {
        let large = vec![7; MERGED];
        for (slices, expected) in [
            (vec![&b"only"[..]], b"only".to_vec()),
            (vec![b"head", b"", b"er"], b"header".to_vec()),
            (vec![&large[..], b"rest"], large.clone()),
            (vec![b"header", &large], [b"header", &large[6..]].concat()),
        ] {
            let slices: Vec<_> = slices.into_iter().map(IoSlice::new).collect();
            assert_eq!(merged(&slices, <[u8]>::to_vec), expected);
        }
    }
}
