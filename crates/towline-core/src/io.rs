//! The transport of a socket: a bare TCP stream where there is one, whatever hyper gives otherwise.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;

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
            Self::Tcp(stream) => {
                let len = buffer.len();
                loop {
                    let read =
                        transfer(stream, Interest::READABLE, len, || stream.try_read(buffer))?;
                    if read == Some(len) || read == Some(0) {
                        return Ok(Read {
                            bytes: read,
                            blocked: false,
                        });
                    }
                    let blocked = stream.poll_read_ready(cx)?.is_pending();
                    if blocked || read.is_some() {
                        return Ok(Read {
                            bytes: read,
                            blocked,
                        });
                    }
                }
            }
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
            Self::Tcp(stream) => write_tcp(stream, cx, bytes.len(), || stream.try_write(bytes)),
            Self::Hyper(_) => outside_budget(cx, |cx| Pin::new(&mut *self).poll_write(cx, bytes)),
        }
    }

    pub(crate) fn write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => {
                let len = slices.iter().map(|slice| slice.len()).sum();
                write_tcp(stream, cx, len, || stream.try_write_vectored(slices))
            }
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
            Self::Hyper(stream) => outside_budget(cx, |cx| Pin::new(&mut *stream).poll_flush(cx)),
        }
    }

    pub(crate) fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside_budget(cx, |cx| Pin::new(&mut *self).poll_shutdown(cx))
    }
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// How many bytes; none at all at the end.
    pub(crate) bytes: Option<usize>,
    /// The task is woken when there is more.
    pub(crate) blocked: bool,
}

impl Read {
    pub(crate) fn from_poll(read: Poll<io::Result<usize>>) -> io::Result<Self> {
        Ok(match read {
            Poll::Ready(bytes) => Self {
                bytes: Some(bytes?),
                blocked: false,
            },
            Poll::Pending => Self {
                bytes: None,
                blocked: true,
            },
        })
    }
}

/// Calls the kernel, unless it has nothing to do, to read or to write up to `len` bytes; how many that were.
///
/// Asking first to be woken, as `poll_read` and `poll_write` do, is most of their work. As there, fewer bytes than `len`
/// show that the kernel has no more bytes, or no more room: it is not called once more to say so.
#[inline(always)]
fn transfer(
    stream: &TcpStream,
    interest: Interest,
    len: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    let mut moved = None;
    let called = stream.try_io(interest, || {
        let bytes = call()?;
        moved = Some(bytes);
        if 0 < bytes && bytes < len {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match (moved, called) {
        (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(moved),
    }
}

#[inline]
fn write_tcp(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    len: usize,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        if let Some(written) = transfer(stream, Interest::WRITABLE, len, &mut call)? {
            return Poll::Ready(Ok(written));
        }
        ready!(stream.poll_write_ready(cx))?;
    }
}

/// Polls `f` outside of the task's cooperative budget.
pub(crate) fn outside_budget<R>(
    cx: &mut Context<'_>,
    f: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    pin!(unconstrained(poll_fn(f))).poll(cx)
}

/// What an endpoint does that speaks over a connection which was lent to it.
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
