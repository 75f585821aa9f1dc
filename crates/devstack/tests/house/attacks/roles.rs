//! What only organizers and admins may do.

use serde_json::json;

use super::{House, things::method};
use crate::person::Person;

/// The contract's routes for organizers and admins. Whether they are there yet or not, a person gets nowhere.
const ABOVE: [(&str, &str); 16] = [
    ("POST", "/api/v1/admin/events"),
    ("PUT", "/api/v1/admin/events/{event}"),
    ("DELETE", "/api/v1/admin/events/{event}"),
    ("POST", "/api/v1/admin/events/{event}/cancel"),
    ("POST", "/api/v1/admin/events/{event}/tickets"),
    ("PUT", "/api/v1/admin/tickets/{ticket}"),
    ("POST", "/api/v1/admin/layouts"),
    ("GET", "/api/v1/admin/reservations"),
    ("PATCH", "/api/v1/admin/reservations/{reservation}/status"),
    ("GET", "/api/v1/admin/dashboard/stats"),
    ("POST", "/api/v1/admin/checkin"),
    ("GET", "/api/v1/queue/admin/{event}"),
    ("PUT", "/api/v1/queue/admin/{event}"),
    ("POST", "/api/v1/queue/admin/clear/{event}"),
    ("POST", "/api/admin/events"),
    ("GET", "/api/admin/dashboard/stats"),
];

pub(super) async fn attack_24_a_person_gets_nowhere_near_the_routes_of_organizers(house: &House) {
    let House { kim, kims, .. } = house;
    for (name, path) in ABOVE {
        let path = path.replace("{event}", &kims.event).replace("{ticket}", &kims.ticket_type);
        let path = path.replace("{reservation}", &kims.reservation);
        let body = json!({ "title": "mine now", "role": "admin", "status": "confirmed" });
        let refused = kim.send(kim.request(method(name), &path).json(&body)).await;
        assert!(matches!(refused.status, 403 | 404), "{name} {path}: {} {}", refused.status, refused.json);
        refused.sound(&path);
        let stranger = kim.signed_out();
        let nobody = stranger.send(stranger.request(method(name), &path).json(&body)).await;
        assert_eq!(nobody.status, 401, "{name} {path}: {}", nobody.json);
        // What looks but does not touch is no way in either.
        let head = kim.send(kim.request(method("HEAD"), &path)).await;
        assert!(matches!(head.status, 403..=405), "HEAD {path}: {}", head.status);
        let options = kim.send(kim.request(method("OPTIONS"), &path)).await;
        assert!(options.status == 204 && options.body.is_empty(), "OPTIONS {path}: {}", options.status);
    }
    for operation in house.api.operations() {
        let is_above = operation.name.contains("/admin");
        assert!(!is_above || operation.needs_somebody(), "{} is documented for everybody", operation.name);
    }
}

pub(super) async fn attack_24_no_header_and_no_field_changes_the_method(house: &House) {
    let House { kim, kims, .. } = house;
    let (memo, session) = (format!("/memo/{}", kims.memo), format!("/api/v1/sessions/{}", kims.session));
    for header in ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"] {
        for other in ["DELETE", "PUT", "PATCH"] {
            for path in [&memo, &session] {
                kim.send(kim.request(method("GET"), path).header(header, other)).await.ok(200);
                let posted = kim.send(kim.request(method("POST"), path).header(header, other)).await;
                assert_eq!(posted.status, 405, "POST {path} with {header}: {other}");
            }
        }
    }
    for header in ["x-original-url", "x-rewrite-url", "x-forwarded-path"] {
        let rewritten =
            kim.send(kim.request(method("GET"), &memo).header(header, "/internal/revocations")).await.ok(200);
        assert_eq!(rewritten.text("/id"), kims.memo, "{header}");
    }
    kim.get(&format!("{session}?_method=DELETE")).await.ok(200);
    for name in ["TRACE", "PROPFIND", "LINK", "get", "delete"] {
        for path in [&memo, &session] {
            let answer = kim.send(kim.request(method(name), path)).await;
            assert_eq!(answer.status, 405, "{name} {path}");
            answer.sound(name);
            assert!(answer.headers.contains_key("allow"), "{name} {path}");
        }
    }
    still_there(kim, &memo, &session).await;
    let stranger = kim.signed_out();
    for path in [&memo, &session] {
        assert_eq!(stranger.send(stranger.request(method("HEAD"), path)).await.status, 401, "HEAD {path}");
    }
}

async fn still_there(kim: &Person, memo: &str, session: &str) {
    for path in [memo, session] {
        kim.get(path).await.ok(200);
    }
}
