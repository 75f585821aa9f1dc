//! Accounts and logins. The aliases are mounted by the service itself, under the same names.

use domain::principal::Service;

use super::{
    Access::{self, Optional, Person, Public},
    LONG, Methods, Route,
};
use crate::limit::Class;

const fn on(methods: Methods, pattern: &'static str, access: Access) -> Route {
    Route::new(methods, pattern, Service::Auth, access)
}

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const DELETE: Methods = Methods::DELETE;

pub(super) const ROUTES: &[Route] = &[
    on(POST, "/register", Public).limit(Class::Register),
    on(POST, "/login", Public).limit(Class::Login),
    on(POST, "/change-password", Person),
    on(POST, "/auth/refresh", Public).limit(Class::Refresh),
    on(POST, "/auth/logout", Optional).forgetting_stale_cookies(),
    on(POST, "/auth/google/callback", Public).limit(Class::Login),
    on(GET, "/auth/google/login", Public),
    on(GET.and(Methods::PATCH).and(DELETE), "/user/me", Person),
    on(GET, "/user/me/export", Person).patience(LONG),
    on(GET, "/auth/me", Person),
    // Asked for after the account is gone; the receipt's id is the secret.
    on(GET, "/auth/erasures/{receipt_id}", Public),
    on(GET.and(DELETE), "/auth/sessions", Person),
    on(DELETE, "/auth/sessions/{sid}", Person),
    on(POST, "/auth/verify-email", Optional).limit(Class::Reset),
    on(POST, "/auth/password-reset", Public).limit(Class::Reset),
    on(POST, "/auth/password-reset/confirm", Public).limit(Class::Reset),
    on(POST, "/auth/ws-ticket", Person),
    on(GET, "/.well-known/jwks.json", Public),
    on(POST, "/api/v1/auth/register", Public).limit(Class::Register),
    on(POST, "/api/v1/auth/login", Public).limit(Class::Login),
    on(POST, "/api/v1/auth/refresh", Public).limit(Class::Refresh),
    on(POST, "/api/v1/auth/logout", Optional).forgetting_stale_cookies(),
    on(GET, "/api/v1/auth/me", Person),
    on(POST, "/api/auth/register", Public).limit(Class::Register),
    on(POST, "/api/auth/login", Public).limit(Class::Login),
    on(POST, "/api/auth/refresh", Public).limit(Class::Refresh),
    on(POST, "/api/auth/logout", Optional).forgetting_stale_cookies(),
    on(GET, "/api/auth/me", Person),
];
