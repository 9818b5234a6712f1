//! What the sockets of a run came to, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::socket::Ending;

/// How many failures are kept; the rest is counted.
const KEPT: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    over_http1: AtomicU64,
    over_http2: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    endings: [AtomicU64; Ending::ALL.len()],
    failures: AtomicU64,
    kept: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn opened(&self, over_http2: bool) {
        let opened = match over_http2 {
            false => &self.over_http1,
            true => &self.over_http2,
        };
        opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A message of so many bytes has come back as it was sent.
    pub(crate) fn echoed(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, ending: Ending) {
        self.endings[ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, failure: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(failure);
        }
    }

    /// How many were opened, over HTTP/1.1 and over HTTP/2.
    pub(crate) fn sockets(&self) -> (u64, u64) {
        let [one, two] = [&self.over_http1, &self.over_http2].map(load);
        (one, two)
    }

    /// How many messages have come back, and how many bytes were in them.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (load(&self.messages), load(&self.bytes))
    }

    pub(crate) fn of(&self, ending: Ending) -> u64 {
        load(&self.endings[ending as usize])
    }

    /// How many sockets were not as they should be, and what was wrong with the first of them.
    pub(crate) fn failures(&self) -> (u64, Vec<String>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (load(&self.failures), kept.clone())
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
