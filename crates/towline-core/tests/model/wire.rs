//! A connection in memory, and its peer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use loom::sync::Mutex;
use towline_core::Opcode;

const HEAD: &[u8] =
    b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-extensions: permessage-deflate\r\n\r\n";

/// More than all frames of a model.
const PLENTY: usize = 1 << 30;

/// The server's end.
pub(crate) struct Io(Arc<Mutex<Wire>>);

/// The client's end. It answers pings and the Close as soon as they are written.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Mutex<Wire>>);

#[derive(Default)]
struct Wire {
    /// The bytes that the server has not read.
    input: VecDeque<u8>,
    input_ended: bool,
    reader: Option<Waker>,
    /// The handshake is over.
    is_open: bool,
    /// The bytes that the server has written and that are not a whole frame yet.
    output: Vec<u8>,
    /// How many bytes the transport takes now.
    room: usize,
    writer: Option<Waker>,
    is_flush_blocked: bool,
    flusher: Option<Waker>,
    /// How many messages are written, as a whole.
    messages: usize,
    unflushed: usize,
    is_closed: bool,
    watcher: Option<Waker>,
}

/// A connection on which a handshake has come.
pub(crate) fn connect() -> (Io, Peer) {
    let wire = Wire {
        input: HEAD.iter().copied().collect(),
        room: PLENTY,
        ..Wire::default()
    };
    let wire = Arc::new(Mutex::new(wire));
    (Io(Arc::clone(&wire)), Peer(wire))
}

impl Peer {
    fn with<R>(&self, f: impl FnOnce(&mut Wire) -> R) -> R {
        with(&self.0, f)
    }

    /// The bytes that the server has written so far are its response; frames follow.
    pub(crate) fn open(&self) {
        self.with(|wire| {
            wire.output.clear();
            wire.is_open = true;
        });
    }

    pub(crate) fn send(&self, payload: &str) {
        self.with(|wire| wire.receive(Opcode::Text, payload.as_bytes()));
    }

    pub(crate) fn ping(&self) {
        self.with(|wire| wire.receive(Opcode::Ping, b""));
    }

    pub(crate) fn close(&self) {
        self.with(|wire| wire.receive(Opcode::Close, &1000u16.to_be_bytes()));
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&self) {
        self.with(|wire| wire.input_ended = true);
    }

    /// From here on no byte is taken.
    pub(crate) fn stop_reading(&self) {
        self.with(|wire| wire.room = 0);
    }

    /// Takes so many bytes.
    pub(crate) fn read(&self, bytes: usize) {
        self.with(|wire| wire.room += bytes);
    }

    pub(crate) fn read_on(&self) {
        self.read(PLENTY);
    }

    pub(crate) fn block_flush(&self) {
        self.with(|wire| wire.is_flush_blocked = true);
    }

    pub(crate) fn unblock_flush(&self) {
        self.with(|wire| wire.is_flush_blocked = false);
    }

    /// Waits until so many messages are written and flushed.
    pub(crate) async fn gets(&self, messages: usize) {
        poll_fn(|cx| {
            self.with(|wire| {
                if wire.messages - wire.unflushed >= messages {
                    return Poll::Ready(());
                }
                wire.watcher = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }

    /// How many messages are written and flushed.
    pub(crate) fn messages(&self) -> usize {
        self.with(|wire| wire.messages - wire.unflushed)
    }
}

/// Calls the wakers of what has changed, when the lock is released.
fn with<R>(wire: &Mutex<Wire>, f: impl FnOnce(&mut Wire) -> R) -> R {
    let mut wire = wire.lock().unwrap();
    let before = wire.messages - wire.unflushed;
    let result = f(&mut wire);
    let readable = !wire.input.is_empty() || wire.input_ended;
    let woken = [
        wire.reader.take_if(|_| readable),
        (wire.room > 0).then(|| wire.writer.take()).flatten(),
        (!wire.is_flush_blocked)
            .then(|| wire.flusher.take())
            .flatten(),
        (wire.messages - wire.unflushed > before)
            .then(|| wire.watcher.take())
            .flatten(),
    ];
    drop(wire);
    woken.into_iter().flatten().for_each(Waker::wake);
    result
}

impl Wire {
    /// The peer sends a frame.
    fn receive(&mut self, opcode: Opcode, payload: &[u8]) {
        self.input.push_back(0x80 | opcode as u8);
        let len = u16::try_from(payload.len()).expect("a length of two bytes");
        if len < 126 {
            self.input.push_back(0x80 | len as u8);
        } else {
            self.input.push_back(0x80 | 126);
            self.input.extend(&len.to_be_bytes());
        }
        // A masking key that changes nothing.
        self.input.extend(&[0; 4]);
        self.input.extend(payload);
    }

    /// The peer sees the frames that are whole.
    fn see(&mut self) {
        while self.is_open
            && let Some((first, payload, len)) = frame(&self.output)
        {
            let payload = payload.to_vec();
            match first & 0x0F {
                0x8 if !mem::replace(&mut self.is_closed, true) => {
                    self.receive(Opcode::Close, &payload);
                    self.input_ended = true;
                }
                0x9 => self.receive(Opcode::Pong, &payload),
                0x0..=0x2 if first & 0x80 != 0 => {
                    self.messages += 1;
                    self.unflushed += 1;
                }
                _ => {}
            }
            self.output.drain(..len);
        }
    }
}

/// The first frame if it is whole: its first octet, its payload and its length with the header. A server masks nothing.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, len], rest) = bytes.split_first_chunk()?;
    let (header, len) = match len {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(),
        ),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(header..header + len)?;
    Some((first, payload, header + len))
}

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        with(&self.0, |wire| {
            if wire.input.is_empty() && !wire.input_ended {
                wire.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let (front, _) = wire.input.as_slices();
            let len = buffer.remaining().min(front.len());
            buffer.put_slice(&front[..len]);
            wire.input.drain(..len);
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        with(&self.0, |wire| {
            if wire.room == 0 {
                wire.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let len = bytes.len().min(wire.room);
            wire.room -= len;
            wire.output.extend_from_slice(&bytes[..len]);
            wire.see();
            Poll::Ready(Ok(len))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with(&self.0, |wire| {
            if wire.is_flush_blocked {
                wire.flusher = Some(cx.waker().clone());
                return Poll::Pending;
            }
            wire.unflushed = 0;
            Poll::Ready(Ok(()))
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
