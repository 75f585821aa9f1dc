//! Consent, and the exchange of a code for a token.

use std::{collections::BTreeMap, ops::RangeInclusive};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION, WWW_AUTHENTICATE},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{CLIENT_ID, CLIENT_SECRET, Identity, State};
use crate::database::random_id;

/// How long a code may be exchanged.
const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long a code verifier may be (RFC 7636, 4.1).
const VERIFIER_LENGTH: RangeInclusive<usize> = 43..=128;

type Form = BTreeMap<String, String>;

/// What somebody has consented to, until the code for it is presented.
pub(super) struct Grant {
    person: Identity,
    redirect_uri: String,
    nonce: Option<String>,
    challenge: Option<String>,
    expires_at: DateTime<Utc>,
}

fn read(form: &[u8]) -> Form {
    form_urlencoded::parse(form).into_owned().collect()
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map(String::as_str).unwrap_or_default()
}

/// Sends the browser back, with a code when somebody is there and the request is sound.
pub(super) fn authorize(state: &State, query: &str) -> HttpResponse {
    let query = read(query.as_bytes());
    // Without a client or a way back there is nobody to send the error to.
    let Ok(mut back) = Url::parse(field(&query, "redirect_uri")) else {
        return HttpResponse::BadRequest().body("redirect_uri is not an address");
    };
    if field(&query, "client_id") != CLIENT_ID {
        return HttpResponse::BadRequest().body("client_id is unknown");
    }
    match consent(state, &query) {
        Ok(code) => back.query_pairs_mut().append_pair("code", &code),
        Err(error) => back.query_pairs_mut().append_pair("error", error),
    };
    if let Some(state) = query.get("state") {
        back.query_pairs_mut().append_pair("state", state);
    }
    HttpResponse::Found().insert_header((LOCATION, back.as_str())).finish()
}

fn consent(state: &State, query: &Form) -> Result<String, &'static str> {
    if field(query, "response_type") != "code" {
        return Err("unsupported_response_type");
    }
    if !field(query, "scope").split(' ').any(|scope| scope == "openid") {
        return Err("invalid_scope");
    }
    let challenge = query.get("code_challenge").cloned();
    if challenge.is_some() && field(query, "code_challenge_method") != "S256" {
        return Err("invalid_request");
    }
    let mut script = state.script();
    let person = script.person.clone().ok_or("access_denied")?;
    let code = format!("4/{}", random_id().simple());
    let grant = Grant {
        person,
        redirect_uri: field(query, "redirect_uri").to_owned(),
        nonce: query.get("nonce").cloned(),
        challenge,
        expires_at: state.clock.now() + CODE_LIFE,
    };
    script.grants.insert(code.clone(), grant);
    Ok(code)
}

/// Exchanges a code, which is gone afterwards whether it was good or not.
pub(super) fn exchange(state: &State, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    let form = read(body);
    if !is_the_client(request, &form) {
        let refusal = json!({ "error": "invalid_client", "error_description": "Unauthorized" });
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Basic")).json(refusal);
    }
    match redeem(state, &form) {
        Ok(grant) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(tokens(state, grant)),
        Err(error) => {
            HttpResponse::BadRequest().insert_header((CACHE_CONTROL, "no-store")).json(json!({ "error": error }))
        }
    }
}

/// Finds the client's id and secret in the form or, by the rules of RFC 6749 (2.3.1), in the header; never in both.
fn is_the_client(request: &HttpRequest, form: &Form) -> bool {
    let (id, secret) = (field(form, "client_id"), field(form, "client_secret"));
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return (id, secret) == (CLIENT_ID, CLIENT_SECRET);
    };
    let basic = header.to_str().ok().and_then(|value| value.strip_prefix("Basic "));
    let decoded = basic.and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, secret)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) else { return false };
    let plain = |text: &str| form_urlencoded::parse(text.as_bytes()).next().map(|(key, _)| key.into_owned());
    let known = (plain(id).as_deref(), plain(secret).as_deref()) == (Some(CLIENT_ID), Some(CLIENT_SECRET));
    known && !form.contains_key("client_secret")
}

fn redeem(state: &State, form: &Form) -> Result<Grant, &'static str> {
    if field(form, "grant_type") != "authorization_code" {
        return Err("unsupported_grant_type");
    }
    let code = form.get("code").ok_or("invalid_request")?;
    let grant = state.script().grants.remove(code).ok_or("invalid_grant")?;
    let verifier = form.get("code_verifier");
    let proof = verifier.map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
    // Equal in being absent too: a verifier without a challenge is a sign of a code from elsewhere.
    let sound = grant.redirect_uri == field(form, "redirect_uri")
        && verifier.is_none_or(|verifier| VERIFIER_LENGTH.contains(&verifier.len()))
        && grant.challenge == proof
        && state.clock.now() < grant.expires_at;
    if sound { Ok(grant) } else { Err("invalid_grant") }
}

fn tokens(state: &State, grant: Grant) -> serde_json::Value {
    let access_token = format!("ya29.{}", random_id().simple());
    let digest = Sha256::digest(&access_token);
    let at_hash = URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default());
    let mut draft = state.draft(&grant.person).claim("at_hash", at_hash);
    if let Some(nonce) = grant.nonce {
        draft = draft.claim("nonce", nonce);
    }
    let bend = state.script().bend.clone();
    if let Some(bend) = bend {
        draft = bend(draft);
    }
    json!({
        "access_token": access_token,
        "expires_in": super::TOKEN_SECONDS,
        "scope": "openid email profile",
        "token_type": "Bearer",
        "id_token": draft.sign(),
    })
}
