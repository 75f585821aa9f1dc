//! Who makes a request, as far as its route cares, and whether they may make it now.

use chassis::problem::{Outcome, Problem};
use domain::{fault::common, principal::Principal};
use http::HeaderValue;

use crate::{
    gate::{Arrival, Gate, Notes},
    identity::{Credential, credential},
    limit::{Taken, Who},
    route::{Access, Route},
};

/// Who makes a request.
#[derive(Debug, Default)]
pub struct Caller {
    /// The signed-in person, if there is one.
    pub person: Option<Principal>,
    /// A token that only the service can judge.
    pub guest_token: Option<HeaderValue>,
}

/// Recognises whoever makes a request, and counts it.
///
/// # Errors
/// 401 for nobody or bad credentials where somebody is needed, 403 for a page that uses another's cookie, 429 for too
/// many requests.
pub async fn admit(
    gate: &Gate,
    arrival: &Arrival<'_>,
    route: &Route,
    upgrade: bool,
    notes: &mut Notes,
) -> Outcome<Caller> {
    let recognised = recognise(gate, arrival, route, upgrade);
    let person = recognised.as_ref().ok().and_then(|caller| caller.person).map(|person| person.user_id);
    count(gate.limits.take_usual(Who::new(person, arrival.address)), notes)?;
    let caller = recognised?;
    if let Some(taken) = gate.limits.take(route.limit, person, arrival.address).await {
        count(taken, notes)?;
    }
    Ok(caller)
}

/// Keeps what the answer tells about a limit, and refuses what is over it.
///
/// # Errors
/// 429 `too_many_requests`.
pub fn count(taken: Taken, notes: &mut Notes) -> Outcome<()> {
    notes.limit = Some(taken.fields);
    if taken.is_allowed { Ok(()) } else { Err(Problem::from(common::TOO_MANY).retry_after(taken.retry_after)) }
}

/// Finds out who makes a request, as far as its route cares.
fn recognise(gate: &Gate, arrival: &Arrival<'_>, route: &Route, upgrade: bool) -> Outcome<Caller> {
    let Arrival { request, asking, .. } = arrival;
    if route.access == Access::Public {
        return Ok(Caller::default());
    }
    let caller = match credential(request.headers())? {
        Credential::None => Caller::default(),
        Credential::Bearer(token) => match gate.identities.recognise(token) {
            Ok(person) => Caller { person: Some(person), guest_token: None },
            Err(_not_ours) if route.access == Access::Guest => {
                let token = HeaderValue::from_str(token).map_err(|_not_text| Problem::from(common::INVALID_TOKEN))?;
                Caller { person: None, guest_token: Some(token) }
            }
            Err(refused) => return Err(refused),
        },
        Credential::Cookie(token) => {
            if !request.method().is_safe() {
                asking.require_known()?;
            }
            match gate.identities.recognise(token) {
                Ok(person) => Caller { person: Some(person), guest_token: None },
                // A browser sends a stale cookie along whether the page means it or not, and cannot leave it out of a
                // WebSocket's handshake; the page's own ticket or first frame says who it is. And whoever leaves with a
                // stale cookie wants to be rid of it.
                Err(_stale) if upgrade || route.forgets_stale_cookies => Caller::default(),
                Err(refused) => return Err(refused),
            }
        }
    };
    if route.access == Access::Person && caller.person.is_none() {
        return Err(common::UNAUTHENTICATED.into());
    }
    Ok(caller)
}
