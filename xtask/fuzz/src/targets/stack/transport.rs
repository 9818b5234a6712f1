//! The transport: bytes in memory, as slow and as torn as the plan says.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::plan::millis;
use super::wire::ReadEnd;
use super::world::World;

/// The server's end.
#[derive(Debug)]
pub(crate) struct Io {
    world: World,
    flushing: Option<Pin<Box<Sleep>>>,
    shutting_down: Option<Pin<Box<Sleep>>>,
}

impl Io {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world,
            flushing: None,
            shutting_down: None,
        }
    }

    fn write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let replaced;
        let result = {
            let mut state = self.world.lock();
            let state = &mut *state;
            if state.wire.writes_fail {
                let now = Instant::now();
                state.wire.write_failed.get_or_insert(now);
                state.progress("a failed write");
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let len: usize = slices.iter().map(|slice| slice.len()).sum();
            let chunk = cycled(&state.settings.writes, &mut state.wire.writes);
            let most = len.min(chunk).min(state.wire.credit.unwrap_or(usize::MAX));
            if most == 0 && len > 0 {
                replaced = state.wire.writer.replace(cx.waker().clone());
                state.reached("blocked write");
                Poll::Pending
            } else {
                replaced = None;
                let mut left = most;
                for slice in slices {
                    let piece = &slice[..left.min(slice.len())];
                    state.output.push(piece);
                    left -= piece.len();
                }
                if let Some(credit) = &mut state.wire.credit {
                    *credit -= most;
                }
                state.wire.unflushed = true;
                state.peer_took();
                state.output_changed();
                Poll::Ready(Ok(most))
            }
        };
        drop(replaced);
        self.world.wake_reflex();
        result
    }
}

/// The next of the sizes.
fn cycled(sizes: &[usize], turn: &mut usize) -> usize {
    if sizes.is_empty() {
        return usize::MAX;
    }
    let size = sizes[*turn % sizes.len()];
    *turn += 1;
    size
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.world.lock();
        let state = &mut *state;
        if state.settings.pending > 0 {
            state.wire.polls += 1;
            if state
                .wire
                .polls
                .is_multiple_of(state.settings.pending as usize + 1)
            {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if state.wire.inbound.is_empty() {
            let Some(end) = state.wire.read_end else {
                let replaced = state.wire.reader.replace(cx.waker().clone());
                drop(replaced);
                return Poll::Pending;
            };
            if state.wire.end_read.is_none() {
                state.wire.end_read = Some(Instant::now());
                state.progress("the end of the input");
            }
            return Poll::Ready(match end {
                ReadEnd::End => Ok(()),
                ReadEnd::Error => Err(io::ErrorKind::ConnectionReset.into()),
            });
        }
        let chunk = cycled(&state.settings.reads, &mut state.wire.reads);
        let most = chunk.min(buffer.remaining()).min(state.wire.inbound.len());
        let (front, back) = state.wire.inbound.as_slices();
        let front = &front[..most.min(front.len())];
        buffer.put_slice(front);
        buffer.put_slice(&back[..most - front.len()]);
        state.wire.inbound.drain(..most);
        state.wire.read += most;
        state.progress("a read");
        state.check_read_ahead();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.world.lock().settings.vectored != 0
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (unflushed, takes) = {
            let state = self.world.lock();
            (state.wire.unflushed, millis(state.settings.flush))
        };
        if !unflushed {
            return Poll::Ready(Ok(()));
        }
        if !takes.is_zero() && !passed(&mut self.flushing, takes, cx) {
            self.world.lock().reached("blocked flush");
            return Poll::Pending;
        }
        let mut state = self.world.lock();
        state.wire.unflushed = false;
        state.progress("a flush");
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let takes = {
            let mut state = self.world.lock();
            if !state.wire.shutting_down {
                state.wire.shutting_down = true;
                state.check_slot();
            }
            millis(state.settings.shutdown)
        };
        if !takes.is_zero() && !passed(&mut self.shutting_down, takes, cx) {
            return Poll::Pending;
        }
        {
            let mut state = self.world.lock();
            state.wire.shut_down.get_or_insert(Instant::now());
            state.progress("a shutdown");
        }
        self.world.wake_reflex();
        Poll::Ready(Ok(()))
    }
}

/// Returns `true` if this much time has passed since the first call.
fn passed(timer: &mut Option<Pin<Box<Sleep>>>, takes: Duration, cx: &mut Context<'_>) -> bool {
    let sleep = timer.get_or_insert_with(|| Box::pin(sleep(takes)));
    let polled =
        tokio::task::coop::unconstrained(std::future::poll_fn(|cx| sleep.as_mut().poll(cx)));
    let ready = std::pin::pin!(polled).poll(cx).is_ready();
    if ready {
        *timer = None;
    }
    ready
}

impl Drop for Io {
    fn drop(&mut self) {
        {
            let mut state = self.world.lock();
            state.wire.dropped = Some(Instant::now());
            state.progress("the drop of the connection");
        }
        self.world.wake_reflex();
    }
}
