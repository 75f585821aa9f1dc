//! The access token people's apps carry: HS256 with a secret that only the issuing service and the gateway hold.

use chrono::{DateTime, Utc};
use clap::Args;
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    config::Faults,
    jwt::{self, Expected, Refused, Registered},
    mac::Mac,
};

const EXPECTED: Expected<'static> = Expected { typ: "at+jwt", issuer: "maru-auth", audience: "maru" };

/// The secret of access tokens.
#[derive(Args, Clone, Debug)]
pub struct AccessConfig {
    /// Secret of access tokens (HS256), at least 32 bytes, shared by auth and the gateway only.
    #[arg(long, env = "JWT_SECRET")]
    pub jwt_secret: SecretString,
    /// The secret before this one: what it signed still counts, nothing new is signed with it.
    #[arg(long, env = "JWT_SECRET_PREVIOUS")]
    pub jwt_secret_previous: Option<SecretString>,
}

impl AccessConfig {
    /// Checks the strength of both.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check_secret("JWT_SECRET", &self.jwt_secret);
        if let Some(previous) = &self.jwt_secret_previous {
            faults.check_secret("JWT_SECRET_PREVIOUS", previous);
        }
    }

    /// Returns what issues and verifies tokens with these secrets.
    pub fn tokens(&self) -> AccessTokens {
        let tokens = AccessTokens::new(&self.jwt_secret);
        match &self.jwt_secret_previous {
            Some(previous) => tokens.accepting(previous),
            None => tokens,
        }
    }

    /// Derives the key of another purpose from these secrets.
    pub fn mac(&self, purpose: &str) -> Mac {
        Mac::new(&self.jwt_secret, self.jwt_secret_previous.as_ref(), purpose)
    }
}

/// Claims of an access token. No name and no address: a token ends up in places its owner never sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: LoginId,
    role: Role,
    /// How often the login had been refreshed; left out while it never was.
    #[serde(default, skip_serializing_if = "is_zero")]
    rc: u32,
    iat: i64,
    nbf: i64,
    exp: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Registered for Claims {
    fn registered(&self) -> (&str, &str, i64, i64) {
        (&self.iss, &self.aud, self.iat.max(self.nbf), self.exp)
    }
}

/// A verified access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who it speaks for.
    pub principal: Principal,
    /// How often its login had been refreshed when it was issued.
    pub refresh_counter: u32,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// Issues and verifies access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    previous: Option<DecodingKey>,
}

impl AccessTokens {
    /// Takes the shared secret; its strength is checked with the configuration.
    pub fn new(secret: &SecretString) -> Self {
        let bytes = secret.expose_secret().as_bytes();
        Self { encoding: EncodingKey::from_secret(bytes), decoding: DecodingKey::from_secret(bytes), previous: None }
    }

    /// Also accepts what was signed with an earlier secret.
    #[must_use]
    pub fn accepting(mut self, previous: &SecretString) -> Self {
        self.previous = Some(DecodingKey::from_secret(previous.expose_secret().as_bytes()));
        self
    }

    /// Issues a token to a login that has been refreshed `refresh_counter` times.
    ///
    /// # Errors
    /// Returns the library's error; with a sound secret it does not happen.
    pub fn issue(
        &self,
        principal: Principal,
        refresh_counter: u32,
        now: DateTime<Utc>,
        life: std::time::Duration,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let issued_at = now.timestamp();
        let claims = Claims {
            iss: EXPECTED.issuer.to_owned(),
            aud: EXPECTED.audience.to_owned(),
            sub: principal.user_id,
            sid: principal.login_id,
            role: principal.role,
            rc: refresh_counter,
            iat: issued_at,
            nbf: issued_at,
            exp: issued_at.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
        };
        jwt::sign(Algorithm::HS256, EXPECTED.typ, None, &claims, &self.encoding)
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// Refuses anything but a valid access token of ours.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Access, Refused> {
        let verified = jwt::verify(token, Algorithm::HS256, &self.decoding, EXPECTED, now);
        let claims: Claims = match (verified, &self.previous) {
            (Err(_), Some(previous)) => jwt::verify(token, Algorithm::HS256, previous, EXPECTED, now)?,
            (verified, _) => verified?,
        };
        let instant = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(Refused("time out of range"));
        Ok(Access {
            principal: Principal { user_id: claims.sub, login_id: claims.sid, role: claims.role },
            refresh_counter: claims.rc,
            issued_at: instant(claims.iat)?,
            expires_at: instant(claims.exp)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::clock::Clock;

    fn tokens() -> AccessTokens {
        AccessTokens::new(&SecretString::from("0123456789abcdef0123456789abcdef"))
    }

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn principal() -> Principal {
        let clock = Clock::manual(start());
        Principal { user_id: clock.id(), login_id: clock.id(), role: Role::Organizer }
    }

    #[test]
    fn a_token_speaks_for_its_person_until_it_ends() {
        let (tokens, principal) = (tokens(), principal());
        let token = tokens.issue(principal, 0, start(), Duration::from_mins(1)).unwrap();
        assert_eq!(tokens.verify(&token, start()).unwrap().principal, principal);
        assert!(tokens.verify(&token, start() + Duration::from_secs(70)).is_err());
        assert!(tokens.verify(&token, start() - Duration::from_secs(10)).is_err());
    }

    #[test]
    fn the_secret_before_still_counts_and_signs_nothing_new() {
        let before = SecretString::from("0123456789abcdef0123456789abcdef");
        let after = SecretString::from("fedcba9876543210fedcba9876543210");
        let old = AccessTokens::new(&before).issue(principal(), 7, start(), Duration::from_mins(1)).unwrap();
        let during = AccessTokens::new(&after).accepting(&before);
        let new = during.issue(principal(), 0, start(), Duration::from_mins(1)).unwrap();
        assert_eq!(during.verify(&old, start()).unwrap().refresh_counter, 7);
        assert!(during.verify(&new, start()).is_ok());
        assert!(AccessTokens::new(&before).verify(&new, start()).is_err());
        assert!(AccessTokens::new(&after).verify(&old, start()).is_err());
    }

    #[test]
    fn a_changed_header_payload_or_signature_is_refused() {
        let tokens = tokens();
        let token = tokens.issue(principal(), 0, start(), Duration::from_mins(1)).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        let crit = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"at+jwt","crit":["b64"]}"#);
        let jwk = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"at+jwt","jwk":{"kty":"oct","k":"AA"}}"#);
        let forged = [
            format!("{none}.{}.", parts[1]),
            format!("{crit}.{}.{}", parts[1], parts[2]),
            format!("{jwk}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], &parts[2][1..]),
            format!("{token}."),
            "a".repeat(5000),
            String::new(),
        ];
        for token in forged {
            assert!(tokens.verify(&token, start()).is_err(), "{token}");
        }
    }
}
