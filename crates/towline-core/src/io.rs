//! The transport of a socket: a bare TCP stream where there is one, whatever hyper gives otherwise.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pool;

/// How much the kernel takes that it has not sent: more only delays a ping behind it.
#[cfg(any(target_os = "android", target_os = "linux"))]
const NOTSENT_LOWAT: u32 = 64 * 1024;

/// The largest piece given to a transport that takes one at a time: HTTP/2's default frame size.
const MERGED: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) enum Io {
    Tcp(TcpStream),
    /// HTTP/2, TLS, or a stream of the server's own.
    Hyper(TokioIo<Upgraded>),
}

impl Io {
    /// The transport under `upgraded`, and what was read from it already.
    pub(crate) fn new(upgraded: Upgraded) -> (Self, Bytes) {
        // hyper's own connections have the stream as it is, those of hyper-util's auto server one that rewinds.
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Self::tcp(parts.io), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => (Self::tcp(parts.io), parts.read_buf),
            Err(upgraded) => (Self::Hyper(TokioIo::new(upgraded)), Bytes::new()),
        }
    }

    fn tcp(io: TokioIo<TcpStream>) -> Self {
        let stream = io.into_inner();
        // Both only save time; a socket works without.
        let _ = stream.set_nodelay(true);
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOTSENT_LOWAT);
        Self::Tcp(stream)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
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
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Hyper(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
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
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Hyper(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Hyper(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Writes the beginning of `slices` as one piece: a header and its payload, or many small frames, in one HTTP/2 frame.
fn merged<R>(slices: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> R) -> R {
    match slices {
        [first, ..] if first.len() >= MERGED => write(&first[..MERGED]),
        [only] => write(only),
        _ => pool::with_scratch(|scratch| {
            let mut len = 0;
            for slice in slices {
                let taken = slice.len().min(MERGED - len);
                scratch[len..len + taken].copy_from_slice(&slice[..taken]);
                len += taken;
            }
            write(&scratch[..len])
        }),
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
