//! The application as it is started: its options, and what clients get from it.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

#[cfg(unix)]
mod a_signal_drains_the_sockets;
mod bad_options_end_it_before_it_listens;
mod many_sockets_share_a_connection;
#[cfg(unix)]
mod peers_do_not_fill_the_log;
mod sockets_open_over_tls;
