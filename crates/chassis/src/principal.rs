//! Authority as handler arguments: a handler that forgets to ask for it does not get the caller at all.
//!
//! Every route of a service stands behind [`require_caller`], which verifies the internal token; the extractors below
//! read what it found. Nothing is ever taken from a header that a client could set.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use domain::{
    fault::common,
    principal::{Principal, Role, Service},
};

use crate::{
    clock::Clock,
    problem::Problem,
    token::{Caller, Verifier},
};

/// What a service needs to recognise its callers.
#[derive(Clone)]
pub struct Gatekeeper {
    /// The service itself: the audience its callers' tokens must name.
    pub service: Service,
    /// The keys it trusts.
    pub verifier: Verifier,
    /// The clock tokens are judged by.
    pub clock: Clock,
}

/// Lets a request through only with a valid internal token, and keeps who made it.
pub async fn require_caller<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let caller = recognise(&req)?;
    req.extensions_mut().insert(caller);
    next.call(req).await
}

fn recognise(req: &ServiceRequest) -> Result<Caller, Problem> {
    let gatekeeper =
        req.app_data::<web::Data<Gatekeeper>>().ok_or_else(|| Problem::unexpected("no gatekeeper is registered"))?;
    let token = req
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(common::UNAUTHENTICATED)?;
    gatekeeper
        .verifier
        .verify(token, gatekeeper.service, gatekeeper.clock.now())
        .map_err(|refused| Problem::from(common::INVALID_TOKEN).caused_by(refused))
}

fn caller(req: &HttpRequest) -> Result<Caller, Problem> {
    req.extensions().get::<Caller>().copied().ok_or_else(|| Problem::from(common::UNAUTHENTICATED))
}

/// A signed-in person.
#[derive(Clone, Copy, Debug)]
pub struct Person(pub Principal);

impl FromRequest for Person {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let person = caller(req).and_then(|c| c.person.ok_or_else(|| Problem::from(common::UNAUTHENTICATED)));
        ready(person.map(Self))
    }
}

/// A signed-in person, or nobody: for what the public may see.
#[derive(Clone, Copy, Debug)]
pub struct Anyone(pub Option<Principal>);

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(caller(req).map(|c| Self(c.person)))
    }
}

/// A signed-in person who may run events.
#[derive(Clone, Copy, Debug)]
pub struct Organizer(pub Principal);

impl FromRequest for Organizer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(match Person::from_request(req, payload).into_inner() {
            Ok(Person(person)) if person.role >= Role::Organizer => Ok(Self(person)),
            Ok(_) => Err(common::FORBIDDEN.into()),
            Err(problem) => Err(problem),
        })
    }
}

/// Another process of ours that calls on its own account, for `/internal` routes. What the gateway passes on for a
/// client is never that, whoever the client is.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Caller);

impl FromRequest for Peer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(caller(req).and_then(|c| if c.is_own { Ok(Self(c)) } else { Err(common::NOT_FOUND.into()) }))
    }
}

macro_rules! peers {
    ($($(#[$doc:meta])* $name:ident is $($service:ident)|+;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(());

        impl FromRequest for $name {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
                ready(caller(req).and_then(|c| {
                    if c.is_own && matches!(c.service, $(Service::$service)|+) { Ok(Self(())) } else { Err(common::NOT_FOUND.into()) }
                }))
            }
        }
    )+};
}

peers! {
    /// The gateway on its own account, and no other process of ours.
    GatewayPeer is Gateway;
    /// The session service on its own account, and no other process of ours.
    SessionPeer is Session;
    /// The auth service on its own account, and no other process of ours: it answers for accounts, and for their end.
    AuthPeer is Auth;
    /// Whoever is shown access tokens in packets that the gateway does not read.
    ReceptionPeer is Ticketing | Emotion;
    /// Whoever has connections of logins to close when these end.
    DoorkeeperPeer is Gateway | Ticketing | Emotion;
}
