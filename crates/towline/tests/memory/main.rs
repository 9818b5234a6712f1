//! What peers can make a server allocate, by the count of the allocator.
//!
//! Client and server share the process, so the clients here allocate next to nothing.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod heap;

mod a_bomb_costs_no_more_than_the_limit;
mod a_count_costs_an_idle_socket_little;
mod a_declared_length_costs_nothing;
mod a_kept_message_costs_at_most_twice_its_size;
mod a_message_costs_what_has_arrived;
mod a_peer_that_never_reads_costs_little;
mod a_sender_left_behind_costs_little;
mod a_violation_is_discarded_as_it_comes;
mod an_idle_socket_holds_no_buffer;
mod an_idle_socket_without_takeover_holds_no_context;
mod every_end_gives_all_back;
mod keep_alive_costs_an_idle_socket_little;
mod one_frame_costs_what_is_compressed;
mod small_messages_cost_little_while_they_wait;
