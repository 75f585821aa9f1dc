//! Who may reach whom, against who asks whom.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    SERVICES,
    documents::{items, of_kind, text},
    files_under, keys,
    kustomize::sets,
    selectors::takes,
    text_of,
};

/// Who asks whom: the caller, the called.
type Edges = BTreeSet<(String, String)>;

/// Who asks whom by configuration: whoever has a service's addresses.
fn calls() -> Edges {
    let mut edges = Edges::new();
    for caller in SERVICES {
        let keys = keys::by_name(caller);
        let called =
            SERVICES.iter().filter(|other| keys.contains_key(format!("{}_URLS", other.to_uppercase()).as_str()));
        edges.extend(called.map(|other| (caller.to_owned(), (*other).to_owned())));
    }
    edges
}

fn labels(service: &str, component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/part-of": "maru",
        "app.kubernetes.io/component": component,
    })
}

/// The services whose pods a selector takes.
fn taken<'a>(selector: &'a Value, component: &'a str) -> impl Iterator<Item = &'static str> + use<'a> {
    SERVICES.into_iter().filter(move |service| takes(selector, &labels(service, component)))
}

/// The edges that policies open from this side: `ingress` or `egress`.
fn opened(documents: &[Value], side: &str) -> Edges {
    let (rules, peers) = if side == "ingress" { ("/spec/ingress", "/from") } else { ("/spec/egress", "/to") };
    let mut edges = Edges::new();
    for policy in of_kind(documents, &["NetworkPolicy"]) {
        for here in taken(&policy["spec"]["podSelector"], "service") {
            for rule in items(policy, rules) {
                for peer in items(rule, peers).iter().filter(|peer| peer.get("namespaceSelector").is_none()) {
                    let Some(selector) = peer.get("podSelector") else { continue };
                    for there in taken(selector, "service") {
                        let (from, to) = if side == "ingress" { (there, here) } else { (here, there) };
                        assert_eq!(rule["ports"], json!([{ "port": keys::number(to, "PORT") }]), "{from} to {to}");
                        edges.insert((from.to_owned(), to.to_owned()));
                    }
                }
            }
        }
    }
    edges
}

#[test]
fn nothing_reaches_anything_unless_a_policy_says_so() {
    for set in sets() {
        let denies = |policy: &&Value| {
            policy["spec"]["podSelector"] == json!({})
                && policy["spec"]["policyTypes"] == json!(["Ingress", "Egress"])
                && policy["spec"].get("ingress").is_none()
                && policy["spec"].get("egress").is_none()
        };
        assert!(of_kind(&set.documents, &["NetworkPolicy"]).iter().any(denies), "{}", set.name);
    }
}

#[test]
fn policies_open_the_way_between_services_where_one_asks_the_other_and_nowhere_else() {
    let calls = calls();
    for set in sets() {
        assert_eq!(opened(&set.documents, "egress"), calls, "{}: ways out", set.name);
        assert_eq!(opened(&set.documents, "ingress"), calls, "{}: ways in", set.name);
    }
}

/// Handlers name the processes they answer, as a type; whoever is named must also have the way.
#[test]
fn whoever_a_handler_answers_on_its_own_account_is_one_that_asks() {
    let principals = text_of("crates/chassis/src/principal.rs");
    let list = principals.split_once("\npeers! {").unwrap().1.split_once("\n}").unwrap().0;
    let peers: BTreeMap<&str, Vec<String>> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.split_once(" is "))
        .map(|(name, services)| (name, services.split(" | ").map(str::to_lowercase).collect()))
        .collect();
    assert!(peers.contains_key("AuthPeer"), "{peers:?}");
    let calls = calls();
    let mut found = 0;
    for called in SERVICES {
        for file in files_under(&format!("crates/{called}/src"), "rs") {
            let source = std::fs::read_to_string(&file).unwrap();
            for (_, callers) in peers.iter().filter(|(name, _)| source.contains(**name)) {
                for caller in callers {
                    let edge = (caller.clone(), called.to_owned());
                    assert!(calls.contains(&edge), "{} answers {caller}, which has no address of it", file.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 5, "handlers name their callers");
}

#[test]
fn stores_are_reached_by_the_services_that_have_their_address_and_by_their_migrations() {
    for set in sets() {
        for (policy, key) in [("to-postgres", "DATABASE_URL"), ("to-redis", "REDIS_URL")] {
            let policies = of_kind(&set.documents, &["NetworkPolicy"]);
            let ours = policies.iter().find(|found| text(found, "/metadata/name") == policy);
            let selector = &ours.unwrap_or_else(|| panic!("{}: no {policy}", set.name))["spec"]["podSelector"];
            let reach: Vec<_> = taken(selector, "service").collect();
            let need: Vec<_> =
                SERVICES.into_iter().filter(|service| keys::by_name(service).contains_key(key)).collect();
            assert_eq!(reach, need, "{}: {policy}", set.name);
            if policy == "to-postgres" {
                assert_eq!(taken(selector, "migration").collect::<Vec<_>>(), need, "{}: migrations", set.name);
            }
        }
    }
}

#[test]
fn only_those_who_ask_somebody_outside_get_out() {
    let outside = |service: &str| {
        keys::of(service).iter().any(|key| {
            let is_far = key.default.as_deref().is_some_and(|default| default.starts_with("https://"));
            is_far || ["S3_ENDPOINT", "MAIL_URL"].contains(&key.name.as_str())
        })
    };
    let need: BTreeSet<&str> = SERVICES.into_iter().filter(|service| outside(service)).collect();
    for set in sets() {
        let mut out = BTreeSet::new();
        for policy in of_kind(&set.documents, &["NetworkPolicy"]) {
            let is_far = items(policy, "/spec/egress")
                .iter()
                .flat_map(|rule| items(rule, "/to"))
                .any(|to| to.get("ipBlock").is_some());
            if is_far {
                out.extend(taken(&policy["spec"]["podSelector"], "service"));
            }
        }
        assert_eq!(out, need, "{}", set.name);
    }
}
