//! The vocabulary of expected errors.
//!
//! A [`Fault`] is something a caller may meet in a healthy system: its `code` is stable and part of the contract, its
//! [`Kind`] decides the HTTP status, and its sentence exists in Korean and English. What nobody expects (a lost
//! connection, a bug) is never a fault; services wrap it apart and answer with a constant text.

use crate::locale::{Locale, Text};

/// What sort of refusal a fault is; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 400: the request cannot be read.
    Malformed,
    /// 401: nobody has been recognised.
    Unauthenticated,
    /// 403: recognised, and not allowed.
    Forbidden,
    /// 404: not there, or not the caller's to see.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 408: the client did not finish its request in time.
    RequestTimeout,
    /// 409: the resource's state forbids it.
    Conflict,
    /// 412: a stale `If-Match`.
    PreconditionFailed,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 414: the request's target is longer than allowed.
    UrlTooLong,
    /// 415: a content type that is not read here.
    UnsupportedMedia,
    /// 422: well-formed and still not valid.
    Invalid,
    /// 429: too often.
    TooMany,
    /// 431: the request's head is larger than allowed.
    HeadTooLarge,
    /// 502: an upstream answered nonsense.
    BadGateway,
    /// 503: a needed part is away; try again later.
    Unavailable,
    /// 504: a needed part did not answer in time.
    Late,
}

impl Kind {
    /// Returns the HTTP status of this kind.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::UrlTooLong => 414,
            Self::UnsupportedMedia => 415,
            Self::Invalid => 422,
            Self::TooMany => 429,
            Self::HeadTooLarge => 431,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Late => 504,
        }
    }

    /// Returns the standard reason phrase, used as a problem's `title`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Bad Request",
            Self::Unauthenticated => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::Conflict => "Conflict",
            Self::PreconditionFailed => "Precondition Failed",
            Self::TooLarge => "Content Too Large",
            Self::UrlTooLong => "URI Too Long",
            Self::UnsupportedMedia => "Unsupported Media Type",
            Self::Invalid => "Unprocessable Content",
            Self::TooMany => "Too Many Requests",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::BadGateway => "Bad Gateway",
            Self::Unavailable => "Service Unavailable",
            Self::Late => "Gateway Timeout",
        }
    }

    /// Seconds a client should wait before it tries again, where waiting helps.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::Unavailable | Self::Late | Self::TooMany => Some(1),
            _ => None,
        }
    }
}

/// One expected error: kind, stable code and a sentence in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Decides the status.
    pub kind: Kind,
    /// Stable, snake_case, part of the contract.
    pub code: &'static str,
    /// What a person is told.
    pub text: Text,
}

impl Fault {
    /// Describes an expected error.
    pub const fn new(kind: Kind, code: &'static str, ko: &'static str, en: &'static str) -> Self {
        Self { kind, code, text: Text::new(ko, en) }
    }

    /// Returns the sentence in `locale`.
    pub const fn detail(&self, locale: Locale) -> &'static str {
        self.text.in_locale(locale)
    }
}

/// One invalid field of an otherwise readable request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the field (`/title`), or the query parameter's name (`?limit`).
    pub pointer: String,
    /// Stable, snake_case: `too_short`, `required`, `not_allowed`.
    pub code: &'static str,
    /// What is wrong with it, in both languages.
    pub text: Text,
}

/// Collects every invalid field of a request before it is refused, so that a person mends all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Starts with nothing wrong.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Records that the field at `pointer` is invalid.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, ko: &'static str, en: &'static str) {
        self.0.push(Violation { pointer: pointer.into(), code, text: Text::new(ko, en) });
    }

    /// Records a violation unless `holds`.
    pub fn require(
        &mut self,
        holds: bool,
        pointer: impl Into<String>,
        code: &'static str,
        ko: &'static str,
        en: &'static str,
    ) {
        if !holds {
            self.add(pointer, code, ko, en);
        }
    }

    /// Returns `Ok` when nothing was recorded.
    ///
    /// # Errors
    /// Returns itself when at least one field is invalid.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Returns what was recorded, in order.
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }
}

/// Faults that any service may answer.
pub mod common {
    use super::{Fault, Kind};

