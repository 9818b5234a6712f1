//! The origin layer in front of services that tell what reached them; over HTTP/1.1 and HTTP/2 by hyper, in memory.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod support;

mod every_rule_and_trick_has_its_verdict;
mod no_parser_sees_another_host;

mod a_list_is_replaced_at_once;
mod a_refusal_can_be_answered_otherwise;
mod axums_own_extractor_is_guarded;
mod mounts_share_no_verdict;
mod requests_pass_untouched;
