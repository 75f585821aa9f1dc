//! Errors as answers: RFC 9457 problem documents, in the language of the request.
//!
//! Which error where: an expected refusal is a [`Fault`] (or [`Violations`] for fields) and becomes a problem with its
//! own code. A lost database, Redis or peer becomes 503 or 504 with `Retry-After`. Everything else is unexpected: the
//! cause is kept for the log, written once at the edge, and the client gets a constant text.

use std::{error::Error as StdError, fmt, panic::Location};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use domain::{
    fault::{Fault, Kind, Violation, Violations, common},
    locale::{Locale, Text},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::RequestContext;

/// The media type of every error answer.
pub const MEDIA_TYPE: &str = "application/problem+json";

type Source = Box<dyn StdError + Send + Sync>;

/// An error on its way to the client.
pub struct Problem(Box<Inner>);

struct Inner {
    status: StatusCode,
    title: &'static str,
    code: &'static str,
    text: Text,
    violations: Vec<Violation>,
    members: Vec<(&'static str, serde_json::Value)>,
    retry_after: Option<u32>,
    source: Option<Source>,
    location: &'static Location<'static>,
}

/// The result of a handler or use case.
pub type Outcome<T> = Result<T, Problem>;

/// The wire form of a problem, for the API documents and for clients in Rust.
#[derive(Clone, Debug, Serialize, serde::Deserialize, ToSchema)]
pub struct ProblemView {
    /// URI of the problem type, `urn:maru:problem:<code>`.
    pub r#type: String,
    /// The status's standard phrase.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened, for a person, in the request's language.
    pub detail: String,
    /// Stable, machine-readable.
    pub code: String,
    /// Quote this when you ask for help.
    pub request_id: String,
    /// The same text as `detail`.
    pub error: String,
    /// The invalid fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldView>>,
}

/// One invalid field.
#[derive(Clone, Debug, Serialize, serde::Deserialize, ToSchema)]
pub struct FieldView {
    /// JSON pointer, or `?name` for a query parameter.
    pub pointer: String,
    /// Stable, machine-readable.
    pub code: String,
    /// What is wrong, for a person.
    pub detail: String,
}

impl Problem {
    #[track_caller]
    fn build(status: StatusCode, title: &'static str, code: &'static str, text: Text) -> Self {
        Self(Box::new(Inner {
            status,
            title,
            code,
            text,
            violations: Vec::new(),
            members: Vec::new(),
            retry_after: None,
            source: None,
            location: Location::caller(),
        }))
    }

    /// Wraps an error nobody expected: status 500 and a constant text; the cause goes to the log only.
    #[track_caller]
    pub fn unexpected(source: impl Into<Source>) -> Self {
        let mut problem = Self::build(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal Server Error",
            "internal",
            Text::new("예상하지 못한 오류가 발생했습니다.", "Something unexpected went wrong."),
        );
        problem.0.source = Some(source.into());
        problem
    }

    /// Says that a needed part is away: 503 with `Retry-After`; the cause goes to the log only.
    #[track_caller]
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::from(common::UNAVAILABLE).caused_by(source)
    }

    /// Says that a needed part did not answer in time: 504 with `Retry-After`.
    #[track_caller]
    pub fn late(source: impl Into<Source>) -> Self {
        Self::from(common::LATE).caused_by(source)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds an extension member to the document.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.0.members.push((name, serde_json::to_value(value).unwrap_or_default()));
        self
    }

    /// Sets `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Returns what `Retry-After` says, in whole seconds.
    pub fn seconds_to_wait(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// Returns the problem a bare status stands for, for errors that the framework raises by itself.
    pub fn from_status(status: StatusCode) -> Self {
        let fault = match status.as_u16() {
            401 => common::UNAUTHENTICATED,
            403 => common::FORBIDDEN,
            404 => common::NOT_FOUND,
            405 => common::METHOD_NOT_ALLOWED,
            408 => common::BODY_TIMEOUT,
            413 => common::TOO_LARGE,
            415 => common::UNSUPPORTED_MEDIA,
            422 => common::INVALID,
            429 => common::TOO_MANY,
            431 => common::HEAD_TOO_LARGE,
            503 => common::UNAVAILABLE,
            504 => common::LATE,
            400..=499 => common::MALFORMED,
            _ => return Self::unexpected(format!("bare status {status}")),
        };
        Self::from(fault)
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Writes the cause to the log, when there is one worth a person's time.
    pub fn log(&self) {
        let Some(source) = &self.0.source else { return };
        let chain = chain(source.as_ref());
        let at = self.0.location;
        if self.0.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = self.0.code, at = %at, error = %chain, "unexpected error");
        } else {
            tracing::warn!(code = self.0.code, at = %at, error = %chain, "refused for a cause outside the request");
        }
    }

    /// Returns the document in `locale`.
    pub fn view(&self, locale: Locale, request_id: &str) -> ProblemView {
        let detail = self.0.text.in_locale(locale);
        let errors = self.0.violations.iter().map(|v| FieldView {
            pointer: v.pointer.clone(),
            code: v.code.to_owned(),
            detail: v.text.in_locale(locale).to_owned(),
        });
        ProblemView {
            r#type: format!("urn:maru:problem:{}", self.0.code),
            title: self.0.title.to_owned(),
            status: self.0.status.as_u16(),
            detail: detail.to_owned(),
            code: self.0.code.to_owned(),
            request_id: request_id.to_owned(),
            error: detail.to_owned(),
            errors: (!self.0.violations.is_empty()).then(|| errors.collect()),
        }
    }
}

/// Writes an error and its causes in one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<Fault> for Problem {
    #[track_caller]
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut problem = Self::build(status, fault.kind.title(), fault.code, fault.text);
        problem.0.retry_after = fault.kind.retry_after();
        problem
    }
}

