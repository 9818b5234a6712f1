//! Whole stacks with policies on their sockets, mostly in memory and in virtual time.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

mod a_busy_endpoint_keeps_its_peer;
mod a_pause_holds_the_message_that_it_is_about;
mod a_peer_that_takes_nothing_is_given_up;
mod a_pipeline_may_move;
mod a_policy_reaches_its_socket_from_anywhere;
mod a_policy_that_no_socket_takes_is_named;
mod a_slow_reader_lives;
mod a_vanished_peer_is_noticed;
mod a_wait_may_be_for_ever;
mod policies_act_on_their_socket;
mod sockets_end_in_time;
mod unread_streams_harm_nobody;
