//! A bare TCP stream, and how much of what was written to it the kernel holds unsent.

use std::io::{self, IoSlice, Read as _};
use std::mem;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Read, outside_budget};

/// How much the kernel takes that it has not sent: more only delays a ping behind it.
const LOW: u32 = 64 * 1024;

/// How much of a long frame, which a ping could not overtake anyway once it has begun. The kernel ends a write at its
/// limit though there is room again at once, and takes such a frame in two or three writes instead of one.
const HIGH: u32 = if cfg!(any(target_os = "android", target_os = "linux")) {
    1024 * 1024
} else {
    LOW
};

/// A frame's payload is long above this: below it pays nothing.
const LONG: usize = 256 * 1024;

/// What waits behind a long frame is told of progress whenever so much less of it is unsent.
const STEP: u32 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    unsent: Unsent,
    /// It was seen to hold less than before, though it takes no more yet.
    progress: bool,
}

/// How much the kernel holds unsent, and with that its `TCP_NOTSENT_LOWAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    /// At most [`LOW`], or the kernel is asked to say when.
    Low,
    /// Something long was written: at most [`HIGH`], and at most so much.
    High { at_most: u32 },
    /// Then it took no more, and is asked to say when there is less than this.
    Falling { below: u32 },
}

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        // It only saves time; a socket works without.
        let _ = stream.set_nodelay(true);
        let tcp = Self {
            stream,
            unsent: Unsent::Low,
            progress: false,
        };
        set_lowat(&tcp.stream, LOW);
        tcp
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads into the front of `buffer`; whether there is no more for now.
    ///
    /// That is known with the last bytes, so that it takes no further call to be woken by the next.
    #[inline(always)]
    pub(super) fn read_front(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> io::Result<Read> {
        let stream = &self.stream;
        let len = buffer.len();
        loop {
            let read = try_read(stream, len, || (&*SockRef::from(stream)).read(buffer))?;
            let bytes = read.unwrap_or(0);
            let is_short = 0 < bytes && bytes < len;
            if read.is_some() && !is_short {
                return Ok(Read {
                    bytes,
                    blocked: false,
                });
            }
            let blocked = stream.poll_read_ready(cx)?.is_pending();
            if is_short || blocked {
                return Ok(Read { bytes, blocked });
            }
        }
    }

    #[inline]
    pub(super) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent == Unsent::Low {
            return write(&self.stream, cx, |stream| stream.try_write(bytes));
        }
        self.write_within(LOW, cx, &[IoSlice::new(bytes)])
    }

    pub(super) fn write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What is behind it waits until little is unsent.
        if let Some(long) = slices.iter().rposition(|slice| slice.len() > LONG) {
            return self.write_within(HIGH, cx, &slices[..=long]);
        }
        if self.unsent == Unsent::Low {
            return write(&self.stream, cx, |stream| stream.try_write_vectored(slices));
        }
        self.write_within(LOW, cx, slices)
    }

    /// Writes as long as the kernel holds less than `limit`: something long, or what comes behind that.
    #[inline(never)]
    fn write_within(
        &mut self,
        limit: u32,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(outside_budget(cx, |cx| self.stream.poll_write_ready(cx)))?;
            let is_falling = matches!(self.unsent, Unsent::Falling { .. });
            let limit = if is_falling { LOW } else { limit };
            if limit != self.unsent.lowat() {
                set_lowat(&self.stream, limit);
            }
            match write_record(&self.stream, slices) {
                Ok(written) => {
                    self.unsent = self.unsent.after(written, limit);
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // That it holds less is why it was asked again.
                    self.progress |= is_falling;
                    self.unsent = self.unsent.blocked();
                    set_lowat(&self.stream, self.unsent.lowat());
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    pub(super) fn take_progress(&mut self) -> bool {
        mem::take(&mut self.progress)
    }
}

impl Unsent {
    /// The kernel took so much, as it does within `limit`.
    fn after(self, written: usize, limit: u32) -> Self {
        if limit == LOW {
            return Self::Low;
        }
        let written = u32::try_from(written).unwrap_or(limit);
        let at_most = limit.min(self.at_most().saturating_add(written));
        Self::High { at_most }
    }

    /// It takes nothing, and is to tell when it holds a step less.
    fn blocked(self) -> Self {
        let below = self.at_most().saturating_sub(STEP);
        if below > LOW {
            Self::Falling { below }
        } else {
            Self::Low
        }
    }

    fn at_most(self) -> u32 {
        match self {
            Self::Low => LOW,
            Self::High { at_most } => at_most,
            Self::Falling { below } => below,
        }
    }

    /// The kernel's limit between two writes. It wakes a task when it holds less than half of that.
    fn lowat(self) -> u32 {
        match self {
            Self::Low => LOW,
            Self::High { .. } => HIGH,
            Self::Falling { below } => 2 * below,
        }
    }
}

/// Calls the kernel, unless it has nothing to read, for up to `len` bytes; how many that were.
///
/// Asking first to be woken, as `poll_read` does, is most of its work. As there, fewer bytes than `len` show that the
/// kernel has no more: it is not called once more to say so.
#[inline(always)]
fn try_read(
    stream: &TcpStream,
    len: usize,
    read: impl FnOnce() -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    let mut bytes = None;
    let called = stream.try_io(Interest::READABLE, || {
        let filled = read()?;
        bytes = Some(filled);
        if 0 < filled && filled < len {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match (bytes, called) {
        (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(bytes),
    }
}

/// As with reading, the kernel is asked first. A short write is followed by another, which finds out whether there is room.
#[inline]
fn write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        match write(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(stream.poll_write_ready(cx))?;
            }
            written => return Poll::Ready(written),
        }
    }
}

/// Writes so that the kernel puts nothing else into the last segment: there it would take more without a look at its limit.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn write_record(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = libc::MSG_EOR | libc::MSG_NOSIGNAL;
    stream.try_io(Interest::WRITABLE, || {
        SockRef::from(stream).send_vectored_with_flags(slices, flags)
    })
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn write_record(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.try_write_vectored(slices)
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn set_lowat(stream: &TcpStream, bytes: u32) {
    // It only saves time; a socket works without.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(bytes);
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn set_lowat(_: &TcpStream, _: u32) {}

#[cfg(test)]
#[cfg(any(target_os = "android", target_os = "linux"))]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A stream, and a peer that has little room for what is not read.
    async fn connected() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpSocket::new_v4().unwrap();
        peer.set_recv_buffer_size(32 * 1024).unwrap();
        let connect = peer.connect(listener.local_addr().unwrap());
        let (peer, accepted) = tokio::join!(connect, listener.accept());
        (Tcp::new(accepted.unwrap().0), peer.unwrap())
    }

    /// What the transport takes of `len` bytes at once, and whether that is all for now.
    async fn write(tcp: &mut Tcp, len: usize) -> Poll<usize> {
        let bytes = vec![7; len];
        poll_fn(|cx| {
            let written = tcp.write_vectored(cx, &[IoSlice::new(&bytes)]);
            Poll::Ready(written.map(Result::unwrap))
        })
        .await
    }

    async fn fill(tcp: &mut Tcp, len: usize) -> usize {
        let mut total = 0;
        while let Poll::Ready(written) = write(tcp, len).await {
            total += written;
        }
        total
    }

    fn lowat(tcp: &Tcp) -> u32 {
        let socket = SockRef::from(&tcp.stream);
        socket.tcp_notsent_lowat().unwrap()
    }

    #[tokio::test]
    async fn what_is_short_never_fills_the_kernel() {
        let (mut tcp, _peer) = connected().await;
        let total = fill(&mut tcp, 10_000).await;
        assert!(total < 400_000, "{total}");
        assert_eq!((tcp.unsent, lowat(&tcp)), (Unsent::Low, LOW));
        assert!(!tcp.take_progress());
    }

    #[tokio::test]
    async fn what_is_long_goes_in_one_piece_and_nothing_short_behind_it() {
        let (mut tcp, mut peer) = connected().await;
        let message = 700_000;
        assert_eq!(write(&mut tcp, message).await, Poll::Ready(message));
        assert_eq!(lowat(&tcp), HIGH);
        assert!(write(&mut tcp, 10).await.is_pending());
        let Unsent::Falling { below } = tcp.unsent else {
            panic!("{:?}", tcp.unsent);
        };
        assert!(below < LOW + 700_000);
        assert!(!tcp.take_progress(), "nothing was read yet");

        // The peer reads some, and each time that it was a step there is progress.
        let (mut read, mut steps) = (0, Vec::new());
        let mut buffer = vec![0; 8 * 1024];
        while write(&mut tcp, 10).await.is_pending() {
            if tcp.take_progress() {
                steps.push(read);
            }
            read += peer.read(&mut buffer).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!((tcp.unsent, lowat(&tcp)), (Unsent::Low, LOW));
        assert!(steps.len() >= 8, "{steps:?}");
        let apart = steps.windows(2).map(|two| two[1] - two[0]);
        assert!(apart.max().unwrap() <= 3 * STEP as usize, "{steps:?}");
        assert!(message - read < 2 * LOW as usize, "{read}");
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_all_that_is_long() {
        let (mut tcp, mut peer) = connected().await;
        let total = 20_000_000;
        let read = tokio::spawn(async move {
            let mut buffer = vec![0; 8 * 1024];
            let mut read = 0;
            while read < total {
                read += peer.read(&mut buffer).await.unwrap();
            }
        });
        let bytes = vec![7; total];
        let mut written = 0;
        while written < total {
            let written_now =
                poll_fn(|cx| tcp.write_vectored(cx, &[IoSlice::new(&bytes[written..])])).await;
            written += written_now.unwrap();
        }
        read.await.unwrap();
    }
}
