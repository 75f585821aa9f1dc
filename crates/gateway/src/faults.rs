//! What only the gate refuses.

use domain::fault::{Fault, Kind};

/// The request target is not a plain, normalised path.
pub const BAD_PATH: Fault =
    Fault::new(Kind::Malformed, "bad_path", "요청 경로가 올바르지 않습니다.", "The request path is not acceptable.");
/// A bearer token and a login cookie on one request: they may speak for two people.
pub const TWO_CREDENTIALS: Fault = Fault::new(
    Kind::Malformed,
    "two_credentials",
    "인증 정보는 하나만 보내 주세요.",
    "Send a bearer token or a login cookie, not both.",
);
/// A page that is not on the list wants to act for whoever is logged in.
pub const ORIGIN_NOT_ALLOWED: Fault = Fault::new(
    Kind::Forbidden,
    "origin_not_allowed",
    "허용되지 않은 출처의 요청입니다.",
    "Requests from this origin are not allowed.",
);
/// Only WebSockets are tunnelled, and only where there are any.
pub const UPGRADE_NOT_SUPPORTED: Fault = Fault::new(
    Kind::NotImplemented,
    "upgrade_not_supported",
    "지원하지 않는 프로토콜 전환입니다.",
    "This protocol upgrade is not supported.",
);
/// An upstream answered what is not HTTP, or not what was asked.
pub const BAD_UPSTREAM: Fault = Fault::new(
    Kind::BadGateway,
    "bad_upstream",
    "내부 서비스의 응답을 읽을 수 없습니다.",
    "An internal service gave an unreadable answer.",
);