impl From<Violations> for Problem {
    #[track_caller]
    fn from(violations: Violations) -> Self {
        let mut problem = Self::from(common::INVALID);
        problem.0.violations = violations.as_slice().to_vec();
        problem
    }
}

impl From<diesel::result::Error> for Problem {
    #[track_caller]
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as K, Error as E};
        match &error {
            // A constraint that a use case did not map to its own fault still is a conflict of state, never a 500.
            E::DatabaseError(K::UniqueViolation | K::ForeignKeyViolation | K::ExclusionViolation, _) => {
                Self::from(Fault::new(
                    Kind::Conflict,
                    "conflict",
                    "다른 요청과 충돌했습니다.",
                    "This conflicts with another request.",
                ))
                .caused_by(error)
            }
            E::DatabaseError(
                K::ClosedConnection | K::UnableToSendCommand | K::SerializationFailure | K::ReadOnlyTransaction,
                _,
            )
            | E::BrokenTransactionManager => Self::unavailable(error),
            E::DatabaseError(K::Unknown, info) if worth_another_try(info.message()) => Self::unavailable(error),
            E::NotFound => Self::from(common::NOT_FOUND),
            _ => Self::unexpected(error),
        }
    }
}

/// Recognises the texts with which PostgreSQL says that it is going down, coming up, or ending a statement that another
/// try may finish.
fn worth_another_try(message: &str) -> bool {
    const SIGNS: [&str; 10] = [
        "terminating connection",
        "shutting down",
        "starting up",
        "recovery mode",
        "statement timeout",
        "lock timeout",
        "could not obtain lock",
        "deadlock detected",
        "too many clients",
        "connection closed",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.0.source.as_ref().map(|s| chain(s.as_ref()));
        f.debug_struct("Problem")
            .field("status", &self.0.status.as_u16())
            .field("code", &self.0.code)
            .field("violations", &self.0.violations)
            .field("source", &source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let (locale, request_id) = RequestContext::current().map(|c| (c.locale, c.request_id)).unwrap_or_default();
        let mut document = serde_json::to_value(self.view(locale, &request_id)).unwrap_or_default();
        if let Some(object) = document.as_object_mut() {
            object.extend(self.0.members.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        }
        let mut response = HttpResponse::build(self.0.status);
        response
            .insert_header((header::CONTENT_TYPE, MEDIA_TYPE))
            .insert_header((header::CONTENT_LANGUAGE, locale.code()))
            .insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.0.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            let challenge =
                if self.0.code == common::UNAUTHENTICATED.code { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response.body(document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_its_status_and_code_in_both_languages() {
        let problem = Problem::from(common::UNAVAILABLE);
        let korean = problem.view(Locale::Ko, "r1");
        let english = problem.view(Locale::En, "r1");
        assert_eq!((korean.status, korean.code.as_str()), (503, "unavailable"));
        assert_ne!(korean.detail, english.detail);
        assert_eq!(english.detail, english.error);
        assert_eq!(problem.error_response().headers().get(header::RETRY_AFTER).unwrap(), "1");
    }

    #[test]
    fn an_unexpected_cause_never_reaches_the_client() {
        let problem = Problem::unexpected("password=hunter2 at 10.0.0.7");
        let document = serde_json::to_string(&problem.view(Locale::En, "r")).unwrap();
        assert!(!document.contains("hunter2"), "{document}");
        assert_eq!(problem.status(), 500);
    }

    #[test]
    fn database_errors_map_to_statuses_on_purpose() {
        use diesel::result::{DatabaseErrorKind as K, Error as E};
        let database = |kind, message: &str| E::DatabaseError(kind, Box::new(message.to_owned()));
        let cases = [
            (E::NotFound, 404),
            (database(K::UniqueViolation, "duplicate key"), 409),
            (database(K::ClosedConnection, "connection closed"), 503),
            (database(K::Unknown, "the database system is shutting down"), 503),
            (database(K::Unknown, "terminating connection due to administrator command"), 503),
            (database(K::Unknown, "division by zero"), 500),
            (E::RollbackTransaction, 500),
        ];
        for (error, status) in cases {
            let text = error.to_string();
            assert_eq!(Problem::from(error).status().as_u16(), status, "{text}");
        }
    }
}
