//! The upgrade layer over memory: hyper serves, the clock is paused, and the client writes its frames by hand.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

mod requests_pass_untouched;

mod a_socket_is_accepted_once;
mod every_race_has_one_outcome;
mod options_are_checked_before_the_101;

mod a_failure_closes_with_1011;
mod the_pipeline_lives_until_the_close;
mod waits_are_bounded;

mod a_future_beside_the_pipeline_is_woken;
mod a_poll_does_a_bounded_amount_of_work;
mod a_violation_closes_with_its_code;
mod closes_are_exchanged;
mod the_driver_works_by_itself;

mod sockets_are_drained;
mod sockets_are_limited;

mod http2_is_served_alike;
mod other_libraries_fit;
mod tungstenite_lives_in_the_pipeline;
mod tungstenite_loses_the_socket_with_the_pipeline;
