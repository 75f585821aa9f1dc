//! Services, reached around the gateway: their ports are open to whoever is inside the network.

use std::time::Duration;

use chassis::{
    clock::Clock,
    token::{KeyPair, Signer},
};
use domain::principal::{Principal, Role, Service};
use serde_json::Value;

use super::{
    House,
    things::{claims, method},
};
use crate::person::Person;

/// What a service shows to probes and operators, without a token; no route of it is open to clients.
const OPEN: [&str; 1] = ["GET /.well-known/jwks.json"];

/// Tokens that are none for a service, each with what is wrong with it.
fn worthless(house: &House, signer: &Signer, service: Service) -> Vec<(&'static str, String)> {
    let now = Clock::system().now();
    let person = Some(principal(&house.kim));
    let another = if service == Service::Memo { Service::Session } else { Service::Memo };
    let stranger = |kid: &str| {
        let pair = KeyPair::generate(kid).expect("a key pair");
        Signer::new(Service::Gateway, kid, &pair.private_pem).expect("a signer")
    };
    let minted = |signer: &Signer, audience, at| signer.mint(audience, person, at).expect("a token");
    let own = |signer: &Signer| signer.mint_call(service, person, now).expect("a token");
    let good = minted(signer, service, now);
    let (content, signature) = good.rsplit_once('.').expect("three parts");
    let mut other_head = content.to_owned();
    other_head.insert(10, 'A');
    vec![
        ("somebody's access token", house.kim.token.clone().expect("signed in")),
        ("for another service", minted(signer, another, now)),
        ("an hour old", minted(signer, service, now - Duration::from_hours(1))),
        ("of tomorrow", minted(signer, service, now + Duration::from_hours(24))),
        ("signed by somebody with a key of that name", minted(&stranger("gateway.1"), service, now)),
        ("signed by somebody, on its own account", own(&stranger("gateway.1"))),
        ("signed by a key nobody knows", minted(&stranger("gateway.9"), service, now)),
        ("of a process that is none", minted(&stranger("nobody.1"), service, now)),
        ("without its signature", format!("{content}.")),
        ("with half a signature", format!("{content}.{}", &signature[..40])),
        ("with another head", format!("{other_head}.{signature}")),
        ("signed by none", unsigned(&good)),
        ("no token", "x".to_owned()),
        ("nothing", String::new()),
    ]
}

/// The same claims under a head that says that none signed them.
fn unsigned(token: &str) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).expect("three parts");
    format!("{}.{payload}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"int+jwt","kid":"gateway.1"}"#))
}

fn principal(person: &Person) -> Principal {
    let claims = claims(person.token.as_deref().expect("signed in"));
    let id = |name: &str| claims[name].as_str().expect("an id").to_owned();
    Principal {
        user_id: id("sub").parse().expect("an id"),
        login_id: id("sid").parse().expect("an id"),
        role: Role::User,
    }
}

/// The gateway's own key: what it signs is what it would pass on.
fn gateways_signer(house: &House) -> Signer {
    let key = house.stack.secrets()["signing_keys"]["gateway"].as_str().expect("a key").to_owned();
    Signer::new(Service::Gateway, "gateway.1", &key.into()).expect("a signer")
}

/// Returns every replica's address, with the service it is of.
fn replicas(house: &House) -> Vec<(Service, String)> {
    let services = house.stack.status["services"].as_object().expect("services");
    let all = services.iter().flat_map(|(name, urls)| {
        let service = Service::parse(name).expect("a service");
        let urls = urls.as_array().expect("addresses").iter();
        urls.map(move |url| (service, url.as_str().expect("an address").trim_end_matches('/').to_owned()))
    });
    all.collect()
}

pub(super) async fn attack_47_a_service_reached_around_the_gateway_refuses(house: &House) {
    let signer = gateways_signer(house);
    for (service, url) in replicas(house) {
        let inside = Person::stranger(&url);
        let document = inside.get("/openapi.json").await.ok(200).json;
        let worthless = worthless(house, &signer, service);
        for (path, item) in document["paths"].as_object().expect("paths") {
            for name in item.as_object().expect("operations").keys().map(|name| name.to_uppercase()) {
                let told = format!("{name} {path} of {service}");
                if OPEN.contains(&format!("{name} {path}").as_str()) {
                    continue;
                }
                let path = filled(path);
                let bare = inside.send(inside.request(method(&name), &path)).await;
                assert_eq!(bare.status, 401, "{told}: {}", bare.json);
                for (what, token) in &worthless {
                    let shown = inside.with_token(token);
                    let answer = shown.send(shown.request(method(&name), &path)).await;
                    assert_eq!(answer.status, 401, "{told}: {what}: {}", answer.json);
                }
            }
        }
        let good = signer.mint(service, Some(principal(&house.kim)), Clock::system().now()).expect("a token");
        let nowhere = inside.with_token(&good).get("/nowhere").await;
        assert_eq!(nowhere.status, 404, "a good token is good: {}", nowhere.json);
    }
}

/// Fills a path's parameters with an id.
fn filled(path: &str) -> String {
    let id = "0190aaaa-bbbb-7ccc-8ddd-000000000001";
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { id } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// What the gateway passes on for a client opens no internal route, whoever the client is; nor does a call of another
/// process's own where only one is expected.
pub(super) async fn attack_47_internal_routes_do_not_exist_for_clients(house: &House) {
    let (signer, now) = (gateways_signer(house), Clock::system().now());
    let of_auth = ["GET /internal/revocations", "POST /internal/logins/seen", "POST /internal/ws-tickets/redeem"];
    let of_others = ["DELETE /internal/users/{id}", "GET /internal/users/{id}/export"];
    let admin = Principal { role: Role::Admin, ..principal(&house.admin) };
    for (service, url) in replicas(house) {
        let internal = if service == Service::Auth { &of_auth[..] } else { &of_others[..] };
        for name in internal {
            let (verb, path) = name.split_once(' ').expect("a method and a path");
            let path = path.replace("{id}", &house.lee.id);
            let ask = async |token: &str| {
                let inside = Person::stranger(&url).with_token(token);
                inside.send(inside.request(method(verb), &path).json(&Value::Null)).await
            };
            for person in [None, Some(principal(&house.kim)), Some(admin)] {
                let passed_on = signer.mint(service, person, now).expect("a token");
                ask(&passed_on).await.problem(404, "not_found");
            }
            if service != Service::Auth {
                // The gateway itself: it has no business here either.
                let own = signer.mint_call(service, None, now).expect("a token");
                ask(&own).await.problem(404, "not_found");
            }
            // And through the front door there is no such path.
            let outside = house.admin.send(house.admin.request(method(verb), &path)).await;
            outside.problem(404, "not_found");
        }
    }
    house.lee.get("/user/me").await.ok(200);
}
