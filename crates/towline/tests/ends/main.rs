//! The end of a socket: its time, its order, and what each side learns. Mostly in memory and in virtual time, over HTTP/1.1
//! and HTTP/2, by clients that write their frames by hand.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod a_client_that_writes_before_it_reads_sees_the_close;
mod a_failed_write_loses_no_message;
mod a_message_is_one_frame;
mod a_peer_that_hardly_reads_is_given_up;
mod a_slot_is_free_before_the_peer_sees_the_end;
mod an_abort_acts_until_the_io_is_dropped;
mod delivered_messages_are_a_prefix;
mod input_after_a_violation_is_discarded;
mod messages_from_before_the_peers_close_are_delivered;
mod nothing_follows_a_close;
mod the_end_of_input_is_not_the_end_of_output;
mod the_first_close_is_recorded;
mod the_next_socket_finds_a_free_slot;
