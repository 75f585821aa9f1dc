//! Forged, altered and borrowed tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    access::AccessTokens,
    clock::Clock,
    token::{Caller as Verified, Verifier},
};
use domain::principal::Service;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Caller, Stage,
    stage::{SECRET, Setting},
    tickets::person,
};

/// HMAC-SHA256 (RFC 2104), for tokens that no honest library would make.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let padded = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac(key, message.as_bytes())))
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "at+jwt" })
}

fn claims() -> Value {
    let (person, now) = (person(), Clock::system().now().timestamp());
    json!({
        "iss": "maru-auth", "aud": "maru", "sub": person.user_id, "sid": person.login_id, "role": "user",
        "iat": now, "nbf": now, "exp": now + 300,
    })
}

/// Changes members of an object; `null` takes one out.
fn but(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(*name);
        } else {
            object[*name] = value.clone();
        }
    }
    object
}

async fn status(stage: &Stage, token: &str) -> u16 {
    let caller = Caller { token: Some(token.to_owned()), ..stage.anonymous() };
    caller.get("/memo/list").await.status
}

async fn assert_all_refused(stage: &Stage, tokens: impl IntoIterator<Item = String>) {
    assert_eq!(status(stage, &signed(&header(), &claims(), SECRET.as_bytes())).await, 200, "the forger's tools work");
    let anonymous = stage.anonymous();
    for token in tokens {
        let caller = Caller { token: Some(token.clone()), ..anonymous.clone() };
        let answer = caller.get("/memo/list").await;
        assert_eq!((answer.status, &answer.json["code"]), (401, &"invalid_token".into()), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_01_no_algorithm_is_no_signature() {
    let stage = Stage::new().await;
    let mut forged = Vec::new();
    for algorithm in ["none", "None", "NoNe", "NONE", "", "hs256"] {
        let header = but(header(), &[("alg", algorithm.into())]);
        let whole = signed(&header, &claims(), SECRET.as_bytes());
        forged.extend([format!("{}.", whole.rsplit_once('.').unwrap().0), whole]);
    }
    let missing = but(header(), &[("alg", Value::Null)]);
    forged.push(signed(&missing, &claims(), SECRET.as_bytes()));
    assert_all_refused(&stage, forged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_02_a_public_key_is_no_secret() {
    let stage = Stage::new().await;
    let jwks: Value = serde_json::from_str(&stage.public_jwks).unwrap();
    let x = jwks["keys"][0]["x"].as_str().unwrap();
    let raw = URL_SAFE_NO_PAD.decode(x).unwrap();
    let keys = [stage.public_jwks.as_bytes(), x.as_bytes(), &raw, b""];
    assert_all_refused(&stage, keys.map(|key| signed(&header(), &claims(), key))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_03_another_algorithm_is_not_taken_from_the_header() {
    let stage = Stage::new().await;
    let algorithms = ["HS384", "HS512", "EdDSA", "ES256", "RS256", "PS256"];
    let forged = algorithms.map(|name| signed(&but(header(), &[("alg", name.into())]), &claims(), SECRET.as_bytes()));
    assert_all_refused(&stage, forged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_04_a_key_id_opens_no_file_and_asks_nobody() {
    let stage = Stage::new().await;
    let mut kids = vec!["../../dev/null".to_owned(), "' OR 1=1 --".to_owned(), "gateway.1".to_owned()];
    kids.extend((0..100).map(|unknown| format!("unknown-{unknown}")));
    let forged = kids.iter().map(|kid| signed(&but(header(), &[("kid", kid.as_str().into())]), &claims(), b""));
    assert_all_refused(&stage, forged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_05_and_06_a_header_brings_no_key_and_nothing_critical() {
    let stage = Stage::new().await;
    let (key, url) = (json!({ "kty": "oct", "k": "AA" }), "http://127.0.0.1:1/keys");
    let extras = [
        ("jwk", key),
        ("jku", url.into()),
        ("x5u", url.into()),
        ("x5c", json!(["AA"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("b64", false.into()),
        ("zip", "DEF".into()),
    ];
    // Signed with the real secret: the header alone is what is refused.
    let forged = extras.map(|extra| signed(&but(header(), &[extra]), &claims(), SECRET.as_bytes()));
    assert_all_refused(&stage, forged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_07_to_11_claims_are_compared_and_none_is_optional() {
    let stage = Stage::new().await;
    let now = Clock::system().now().timestamp();
    let null = Value::Null;
    let changes: &[(&str, Value)] = &[
        ("exp", (now - 7).into()),
        ("exp", "9999999999".into()),
        ("exp", null.clone()),
        ("nbf", (now + 3_600).into()),
        ("iat", (now + 3_600).into()),
        ("iss", "gateway".into()),
        ("iss", "https://accounts.google.com".into()),
        ("iss", null.clone()),
        ("aud", "memo".into()),
        ("aud", json!(["maru"])),
        ("aud", null.clone()),
        ("sub", null.clone()),
        ("sub", "admin".into()),
        ("sid", null.clone()),
        ("role", "root".into()),
        ("role", null.clone()),
        ("rc", (-1).into()),
    ];
    let mut forged: Vec<String> = changes
        .iter()
        .map(|change| signed(&header(), &but(claims(), std::slice::from_ref(change)), SECRET.as_bytes()))
        .collect();
    for typ in ["JWT", "refresh+jwt", "int+jwt", "svc+jwt", "AT+JWT", ""] {
        forged.push(signed(&but(header(), &[("typ", typ.into())]), &claims(), SECRET.as_bytes()));
    }
    forged.push(signed(&but(header(), &[("typ", null)]), &claims(), SECRET.as_bytes()));
    assert_all_refused(&stage, forged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_no_bit_of_a_token_can_be_changed() {
    let stage = Stage::new().await;
    let token = signed(&header(), &claims(), SECRET.as_bytes());
    let parts: Vec<&str> = token.split('.').collect();
    let admin = URL_SAFE_NO_PAD.encode(but(claims(), &[("role", "admin".into())]).to_string());
    let deep = URL_SAFE_NO_PAD.encode(format!("{}1{}", "[".repeat(600), "]".repeat(600)));
    let mut forged = vec![
        format!("{}.{admin}.{}", parts[0], parts[2]),
        format!("{}.{deep}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        token[..token.len() - 1].to_owned(),
        format!("{token}."),
        format!("{token}="),
        format!("{token}.{}", parts[2]),
        "...".to_owned(),
    ];
    let other = |letter: char| if letter == 'A' { "B" } else { "A" };
    for (at, letter) in token.char_indices().filter(|(_, letter)| *letter != '.') {
        let changed = format!("{}{}{}", &token[..at], other(letter), &token[at + 1..]);
        // The last letter of a part has bits that mean nothing; a strict reader refuses them too.
        forged.push(changed);
    }
    assert_all_refused(&stage, forged).await;
    for length in [5_000, 12_000] {
        assert_eq!(status(&stage, &"a".repeat(length)).await, 431);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_48_a_rotated_secret_counts_until_it_is_taken_out() {
    const BEFORE: &str = "fedcba9876543210fedcba9876543210";
    let old = AccessTokens::new(&SecretString::from(BEFORE));
    let old = old.issue(person(), 0, Clock::system().now(), std::time::Duration::from_mins(5)).unwrap();
    let during = Setting::default().secret_before(BEFORE).start().await;
    let after = Stage::new().await;
    assert_eq!((status(&during, &old).await, status(&after, &old).await), (200, 401));
    for stage in [&during, &after] {
        stage.person().1.get("/memo/list").await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_48_both_keys_of_a_rotation_are_trusted_and_a_removed_one_is_not() {
    let stages = [Stage::new().await, Setting::default().kid("gateway.2").start().await];
    let sets = [0, 1].map(|at| serde_json::from_str::<Value>(&stages[at].public_jwks).unwrap());
    let both = json!({ "keys": [sets[0]["keys"][0], sets[1]["keys"][0]] }).to_string();
    let (both, only_new) = (Verifier::new(&both).unwrap(), Verifier::new(&sets[1].to_string()).unwrap());
    for (at, stage) in stages.iter().enumerate() {
        let (principal, person) = stage.person();
        let answer = person.get("/memo/list").await.assert_status(200);
        let token = answer.received("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned();
        let verify = |verifier: &Verifier| verifier.verify(&token, Service::Memo, Clock::system().now());
        let expected = Verified { service: Service::Gateway, person: Some(principal), is_own: false };
        assert_eq!(verify(&both).unwrap(), expected);
        assert_eq!(verify(&only_new).is_ok(), at == 1);
        // Borrowed for another service it is worth nothing.
        assert!(both.verify(&token, Service::Auth, Clock::system().now()).is_err());
    }
}