    /// The body is not JSON, or a field has another type than documented.
    pub const MALFORMED: Fault =
        Fault::new(Kind::Malformed, "malformed", "요청을 읽을 수 없습니다.", "The request could not be read.");
    /// At least one field is invalid; `errors` names each.
    pub const INVALID: Fault =
        Fault::new(Kind::Invalid, "invalid", "입력값을 확인해 주세요.", "Some fields are not valid.");
    /// No usable credentials.
    pub const UNAUTHENTICATED: Fault =
        Fault::new(Kind::Unauthenticated, "unauthenticated", "인증이 필요합니다.", "Authentication is required.");
    /// Credentials that are expired, revoked, forged or meant for somewhere else.
    pub const INVALID_TOKEN: Fault =
        Fault::new(Kind::Unauthenticated, "invalid_token", "유효하지 않은 인증 토큰입니다.", "The token is not valid.");
    /// Recognised, and not allowed.
    pub const FORBIDDEN: Fault =
        Fault::new(Kind::Forbidden, "forbidden", "권한이 없습니다.", "You are not allowed to do this.");
    /// A page that is not on the list wants to act for whoever is logged in.
    pub const ORIGIN_NOT_ALLOWED: Fault = Fault::new(
        Kind::Forbidden,
        "origin_not_allowed",
        "허용되지 않은 출처의 요청입니다.",
        "Requests from this origin are not allowed.",
    );
    /// No such path or object.
    pub const NOT_FOUND: Fault = Fault::new(Kind::NotFound, "not_found", "찾을 수 없습니다.", "There is nothing here.");
    /// The path knows other methods.
    pub const METHOD_NOT_ALLOWED: Fault = Fault::new(
        Kind::MethodNotAllowed,
        "method_not_allowed",
        "허용되지 않는 메서드입니다.",
        "This path does not know that method.",
    );
    /// The request body did not arrive in time.
    pub const BODY_TIMEOUT: Fault = Fault::new(
        Kind::RequestTimeout,
        "body_timeout",
        "요청 본문이 제시간에 도착하지 않았습니다.",
        "The request body did not arrive in time.",
    );
    /// The body is larger than this path allows.
    pub const TOO_LARGE: Fault =
        Fault::new(Kind::TooLarge, "too_large", "요청이 너무 큽니다.", "The request is too large.");
    /// Not a content type this path reads.
    pub const UNSUPPORTED_MEDIA: Fault = Fault::new(
        Kind::UnsupportedMedia,
        "unsupported_media_type",
        "지원하지 않는 형식입니다.",
        "This content type is not supported.",
    );
    /// The request's head is too large.
    pub const HEAD_TOO_LARGE: Fault =
        Fault::new(Kind::HeadTooLarge, "head_too_large", "요청 헤더가 너무 큽니다.", "The request head is too large.");
    /// Too many requests.
    pub const TOO_MANY: Fault =
        Fault::new(Kind::TooMany, "too_many_requests", "요청이 너무 많습니다.", "Too many requests.");
    /// A needed part is away.
    pub const UNAVAILABLE: Fault = Fault::new(
        Kind::Unavailable,
        "unavailable",
        "잠시 이용할 수 없습니다. 조금 뒤에 다시 시도해 주세요.",
        "This is unavailable for a moment. Please try again shortly.",
    );
    /// A needed part did not answer in time.
    pub const LATE: Fault = Fault::new(
        Kind::Late,
        "timeout",
        "응답이 늦어지고 있습니다. 다시 시도해 주세요.",
        "This takes too long. Please try again.",
    );
    /// The same idempotency key came with another body.
    pub const IDEMPOTENCY_KEY_REUSED: Fault = Fault::new(
        Kind::Invalid,
        "idempotency_key_reused",
        "같은 멱등 키로 다른 요청을 보냈습니다.",
        "The idempotency key was used with another body.",
    );
    /// The first request under this idempotency key has not finished.
    pub const IDEMPOTENCY_IN_PROGRESS: Fault = Fault::new(
        Kind::Conflict,
        "idempotency_in_progress",
        "같은 요청을 처리하고 있습니다.",
        "The same request is still being handled.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_keep_their_order_and_refuse() {
        let mut violations = Violations::new();
        violations.require(true, "/title", "too_short", "짧음", "short");
        violations.require(false, "/type", "unknown", "모름", "unknown");
        violations.add("/tags/3", "too_long", "김", "long");
        let refused = violations.into_result().unwrap_err();
        let pointers: Vec<_> = refused.as_slice().iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/type", "/tags/3"]);
    }

    #[test]
    fn nothing_wrong_is_ok() {
        assert_eq!(Violations::new().into_result(), Ok(()));
    }
}
