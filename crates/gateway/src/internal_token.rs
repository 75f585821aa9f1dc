//! The tokens this process shows the services, minted once for many requests.

use std::{
    cell::RefCell,
    hash::{Hash, Hasher},
};

use chassis::{
    problem::{Outcome, Problem},
    recent::Recent,
    token::Signer,
};
use chrono::{DateTime, Utc};
use domain::{
    ids::Id,
    principal::{Principal, Service},
};
use http::HeaderValue;

/// How long a minted token is used, seconds: half its life, so that the slowest request still arrives with a valid one.
const USED_FOR: i64 = 30;
/// Minted tokens remembered per worker; one costs about 600 bytes, minting one 17 us.
const REMEMBERED: usize = 10_000;

/// Mints internal tokens and remembers them for a while; one per worker.
pub struct InternalTokens {
    signer: Signer,
    minted: RefCell<Recent<For, Minted>>,
}

/// Whom a token is for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct For {
    service: Service,
    person: Option<Principal>,
}

impl Hash for For {
    /// A login tells people apart; the few services it calls are told apart by comparing.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.person.map_or(0, |person| person.login_id.uuid().as_u128()));
    }
}

#[derive(Clone)]
struct Minted {
    value: HeaderValue,
    at: i64,
}

impl InternalTokens {
    /// Mints with `signer`.
    pub fn new(signer: Signer) -> Self {
        Self { signer, minted: RefCell::new(Recent::new(REMEMBERED)) }
    }

    /// Returns the `Authorization` of a call to `service` for `person`, or for nobody: services refuse callers without a
    /// token, whoever stands behind them.
    ///
    /// # Errors
    /// Returns a problem when the key cannot sign.
    pub fn authorization(
        &self,
        service: Service,
        person: Option<Principal>,
        now: DateTime<Utc>,
    ) -> Outcome<HeaderValue> {
        let key = For { service, person };
        if let Some(Minted { value, at }) = self.minted.borrow_mut().get(&key)
            && (at..at + USED_FOR).contains(&now.timestamp())
        {
            return Ok(value);
        }
        let token = self.signer.mint(service, person, now).map_err(Problem::unexpected)?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(Problem::unexpected)?;
        value.set_sensitive(true);
        self.minted.borrow_mut().put(key, Minted { value: value.clone(), at: now.timestamp() });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::{
        clock::Clock,
        token::{Caller, KeyPair, Verifier},
    };
    use domain::principal::Role;

    use super::*;

    #[test]
    fn a_token_is_used_for_half_its_life_and_is_always_valid() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let keys = KeyPair::generate("gateway.1").unwrap();
        let verifier = Verifier::new(&keys.public_jwks).unwrap();
        let signer = Signer::new(Service::Gateway, "gateway.1", &keys.private_pem).unwrap();
        let tokens = InternalTokens::new(signer);
        let authorization = |service, person| tokens.authorization(service, person, clock.now());
        let person = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
        let first = authorization(Service::Memo, Some(person)).unwrap();
        clock.advance(Duration::from_secs(29));
        assert_eq!(authorization(Service::Memo, Some(person)).unwrap(), first);
        clock.advance(Duration::from_secs(1));
        let second = authorization(Service::Memo, Some(person)).unwrap();
        assert_ne!(second, first);
        let token = second.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let caller = verifier.verify(token, Service::Memo, clock.now()).unwrap();
        assert_eq!(caller, Caller { service: Service::Gateway, person: Some(person), is_own: false });
        let nobody = authorization(Service::Memo, None).unwrap();
        assert_ne!(nobody, second);
        assert_ne!(authorization(Service::Auth, None).unwrap(), nobody);
    }
}
