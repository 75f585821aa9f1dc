//! Who a request comes from: an access token as bearer, or the login cookie of a browser.

use std::{cell::RefCell, rc::Rc};

use actix_web::http::header::{AUTHORIZATION, COOKIE, HeaderMap};
use chassis::{
    access::{Access, AccessTokens},
    problem::{Outcome, Problem},
    recent::Recent,
    revocation::Revocations,
};
use chrono::{DateTime, Utc};
use domain::{contract::LoginSeen, fault::common, principal::Principal};

use crate::{faults::TWO_CREDENTIALS, seen::SeenLogins};

/// The cookie that holds the access token for browsers.
const ACCESS_COOKIE: &str = "maru_at";
/// Longest bearer token, bytes; ours have about 450.
const TOKEN_MAX: usize = 4 * 1024;
/// Verified tokens remembered per worker: 10,000 people at once cost about 6 MB; verifying one costs 3 us.
const REMEMBERED: usize = 10_000;

/// What a request shows.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Credential<'r> {
    /// Nothing.
    None,
    /// `Authorization: Bearer ...`.
    Bearer(&'r str),
    /// The login cookie: the browser sent it, whoever made it do so.
    Cookie(&'r str),
}

/// Reads what a request shows.
///
/// # Errors
/// Refuses two credentials, and an `Authorization` that is not one bearer token; 431 for one that is too long.
pub fn credential(headers: &HeaderMap) -> Outcome<Credential<'_>> {
    let cookie = headers
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(ACCESS_COOKIE)?.strip_prefix('='))
        .find(|token| !token.is_empty());
    let mut authorizations = headers.get_all(AUTHORIZATION);
    let Some(authorization) = authorizations.next() else {
        return Ok(cookie.map_or(Credential::None, Credential::Cookie));
    };
    if authorizations.next().is_some() {
        return Err(common::MALFORMED.into());
    }
    if cookie.is_some() {
        return Err(TWO_CREDENTIALS.into());
    }
    // As `to_str` does it, and many bytes at once: control characters are in no header.
    let text = str::from_utf8(authorization.as_bytes()).ok().filter(|text| text.is_ascii());
    let text = text.ok_or_else(|| Problem::from(common::INVALID_TOKEN))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(common::UNAUTHENTICATED.into());
    }
    let token = token.trim();
    if token.len() > TOKEN_MAX {
        return Err(common::HEAD_TOO_LARGE.into());
    }
    Ok(Credential::Bearer(token))
}

/// How often the use of a token is noted, seconds.
const NOTE_EVERY: i64 = 60;

/// Recognises access tokens, and remembers those it has verified; one per worker.
pub struct Identities {
    tokens: AccessTokens,
    revocations: Revocations,
    seen: SeenLogins,
    verified: RefCell<Recent<Signature, Known>>,
}

/// The end of a token: of ours it is the signature, 32 bytes in base64, which no two have in common.
type Signature = [u8; 43];

/// A verified token.
#[derive(Clone)]
struct Known {
    /// All of it: what ends alike and begins otherwise is forged.
    token: Rc<str>,
    access: Access,
    /// When its use was last noted, seconds since 1970.
    noted_at: i64,
    /// The version of the revocations at which its login was not among them.
    not_revoked_at: Option<u64>,
}

impl Identities {
    /// Recognises what `tokens` verifies and `revocations` does not name; notes in `seen` whom it recognised.
    pub fn new(tokens: AccessTokens, revocations: Revocations, seen: SeenLogins) -> Self {
        Self { tokens, revocations, seen, verified: RefCell::new(Recent::new(REMEMBERED)) }
    }

