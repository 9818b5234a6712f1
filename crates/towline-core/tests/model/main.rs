//! Checks that no wake-up of a socket is lost, in whatever order its tasks run.
//!
//! `cargo xtask model` builds the crate with loom's lock in place of parking_lot's (`src/sync.rs`). The driver and the
//! handles are the real ones, after a real handshake; the connection and the peer are in memory. Without
//! `--cfg towline_model` this is empty.
#![cfg(towline_model)]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod socket;
mod task;
mod wire;

mod a_message_is_received;
mod a_message_is_written;
mod a_policy_is_told;
mod every_wait_ends;
mod the_endpoint_is_polled;
mod waiting_sends;
