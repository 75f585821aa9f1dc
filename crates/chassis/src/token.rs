//! The internal token: what one process of ours shows another.
//!
//! The gateway mints an Ed25519-signed token of 60 s per upstream, services hold public keys only and verify every
//! call, so a service reached around the gateway refuses. A service that calls another signs with its own key. A key's
//! id begins with its owner's name (`gateway.1`), and a token counts only when its issuer is that owner.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use clap::Args;
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, EllipticCurve},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    config::Faults,
    jwt::{self, Expected, Refused, Registered},
    recent::{AsTheyAre, Recent},
};

/// Life of an internal token, seconds: long enough for a slow request, too short to be worth stealing.
pub const LIFE_SECONDS: i64 = 60;
/// The `typ` of internal tokens.
const TYP: &str = "int+jwt";
/// Most verified tokens remembered per process: as many as people who come to one sale within a token's life. One costs
/// about 150 bytes, verifying one 35 us on a new machine and 90 on an old one.
const REMEMBERED: usize = 131_072;

/// Public keys of the processes whose calls are accepted.
#[derive(Args, Clone, Debug)]
pub struct TrustConfig {
    /// JSON Web Key Set of Ed25519 public keys, each `kid` `<service>.<number>`.
    #[arg(long, env = "INTERNAL_PUBLIC_KEYS")]
    pub internal_public_keys: String,
}

impl TrustConfig {
    /// Checks that the set can be read and is not empty.
    pub fn validate(&self, faults: &mut Faults) {
        if let Err(error) = Verifier::new(&self.internal_public_keys) {
            faults.add("INTERNAL_PUBLIC_KEYS", error.to_string());
        }
    }
}

/// The key a process signs its internal tokens with.
#[derive(Args, Clone, Debug)]
pub struct SigningConfig {
    /// Private key of this process's internal tokens: Ed25519, PKCS#8 PEM.
    #[arg(long, env = "INTERNAL_SIGNING_KEY")]
    pub internal_signing_key: SecretString,
    /// Id of that key, as the services' key sets name it; the service's name with `.1` after it unless set.
    #[arg(long, env = "INTERNAL_SIGNING_KID")]
    pub internal_signing_kid: Option<String>,
}

impl SigningConfig {
    /// Checks that the key can be read and that its id names its owner.
    pub fn validate(&self, service: Service, faults: &mut Faults) {
        if self.signer(service).is_err() {
            faults.add(
                "INTERNAL_SIGNING_KEY",
                "is not an Ed25519 private key in PKCS#8 PEM (try: openssl genpkey -algorithm ed25519)",
            );
        }
        if self.kid(service).split('.').next() != Some(service.name()) {
            let fault = format!("must begin with `{service}.`: services trust a key for its owner only");
            faults.add("INTERNAL_SIGNING_KID", fault);
        }
    }

    /// Returns what signs with this key.
    ///
    /// # Errors
    /// Returns the library's error when the key cannot be read.
    pub fn signer(&self, service: Service) -> Result<Signer, jsonwebtoken::errors::Error> {
        Signer::new(service, &self.kid(service), &self.internal_signing_key)
    }

    fn kid(&self, service: Service) -> String {
        self.internal_signing_kid.clone().unwrap_or_else(|| format!("{service}.1"))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The person, or the calling service where there is none.
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<LoginId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// Whether the issuer calls on its own account, and does not pass a client's request on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own: bool,
    iat: i64,
    exp: i64,
}

impl Registered for Claims {
    fn registered(&self) -> (&str, &str, i64, i64) {
        (&self.iss, &self.aud, self.iat, self.exp)
    }
}

/// Who made a call: a process of ours, and the person behind it, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The process.
    pub service: Service,
    /// The person.
    pub person: Option<Principal>,
    /// Whether the process calls on its own account; `false` when it passes a client's request on.
    pub is_own: bool,
}

/// Mints internal tokens.
#[derive(Clone)]
pub struct Signer {
    service: Service,
    kid: String,
    key: EncodingKey,
}