    /// Returns who a token speaks for `now`.
    ///
    /// # Errors
    /// 401 `invalid_token` when it is expired, revoked, forged or meant for somewhere else.
    pub fn recognise(&self, token: &str, now: DateTime<Utc>) -> Outcome<Principal> {
        let version = Some(self.revocations.version());
        let signature: Option<&Signature> = token.as_bytes().last_chunk();
        let remembered = signature.and_then(|signature| self.verified.borrow_mut().get(signature));
        let remembered = remembered.filter(|known| *known.token == *token && known.access.expires_at > now);
        let mut known = if let Some(known) = remembered {
            known
        } else {
            let access = self.tokens.verify(token, now).map_err(|_refused| refused("not an access token of ours"))?;
            Known { token: token.into(), access, noted_at: i64::MIN, not_revoked_at: None }
        };
        let Principal { login_id, .. } = known.access.principal;
        let is_as_remembered = known.not_revoked_at == version;
        // Asking takes a lock of all workers; of most requests nothing has changed since the last.
        if !is_as_remembered && self.revocations.contains(login_id) {
            return Err(refused("its login has ended"));
        }
        known.not_revoked_at = version;
        let is_due = now.timestamp().saturating_sub(known.noted_at) >= NOTE_EVERY;
        if is_due {
            let refresh_counter = known.access.refresh_counter;
            if self.seen.note(LoginSeen { login_id, refresh_counter, at: now.into() }) {
                known.noted_at = now.timestamp();
            }
        }
        let principal = known.access.principal;
        if (is_due || !is_as_remembered)
            && let Some(signature) = signature
        {
            self.verified.borrow_mut().put(*signature, known);
        }
        Ok(principal)
    }
}

/// The reason is for a developer's eyes at debug level; what is refused a thousand times a second fills no log.
fn refused(reason: &'static str) -> Problem {
    tracing::debug!(reason, "access token refused");
    Problem::from(common::INVALID_TOKEN)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::http::header::{HeaderName, HeaderValue};
    use chassis::clock::Clock;
    use domain::{
        contract::Revocation,
        principal::{Principal, Role},
    };
    use secrecy::SecretString;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn refused_with(pairs: &[(&'static str, &'static str)]) -> &'static str {
        credential(&headers(pairs)).unwrap_err().code()
    }

    #[test]
    fn one_credential_is_read_and_two_are_refused() {
        assert_eq!(credential(&headers(&[("authorization", "bEaReR  abc ")])).unwrap(), Credential::Bearer("abc"));
        let cookies = headers(&[("cookie", "a=b; maru_at=; maru_atx=1;maru_at=abc; c=d")]);
        assert_eq!(credential(&cookies).unwrap(), Credential::Cookie("abc"));
        assert_eq!(credential(&headers(&[("cookie", "maru_at=")])).unwrap(), Credential::None);
        assert_eq!(refused_with(&[("authorization", "Bearer a"), ("cookie", "maru_at=b")]), "two_credentials");
        assert_eq!(refused_with(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), "malformed");
        assert_eq!(refused_with(&[("authorization", "Basic YTpi")]), "unauthenticated");
    }

    #[test]
    fn what_only_ends_as_a_remembered_token_is_forged() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let tokens = AccessTokens::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
        let revocations = Revocations::new(clock.clone());
        let identities = Identities::new(tokens.clone(), revocations, SeenLogins::default());
        let issue = |role| {
            let principal = Principal { user_id: clock.id(), login_id: clock.id(), role };
            tokens.issue(principal, 0, clock.now(), Duration::from_mins(1)).unwrap()
        };
        let (token, admin) = (issue(Role::User), issue(Role::Admin));
        assert!(identities.recognise(&token, clock.now()).is_ok());
        let (_, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(signature.len(), size_of::<Signature>());
        let (claims, _) = admin.rsplit_once('.').unwrap();
        for forged in [format!("{claims}.{signature}"), format!("x{token}"), signature.to_owned(), String::new()] {
            assert_eq!(identities.recognise(&forged, clock.now()).unwrap_err().code(), "invalid_token");
        }
        assert!(identities.recognise(&token, clock.now()).is_ok());
    }

    #[test]
    fn a_remembered_token_still_expires_and_can_be_revoked() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let tokens = AccessTokens::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
        let revocations = Revocations::new(clock.clone());
        let identities = Identities::new(tokens.clone(), revocations.clone(), SeenLogins::default());
        let recognise = |token: &str| identities.recognise(token, clock.now());
        let issue = || {
            let principal = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
            (principal, tokens.issue(principal, 0, clock.now(), Duration::from_mins(1)).unwrap())
        };
        let ((first, token), (second, other)) = (issue(), issue());
        for _remembered_the_second_time in 0..2 {
            assert_eq!(recognise(&token).unwrap(), first);
            assert_eq!(recognise(&other).unwrap(), second);
        }
        let expires_at = (clock.now() + Duration::from_hours(1)).into();
        revocations.add([Revocation { login_id: first.login_id, expires_at }]);
        assert_eq!(recognise(&token).unwrap_err().code(), "invalid_token");
        assert!(recognise(&other).is_ok());
        clock.advance(Duration::from_secs(70));
        assert_eq!(recognise(&other).unwrap_err().code(), "invalid_token");
    }
}
