//! Attacks on the gate. Numbers are those of the threat list in docs/security.md.
//!
//! Some are shown where the rule they try to break is tested: 12 `identity::a_bad_token_is_refused_even_where_none_is_needed`;
//! 15 `identity::a_login_that_ended_is_refused_within_a_second`, `tunnels::a_login_that_ends_closes_its_tunnels_and_no_others`;
//! 20 `limits`; 21 `identity::only_our_own_proxies_say_where_a_client_is`,
//! `limits::nobody_in_particular_is_counted_by_address_whatever_they_claim`; 22 `identity::only_listed_headers_reach_a_service`,
//! `heads::a_name_that_could_be_another_ones_is_refused`; 31 `paths`; 33 `heads::what_is_too_large_is_said_to_be`,
//! `bodies::a_body_over_the_limit_is_refused_whether_it_says_so_or_not`; 36 `browsers`;
//! 37 `identity::a_cookie_needs_a_known_page_to_change_anything`; 38 `tickets`,
//! `tunnels::strangers_pages_and_other_protocols_get_no_tunnel`; 44 `failures::a_broken_connection_is_tried_again_only_when_twice_is_the_same_as_once`;
//! 46 `bodies::an_answer_that_breaks_off_does_not_look_whole`, `failures`.

mod browsers;
mod logs;
mod requests;
mod services;
mod smuggling;
mod tokens;
