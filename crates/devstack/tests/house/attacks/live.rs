//! The live channel of a sale, whose answers are a library's: what stands around it is the house's own.

use super::{House, ownership::expired_token, things::method};

/// Where a connection is opened and gone on with.
const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

/// A login that has ended opens nothing, a session that is nobody's is none, and nobody is heard for too long.
pub(super) async fn attack_49_the_live_channel_is_opened_by_who_may_and_heard_within_limits(house: &House) {
    let House { kim, .. } = house;
    let opened = kim.get(OPEN).await.ok(200);
    assert!(String::from_utf8_lossy(&opened.body).starts_with("0{\"sid\""), "{:?}", opened.body);
    for token in [expired_token(&house.stack, kim), "x".to_owned()] {
        kim.with_token(&token).get(OPEN).await.problem(401, "invalid_token");
    }
    for sid in ["AAAAAAAAAAAAAAAAAAAA", "x", "", "..%2f..", "%00"] {
        let path = format!("{OPEN}&sid={sid}");
        kim.get(&path).await.problem(400, "unknown_session");
        kim.send(kim.request(method("POST"), &path).body("40")).await.problem(400, "unknown_session");
    }
    let flood = kim.request(method("POST"), OPEN).body("4".repeat(200_000));
    kim.send(flood).await.problem(413, "too_large");
    for name in ["PUT", "DELETE", "PATCH"] {
        kim.send(kim.request(method(name), OPEN)).await.problem(405, "method_not_allowed");
    }
}