impl Signer {
    /// Takes a private key in PKCS#8 PEM.
    ///
    /// # Errors
    /// Returns the library's error when the key cannot be read.
    pub fn new(service: Service, kid: &str, pem: &SecretString) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_ed_pem(pem.expose_secret().as_bytes())?;
        Ok(Self { service, kid: kid.to_owned(), key })
    }

    /// Mints a token for a client's request that is passed on to `audience`.
    ///
    /// # Errors
    /// Returns the library's error when the key is not an Ed25519 key.
    pub fn mint(
        &self,
        audience: Service,
        person: Option<Principal>,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(audience, person, false, now)
    }

    /// Mints a token for a call of this process's own to `audience`; only such a token opens internal routes.
    ///
    /// # Errors
    /// Returns the library's error when the key is not an Ed25519 key.
    pub fn mint_call(
        &self,
        audience: Service,
        person: Option<Principal>,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(audience, person, true, now)
    }

    fn sign(
        &self,
        audience: Service,
        person: Option<Principal>,
        own: bool,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: self.service.name().to_owned(),
            aud: audience.name().to_owned(),
            sub: person.map_or_else(|| format!("svc:{}", self.service), |p| p.user_id.to_string()),
            sid: person.map(|p| p.login_id),
            role: person.map(|p| p.role),
            own,
            iat: now.timestamp(),
            exp: now.timestamp() + LIFE_SECONDS,
        };
        jwt::sign(Algorithm::EdDSA, TYP, Some(&self.kid), &claims, &self.key)
    }
}

/// Who a token spoke for and when it ends (seconds since 1970), by the token's digest.
type Remembered = Recent<[u8; 32], (Caller, i64), AsTheyAre>;

/// Verifies internal tokens; clones share what they remember.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<HashMap<String, (Service, DecodingKey)>>,
    published: Arc<str>,
    verified: Arc<Mutex<Remembered>>,
}

impl Verifier {
    /// Reads a key set.
    ///
    /// # Errors
    /// Says what is wrong with the set.
    pub fn new(jwks: &str) -> Result<Self, Refused> {
        let set: jsonwebtoken::jwk::JwkSet =
            serde_json::from_str(jwks).map_err(|_bad_json| Refused("is not a JSON Web Key Set"))?;
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().ok_or(Refused("has a key without kid"))?;
            let owner = kid.split('.').next().and_then(Service::parse);
            let owner = owner.ok_or(Refused("has a kid that does not begin with a service's name"))?;
            if !matches!(&jwk.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519)
            {
                return Err(Refused("has a key that is not an Ed25519 key"));
            }
            let key = DecodingKey::from_jwk(jwk).map_err(|_bad_key| Refused("has a key that cannot be read"))?;
            if keys.insert(kid, (owner, key)).is_some() {
                return Err(Refused("has two keys with the same kid"));
            }
        }
        if keys.is_empty() {
            return Err(Refused("has no key"));
        }
        // Written anew, so that a private part that was pasted along is not published with it.
        let published = serde_json::to_string(&set).map_err(|_unwritable| Refused("cannot be written"))?;
        Ok(Self {
            keys: Arc::new(keys),
            published: published.into(),
            verified: Arc::new(Mutex::new(Recent::hashed_by(REMEMBERED))),
        })
    }

    /// Returns the public keys as a JSON Web Key Set.
    pub fn published(&self) -> &str {
        &self.published
    }

    /// Verifies a token that was shown to `audience`.
    ///
    /// # Errors
    /// Refuses anything but a valid internal token for this audience, signed by the service it names.
    pub fn verify(&self, token: &str, audience: Service, now: DateTime<Utc>) -> Result<Caller, Refused> {
        let digest: [u8; 32] = Sha256::digest(format!("{audience}\n{token}").as_bytes()).into();
        let remembered = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest);
        if let Some((caller, expires_at)) = remembered
            && expires_at > now.timestamp()
        {
            return Ok(caller);
        }
        let header = jwt::header(token, Algorithm::EdDSA, TYP)?;
        let kid = header.kid.ok_or(Refused("no kid"))?;
        let (owner, key) = self.keys.get(&kid).ok_or(Refused("unknown kid"))?;
        let expected = Expected { typ: TYP, issuer: owner.name(), audience: audience.name() };
        let claims: Claims = jwt::claims(token, Algorithm::EdDSA, key, expected, now)?;
        let person = match (claims.sid, claims.role) {
            (Some(login_id), Some(role)) => {
                let user_id: UserId = claims.sub.parse().map_err(|_not_a_uuid| Refused("subject"))?;
                Some(Principal { user_id, login_id, role })
            }
            _ => None,
        };
        let caller = Caller { service: *owner, person, is_own: claims.own };
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).put(digest, (caller, claims.exp));
        Ok(caller)
    }
}

