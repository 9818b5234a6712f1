//! The bytes in memory between the peer and the server.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;

/// Both directions, as the transport holds them.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The bytes that the server has not read.
    pub(crate) inbound: VecDeque<u8>,
    /// How many bytes it has read, the request included.
    pub(crate) read: usize,
    pub(crate) read_end: Option<ReadEnd>,
    /// The server has seen that end.
    pub(crate) end_read: Option<Instant>,
    /// How many bytes the peer takes; without a number all.
    pub(crate) credit: Option<usize>,
    /// The peer never took less than everything.
    pub(crate) always_open: bool,
    pub(crate) writes_fail: bool,
    /// A write has failed.
    pub(crate) write_failed: Option<Instant>,
    pub(crate) last_taken: Option<Instant>,
    pub(crate) unflushed: bool,
    pub(super) shutting_down: bool,
    pub(crate) shut_down: Option<Instant>,
    pub(crate) dropped: Option<Instant>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// How often the server asked for input, has read and has written.
    pub(super) polls: usize,
    pub(super) reads: usize,
    pub(super) writes: usize,
}

/// The event after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    End,
    Error,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            always_open: true,
            ..Self::default()
        }
    }

    /// Returns `true` if the peer takes all that is written.
    pub(crate) fn is_open(&self) -> bool {
        self.credit.is_none() && !self.writes_fail
    }

    /// Takes the wakers of the server, to be called without the world's lock.
    #[must_use]
    pub(crate) fn wake(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }
}
