//! What the provider answers, properly or not.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    body::to_bytes,
    http::{
        Method,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION},
    },
    web,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Endpoint, Misbehaviour, State, grant};

/// Bytes of one chunk of a huge body.
const CHUNK: usize = 64 * 1024;

impl Endpoint {
    const ALL: [Self; 4] = [Self::Discovery, Self::Jwks, Self::Authorize, Self::Token];

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Jwks => "/jwks",
            Self::Authorize => "/authorize",
            Self::Token => "/token",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Token => Method::POST,
            _ => Method::GET,
        }
    }
}

/// Answers any request.
pub(super) async fn serve(state: web::Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let Some(endpoint) = Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == request.path()) else {
        return HttpResponse::NotFound().finish();
    };
    let misbehaviour = {
        let mut script = state.script();
        *script.requests.entry(endpoint).or_default() += 1;
        script.misbehaviours.get(&endpoint).cloned()
    };
    if endpoint.method() != request.method() {
        return HttpResponse::MethodNotAllowed().finish();
    }
    match misbehaviour {
        Some(Misbehaviour::Status(status)) => page(status),
        Some(Misbehaviour::NotJson) => page(200),
        Some(Misbehaviour::Instead(document)) => HttpResponse::Ok().json(document),
        Some(Misbehaviour::Redirect(to)) => HttpResponse::TemporaryRedirect().insert_header((LOCATION, to)).finish(),
        Some(Misbehaviour::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            answer(&state, endpoint, &request, &body)
        }
        Some(Misbehaviour::Huge(blanks)) => swell(answer(&state, endpoint, &request, &body), blanks).await,
        None => answer(&state, endpoint, &request, &body),
    }
}

fn answer(state: &State, endpoint: Endpoint, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    match endpoint {
        Endpoint::Discovery => cacheable(Duration::from_hours(1)).json(discovery(state)),
        Endpoint::Jwks => {
            let max_age = state.script().jwks_max_age;
            cacheable(max_age).json(state.keys.jwks())
        }
        Endpoint::Authorize => grant::authorize(state, request.query_string()),
        Endpoint::Token => grant::exchange(state, request, body),
    }
}

fn cacheable(max_age: Duration) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, format!("public, max-age={}, must-revalidate", max_age.as_secs())));
    response
}

fn discovery(state: &State) -> Value {
    let url = |endpoint: Endpoint| format!("{}{}", state.issuer, endpoint.path());
    json!({
        "issuer": state.issuer,
        "authorization_endpoint": url(Endpoint::Authorize),
        "token_endpoint": url(Endpoint::Token),
        "jwks_uri": url(Endpoint::Jwks),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
    })
}

fn page(status: u16) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).expect("an HTTP status");
    HttpResponse::build(status).content_type("text/html").body("<!doctype html><title>Something is wrong</title>")
}

/// Adds blanks to a document, which stays the document that it is.
async fn swell(response: HttpResponse, blanks: usize) -> HttpResponse {
    let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
    let document = to_bytes(response.into_body()).await.unwrap_or_default();
    let blank = Bytes::from(vec![b' '; CHUNK]);
    let padding = stream::repeat(blank).take(blanks.div_ceil(CHUNK));
    let body = stream::once(std::future::ready(document)).chain(padding).map(Ok::<_, actix_web::Error>);
    let mut swollen = HttpResponse::build(status);
    if let Some(kind) = kind {
        swollen.insert_header((CONTENT_TYPE, kind));
    }
    swollen.streaming(body)
}
