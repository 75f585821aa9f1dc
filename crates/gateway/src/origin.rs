//! Which pages may call from a browser, and what browsers are told about it (CORS).

use actix_web::{
    HttpResponse,
    http::header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue,
        ORIGIN, VARY,
    },
};
use chassis::{
    edge::{ORIGIN_ALLOWED, ORIGIN_STRANGE},
    problem::{Outcome, Problem},
};

use domain::fault::common;

use crate::config::GatewayConfig;

/// What a page may send beyond what every page may.
const MAY_SEND: HeaderValue = HeaderValue::from_static(
    "accept-language, authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, range",
);
/// What a page may read of an answer beyond what every page may.
const MAY_READ: HeaderValue = HeaderValue::from_static(
    "content-disposition, etag, link, location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-total-count",
);
/// How long a browser may remember a preflight, seconds; Chromium's own limit is two hours.
const REMEMBER: HeaderValue = HeaderValue::from_static("7200");
const YES: HeaderValue = HeaderValue::from_static("true");
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// The origins that may call.
#[derive(Clone, Debug)]
pub struct AllowedOrigins(Vec<String>);

/// What a request says about the page it comes from.
#[derive(Clone, Debug)]
pub enum Asking {
    /// Not a browser, or a page of the gateway's own that only reads.
    Nobody,
    /// A page on the list.
    Allowed(HeaderValue),
    /// Any other page.
    Stranger,
}

impl AllowedOrigins {
    /// Takes the list and the gateway's own origin.
    pub fn new(config: &GatewayConfig) -> Self {
        let mut origins = config.allowed_origins.0.clone();
        origins.push(config.public_url.origin().ascii_serialization());
        Self(origins)
    }

    /// Looks at a request's `Origin`; two of them are nobody's.
    pub fn judge(&self, headers: &HeaderMap) -> Asking {
        let mut origins = headers.get_all(ORIGIN);
        let Some(origin) = origins.next() else { return Asking::Nobody };
        let known = origins.next().is_none() && self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
        if known { Asking::Allowed(origin.clone()) } else { Asking::Stranger }
    }
}

impl Asking {
    /// Refuses pages that are not on the list.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub fn refuse_strangers(&self) -> Outcome<()> {
        if matches!(self, Self::Stranger) { Err(Problem::from(common::ORIGIN_NOT_ALLOWED)) } else { Ok(()) }
    }

    /// Refuses everything but pages on the list: a cookie goes along with any request a browser makes.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub fn require_known(&self) -> Outcome<()> {
        if matches!(self, Self::Allowed(_)) { Ok(()) } else { Err(Problem::from(common::ORIGIN_NOT_ALLOWED)) }
    }

    /// Returns what the auth service is told about the page.
    pub fn verdict(&self) -> Option<http::HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Allowed(_) => Some(http::HeaderValue::from_static(ORIGIN_ALLOWED)),
            Self::Stranger => Some(http::HeaderValue::from_static(ORIGIN_STRANGE)),
        }
    }

    /// Answers a browser that asks first.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub fn preflight(&self, methods: &str) -> Outcome<HttpResponse> {
        self.refuse_strangers()?;
        let mut response = HttpResponse::NoContent();
        response
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, MAY_SEND))
            .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBER));
        Ok(response.finish())
    }

    /// Tells the browser whether the page may read the answer.
    pub fn mark(self, headers: &mut HeaderMap) {
        if matches!(self, Self::Nobody) {
            return;
        }
        headers.append(VARY, BY_ORIGIN);
        if let Self::Allowed(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, YES);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, MAY_READ);
        }
    }
}
