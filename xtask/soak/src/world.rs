//! What all sockets of a run share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::Content;
use crate::tally::Tally;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) seed: u64,
    pub(crate) content: Content,
    pub(crate) tally: Tally,
    sockets: AtomicU64,
}

impl World {
    pub(crate) fn new(server: SocketAddr, seed: u64) -> Self {
        Self {
            server,
            seed,
            content: Content::new(seed),
            tally: Tally::default(),
            sockets: AtomicU64::new(0),
        }
    }

    /// The number of another socket.
    pub(crate) fn next_socket(&self) -> u64 {
        self.sockets.fetch_add(1, Ordering::Relaxed)
    }
}
