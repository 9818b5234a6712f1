//! Whole stacks over real TCP: raw hyper and `axum::serve`, HTTP/1.1 and HTTP/2, tungstenite as the client.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod a_client_gone_before_accept_ends_the_endpoint;
mod a_connect_with_a_content_length_ends_its_stream_alone;
mod a_drain_ends_every_socket;
mod a_drain_misses_no_socket;
mod a_flood_of_empty_frames_is_refused;
mod a_flush_tells_what_was_written;
mod a_foreign_page_gets_no_socket;
mod a_frame_behind_the_handshake_is_not_lost;
mod a_graceful_shutdown_waits_for_the_drain;
mod a_guard_drops_at_the_close;
mod a_lenient_handshake_opens_a_socket;
mod a_limit_counts_open_sockets;
mod a_limit_refuses_what_is_above_it;
mod a_panic_closes_with_1011;
mod a_reset_ends_its_socket_alone;
mod a_server_outlives_its_clients;
mod a_server_without_upgrades_is_named;
mod a_slow_reader_gets_all_before_the_close;
mod a_socket_runs_on_the_bare_tcp_stream;
mod a_span_lasts_as_long_as_its_socket;
mod a_stack_is_tested_in_memory;
mod a_strange_head_is_answered;
mod an_inner_service_may_upgrade_by_itself;
mod axum_middleware_runs_after_the_close;
mod compressed_messages_arrive_whole;
mod compression_is_what_both_want;
mod every_bad_handshake_has_its_answer;
mod every_violation_has_its_close_code;
mod http2_streams_end_in_order;
mod middleware_runs_after_the_close;
mod no_wake_up_is_lost;
mod no_wake_up_is_lost_at_random;
mod no_wake_up_is_lost_by_raw_clients;
mod nobody_waits_for_the_peer_to_hang_up;
mod nothing_is_held_back_under_tls;
mod the_driver_works_while_the_endpoint_does_not;
mod the_pipeline_of_tungstenite_lives;
mod what_is_told_is_told_whole;
