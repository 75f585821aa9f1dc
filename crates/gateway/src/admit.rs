//! Who makes a request, as far as its route cares, and whether they may make it now.

use chassis::problem::{Outcome, Problem};
use domain::{fault::common, principal::Principal};
use http::HeaderValue;
use tokio::time::Instant;

use crate::{
    faults::INVALID_TICKET,
    gate::{Arrival, Gate, Notes},
    identity::{Credential, credential},
    limit::{Taken, Who},
    route::{Access, Route},
    ticket::{self, Burnt},
};

/// Who makes a request.
#[derive(Debug, Default)]
pub struct Caller {
    /// The signed-in person, if there is one.
    pub person: Option<Principal>,
    /// A token that only the service can judge.
    pub guest_token: Option<HeaderValue>,
    /// The ticket that told who it is.
    pub ticket: Option<Burnt>,
}

impl Caller {
    fn person(person: Principal) -> Self {
        Self { person: Some(person), ..Self::default() }
    }
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
    if let Some(ticket) = ticket::shown(arrival.request, route.kind, upgrade)? {
        return Box::pin(admit_by_ticket(gate, arrival, route, ticket, notes)).await;
    }
    let recognised = recognise(gate, arrival, route, upgrade);
    let person = recognised.as_ref().ok().and_then(|caller| caller.person).map(|person| person.user_id);
    let whoever = Who::new(person, arrival.address);
    count(gate.limits.take_usual(whoever, arrival.context.started), notes)?;
    let caller = recognised?;
    if let Some(taken) = gate.limits.take(route.limit, person, arrival.address).await {
        count(taken, notes)?;
    }
    Ok(caller)
}

/// Lets in whoever a ticket was given to; a cookie beside it was the browser's idea, and says nothing.
async fn admit_by_ticket(
    gate: &Gate,
    arrival: &Arrival<'_>,
    route: &Route,
    ticket: &str,
    notes: &mut Notes,
) -> Outcome<Caller> {
    // Counted before it is redeemed, so that made-up ones stop here.
    let whoever = Who::new(None, arrival.address);
    count(gate.limits.take_usual(whoever, arrival.context.started), notes)?;
    match gate.tickets.redeem(ticket).await? {
        Some((person, burnt)) if !gate.revocations.contains(person.login_id) => {
            gate.limits.give_back_usual(whoever);
            // Not when it came: to redeem a ticket takes what the auth service takes.
            count(gate.limits.take_usual(Who::Person(person.user_id), Instant::now()), notes)?;
            Ok(Caller { ticket: Some(burnt), ..Caller::person(person) })
        }
        None if route.access == Access::Guest => Ok(Caller::default()),
        _ => Err(INVALID_TICKET.into()),
    }
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
        Credential::Bearer(token) => match gate.identities.recognise(token, arrival.context.at) {
            Ok(person) => Caller::person(person),
            Err(_not_ours) if route.access == Access::Guest => {
                let token = HeaderValue::from_str(token).map_err(|_not_text| Problem::from(common::INVALID_TOKEN))?;
                Caller { guest_token: Some(token), ..Caller::default() }
            }
            Err(refused) => return Err(refused),
        },
        Credential::Cookie(token) => {
            if !request.method().is_safe() {
                asking.require_known()?;
            }
            match gate.identities.recognise(token, arrival.context.at) {
                Ok(person) => Caller::person(person),
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
