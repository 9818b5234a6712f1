//! The application as it is started: its options, and what clients get from it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

mod bad_options_end_it_before_it_listens;
mod sockets_open_over_tls;
