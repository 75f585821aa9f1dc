//! What only the gate refuses.

use domain::fault::{Fault, Kind};

/// The request target is not a plain, normalised path.
pub const BAD_PATH: Fault =
    Fault::new(Kind::Malformed, "bad_path", "요청 경로가 올바르지 않습니다.", "The request path is not acceptable.");
/// A header's name could be taken for another one's.
pub const BAD_HEADER: Fault = Fault::new(
    Kind::Malformed,
    "bad_header",
    "요청 헤더 이름이 올바르지 않습니다.",
    "A header name is not acceptable.",
);
/// Not exactly one `Host`, or one that is no host.
pub const BAD_HOST: Fault =
    Fault::new(Kind::Malformed, "bad_host", "Host 헤더가 올바르지 않습니다.", "The Host header is not acceptable.");
/// Longer, or of other letters, than any service takes.
pub const BAD_IDEMPOTENCY_KEY: Fault = Fault::new(
    Kind::Malformed,
    "bad_idempotency_key",
    "멱등 키는 1-128자의 영문, 숫자, -, _ 하나여야 합니다.",
    "Send one idempotency key of 1-128 letters, digits, - or _.",
);
/// The path and query are longer than any client of ours needs.
pub const URL_TOO_LONG: Fault =
    Fault::new(Kind::UrlTooLong, "url_too_long", "요청 주소가 너무 깁니다.", "The request URL is too long.");
/// A bearer token and a login cookie on one request: they may speak for two people.
pub const TWO_CREDENTIALS: Fault = Fault::new(
    Kind::Malformed,
    "two_credentials",
    "인증 정보는 하나만 보내 주세요.",
    "Send a bearer token or a login cookie, not both.",
);
/// A ticket that is used, expired or made up.
pub const INVALID_TICKET: Fault = Fault::new(
    Kind::Unauthenticated,
    "invalid_ticket",
    "유효하지 않은 입장권입니다. 새로 받아 주세요.",
    "The ticket is not valid. Please get a new one.",
);
/// Only WebSockets are tunnelled, and only where there are any.
pub const UPGRADE_NOT_SUPPORTED: Fault = Fault::new(
    Kind::Malformed,
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
/// The service has as many requests in flight as it can take.
pub const OVERLOADED: Fault = Fault::new(
    Kind::Unavailable,
    "overloaded",
    "지금은 요청이 너무 많습니다. 조금 뒤에 다시 시도해 주세요.",
    "There are too many requests at the moment. Please try again shortly.",
);
