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

/// How much of a long frame. The kernel ends a write at its limit though there is room again at once, and takes such a
/// frame in two or three writes instead of one. A ping could not overtake a frame that has begun.
const HIGH: u32 = if cfg!(any(target_os = "android", target_os = "linux")) {
    1024 * 1024
} else {
    LOW
};

/// A frame's payload is long above this: below it pays nothing.
const LONG: usize = 256 * 1024;

/// What waits behind a long frame is told of progress whenever so much less of it is unsent, as the kernel tells of room at
/// its lower limit.
const STEP: u32 = LOW / 2;

#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    /// Its `TCP_NOTSENT_LOWAT`.
    lowat: u32,
    unsent: Unsent,
    /// It was seen to hold less than before, though it takes no more yet.
    progress: bool,
}

/// How much the kernel holds unsent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    /// At most [`LOW`].
    Low,
    /// Something long was written: at most `limit`, and at most so much.
    High { limit: u32, at_most: u32 },
    /// Then it took no more, and is asked to say when there is less than this.
    Falling { below: u32 },
}

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        // It only saves time; a socket works without.
        let _ = stream.set_nodelay(true);
        set_lowat(&stream, LOW);
        Self {
            stream,
            lowat: LOW,
            unsent: Unsent::Low,
            progress: false,
        }
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
        self.write_record(false, cx, &[IoSlice::new(bytes)])
    }

    pub(super) fn write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What is behind it waits until little is unsent.
        if let Some(long) = slices.iter().rposition(|slice| slice.len() > LONG) {
            return self.write_record(true, cx, &slices[..=long]);
        }
        if self.unsent == Unsent::Low {
            return write(&self.stream, cx, |stream| stream.try_write_vectored(slices));
        }
        self.write_record(false, cx, slices)
    }

    /// Writes something long, or what comes behind that.
    #[inline(never)]
    fn write_record(
        &mut self,
        is_long: bool,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(outside_budget(cx, |cx| self.stream.poll_write_ready(cx)))?;
            let limit = match self.unsent {
                Unsent::Low if is_long => high(&self.stream),
                Unsent::High { limit, .. } if is_long => limit,
                _ => LOW,
            };
            self.set_lowat(limit);
            match write_record(&self.stream, slices) {
                Ok(written) => {
                    self.unsent = self.unsent.after(written, limit);
                    self.progress = false;
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let before = self.unsent;
                    self.unsent = before.blocked();
                    // That there is less is why it was asked again.
                    self.progress |=
                        matches!(before, Unsent::Falling { .. }) && before != self.unsent;
                    self.set_lowat(self.unsent.lowat());
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sets the kernel's limit if it is another one: that alone may wake the task.
    fn set_lowat(&mut self, bytes: u32) {
        if mem::replace(&mut self.lowat, bytes) != bytes {
            set_lowat(&self.stream, bytes);
        }
    }

    /// Whether there is less unsent than before, though the kernel takes no more yet.
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
        Self::High { limit, at_most }
    }

    /// It takes nothing, and is to tell when it holds a step less.
    fn blocked(self) -> Self {
        let below = self.at_most().saturating_sub(STEP).max(LOW);
        Self::Falling { below }
    }

    fn at_most(self) -> u32 {
        match self {
            Self::Low => LOW,
            Self::High { at_most, .. } => at_most,
            Self::Falling { below } => below,
        }
    }

    /// The kernel's limit between two writes. It wakes a task when it holds less than half of that.
    fn lowat(self) -> u32 {
        match self {
            Self::Low | Self::Falling { below: LOW } => LOW,
            Self::High { limit, .. } => limit,
            Self::Falling { below } => 2 * below,
        }
    }
}

/// As much of the kernel's buffer as it tells of: beyond two thirds it waits for those to be free.
fn high(stream: &TcpStream) -> u32 {
    let buffer = SockRef::from(stream).send_buffer_size().unwrap_or(0);
    let limit = u32::try_from(buffer / 5 * 2).unwrap_or(HIGH);
    limit.clamp(LOW, HIGH)
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
    use tokio::net::TcpSocket;

    use super::*;

    /// A stream, and a peer that has little room for what is not read.
    async fn connected(send_buffer: Option<u32>) -> (Tcp, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = send_buffer {
            // Those that are accepted inherit it.
            socket.set_send_buffer_size(size).unwrap();
        }
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
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

    /// The peer reads until `len` more bytes are taken: how much it had read each time that there was progress, and in all.
    async fn steps(tcp: &mut Tcp, peer: &mut TcpStream, len: usize) -> (Vec<usize>, usize) {
        let (mut steps, mut read) = (Vec::new(), 0);
        let mut buffer = vec![0; 8 * 1024];
        while write(tcp, len).await.is_pending() {
            if tcp.take_progress() {
                steps.push(read);
            }
            read += peer.read(&mut buffer).await.unwrap();
            tokio::task::yield_now().await;
        }
        (steps, read)
    }

    fn widest(steps: &[usize]) -> usize {
        let apart = steps.windows(2).map(|two| two[1] - two[0]);
        apart.max().unwrap()
    }

    fn lowat(tcp: &Tcp) -> u32 {
        let socket = SockRef::from(&tcp.stream);
        socket.tcp_notsent_lowat().unwrap()
    }

    #[tokio::test]
    async fn what_is_short_never_fills_the_kernel() {
        let (mut tcp, _peer) = connected(None).await;
        let total = fill(&mut tcp, 10_000).await;
        assert!(total < 400_000, "{total}");
        assert_eq!((tcp.unsent, lowat(&tcp)), (Unsent::Low, LOW));
        assert!(!tcp.take_progress());
    }

    #[tokio::test]
    async fn what_is_long_goes_in_one_piece_and_nothing_short_behind_it() {
        let (mut tcp, mut peer) = connected(None).await;
        let message = 700_000;
        assert_eq!(write(&mut tcp, message).await, Poll::Ready(message));
        assert_eq!(lowat(&tcp), HIGH);
        assert!(write(&mut tcp, 10).await.is_pending());
        let Unsent::Falling { below } = tcp.unsent else {
            panic!("{:?}", tcp.unsent);
        };
        assert!(below < LOW + 700_000);
        assert!(!tcp.take_progress(), "nothing was read yet");

        let (steps, read) = steps(&mut tcp, &mut peer, 10).await;
        assert_eq!((tcp.unsent, lowat(&tcp)), (Unsent::Low, LOW));
        assert!(steps.len() >= 8, "{steps:?}");
        assert!(widest(&steps) <= 3 * STEP as usize, "{steps:?}");
        assert!(message - read < 2 * LOW as usize, "{read}");
        assert!(!tcp.take_progress(), "told once");
    }

    #[tokio::test]
    async fn what_is_behind_a_long_piece_is_not_written_with_it() {
        let (mut tcp, _peer) = connected(None).await;
        let (long, short) = (vec![7; 270_000], [7; 10]);
        let pieces = [&short[..], &long, &short, &long, &short].map(IoSlice::new);
        let written = poll_fn(|cx| tcp.write_vectored(cx, &pieces)).await;
        assert_eq!(written.unwrap(), 540_020);
    }

    /// The kernel's buffer is about as large as what is written: it wakes nobody before a third of it is free.
    #[tokio::test]
    async fn steps_are_told_of_however_large_the_buffer_is() {
        for size in [150_000, 300_000, 600_000] {
            let (mut tcp, mut peer) = connected(Some(size)).await;
            fill(&mut tcp, 1_000_000).await;
            let (mut steps, read) = steps(&mut tcp, &mut peer, 1_000_000).await;
            steps.insert(0, 0);
            steps.push(read);
            assert!(widest(&steps) <= 3 * STEP as usize, "{size}: {steps:?}");
        }
    }

    #[test]
    fn a_refused_write_changes_no_limit_for_nothing() {
        let blocked = Unsent::Low.blocked();
        assert_eq!(
            (blocked, blocked.lowat()),
            (Unsent::Falling { below: LOW }, LOW)
        );
        assert_eq!(blocked.blocked(), blocked);
        assert_eq!(blocked.after(1, LOW), Unsent::Low);
    }

    #[tokio::test]
    async fn a_reset_is_an_error() {
        let (mut tcp, peer) = connected(None).await;
        fill(&mut tcp, 1_000_000).await;
        // With unread bytes that is a reset.
        drop(peer);
        let bytes = vec![7; 1_000_000];
        let written = poll_fn(|cx| tcp.write_vectored(cx, &[IoSlice::new(&bytes)])).await;
        assert!(written.is_err());
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_all_that_is_long() {
        let (mut tcp, mut peer) = connected(None).await;
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