/// A freshly made Ed25519 key pair, for development machines and tests.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// Private key, PKCS#8 PEM.
    pub private_pem: SecretString,
    /// Public key as a JSON Web Key Set with one key.
    pub public_jwks: String,
}

impl KeyPair {
    /// Makes a key pair whose key id is `kid`.
    ///
    /// # Errors
    /// Returns an error when the machine has no randomness.
    pub fn generate(kid: &str) -> Result<Self, Refused> {
        use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&rng).map_err(|_no_entropy| Refused("no randomness"))?;
        let pair =
            Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_bad_key| Refused("the new key cannot be read"))?;
        let body = base64::engine::general_purpose::STANDARD.encode(document.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwk = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x,
        });
        let public_jwks = serde_json::json!({ "keys": [jwk] }).to_string();
        Ok(Self { private_pem: SecretString::from(pem), public_jwks })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn setup() -> (Signer, Verifier, Clock) {
        let pair = KeyPair::generate("gateway.1").unwrap();
        let signer = Signer::new(Service::Gateway, "gateway.1", &pair.private_pem).unwrap();
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        (signer, Verifier::new(&pair.public_jwks).unwrap(), clock)
    }

    #[test]
    fn a_token_is_good_for_its_audience_and_for_a_minute() {
        let (signer, verifier, clock) = setup();
        let person = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
        let token = signer.mint(Service::Memo, Some(person), clock.now()).unwrap();
        for _remembered_the_second_time in 0..2 {
            let caller = verifier.verify(&token, Service::Memo, clock.now()).unwrap();
            assert_eq!(caller, Caller { service: Service::Gateway, person: Some(person), is_own: false });
        }
        assert!(verifier.verify(&token, Service::Auth, clock.now()).is_err());
        clock.advance(Duration::from_secs(70));
        assert!(verifier.verify(&token, Service::Memo, clock.now()).is_err());
    }

    #[test]
    fn a_call_without_a_person_names_its_service() {
        let (signer, verifier, clock) = setup();
        let token = signer.mint(Service::Ticketing, None, clock.now()).unwrap();
        let caller = verifier.verify(&token, Service::Ticketing, clock.now()).unwrap();
        assert_eq!(caller, Caller { service: Service::Gateway, person: None, is_own: false });
        let own = signer.mint_call(Service::Ticketing, None, clock.now()).unwrap();
        assert!(verifier.verify(&own, Service::Ticketing, clock.now()).unwrap().is_own);
    }

    #[test]
    fn a_key_set_is_refused_for_what_would_only_show_later() {
        let pair = KeyPair::generate("gateway.1").unwrap();
        let twice = pair.public_jwks.replace("}]", "},{X}]");
        let one = pair.public_jwks.trim_start_matches("{\"keys\":[{").trim_end_matches("}]}");
        let symmetric = r#"{"keys":[{"kty":"oct","kid":"gateway.1","k":"AAAA"}]}"#;
        let nobody = pair.public_jwks.replace("gateway.1", "mallory.1");
        let private = pair.public_jwks.replace("\"crv\"", "\"d\":\"c2VjcmV0\",\"crv\"");
        assert!(Verifier::new(&twice.replace('X', one)).is_err());
        for bad in [symmetric, &nobody, "{}", r#"{"keys":[]}"#] {
            assert!(Verifier::new(bad).is_err(), "{bad}");
        }
        assert!(!Verifier::new(&private).unwrap().published().contains("c2VjcmV0"));
    }

    #[test]
    fn a_service_cannot_sign_as_another() {
        let (_, verifier, clock) = setup();
        let own = KeyPair::generate("memo.1").unwrap();
        let liar = Signer::new(Service::Gateway, "memo.1", &own.private_pem).unwrap();
        let both = Verifier::new(&own.public_jwks).unwrap();
        let token = liar.mint(Service::Auth, None, clock.now()).unwrap();
        assert_eq!(both.verify(&token, Service::Auth, clock.now()), Err(Refused("another issuer")));
        assert_eq!(verifier.verify(&token, Service::Auth, clock.now()), Err(Refused("unknown kid")));
    }
}
