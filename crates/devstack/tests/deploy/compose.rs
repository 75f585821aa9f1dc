//! The compose file, judged by the services themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    SERVICES,
    documents::{items, read, text},
    environment::{SECRETS, Secrets, assert_known, assert_sound},
    keys, repository, text_of,
};

fn containers() -> BTreeMap<String, Value> {
    let document = read(&repository("docker-compose.yml")).remove(0);
    document["services"].as_object().unwrap().iter().map(|(name, service)| (name.clone(), service.clone())).collect()
}

/// The service that a container runs, if it is one of ours.
fn service_of(container: &Value) -> Option<&'static str> {
    let image = text(container, "/image").strip_prefix("maru/")?;
    let name = image.split(':').next().unwrap();
    Some(SERVICES.into_iter().find(|service| *service == name).unwrap_or_else(|| panic!("{image} is none of ours")))
}

/// Puts the defaults in: `${KEY:-default}`.
fn interpolated(value: &Value) -> String {
    let mut rest = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut done = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, tail) = after.split_once('}').unwrap();
        let default = inside.split_once(":-").unwrap_or_else(|| panic!("{inside} has no default")).1;
        done = format!("{done}{before}{default}");
        rest = tail.to_owned();
    }
    done + &rest
}

fn variables(container: &Value) -> BTreeMap<String, String> {
    let given = container["environment"].as_object().unwrap();
    given.iter().map(|(key, value)| (key.clone(), interpolated(value))).collect()
}

#[test]
fn every_service_finds_its_configuration_in_the_compose_file_known_and_sound() {
    let secrets = Secrets::make("compose");
    let mut judged = 0;
    for (name, container) in containers() {
        let Some(service) = service_of(&container) else { continue };
        let variables = variables(&container);
        assert_known(service, variables.keys(), "docker-compose.yml");
        assert_sound(service, &variables, &secrets, &name);
        assert_eq!(text(&container, "/volumes/0"), format!("./deploy/docker/secrets/{service}:{SECRETS}:ro"), "{name}");
        assert_eq!(text(&container, "/build/args/SERVICE"), service, "{name}");
        judged += 1;
    }
    assert_eq!(judged, 2 * SERVICES.len() - 1, "every service and every migration");
}

#[test]
fn every_container_of_ours_runs_as_nobody_in_particular_and_within_limits() {
    for (name, container) in containers() {
        assert!(container["mem_limit"].is_string(), "{name}");
        if service_of(&container).is_some() {
            assert_eq!(container["user"], "65532:65532", "{name}");
            assert_eq!(container["read_only"], true, "{name}");
            assert_eq!(container["cap_drop"], serde_json::json!(["ALL"]), "{name}");
            assert_eq!(container["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        }
        for port in items(&container, "/ports") {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to other machines: {port}");
        }
    }
}

#[test]
fn nobody_is_stopped_before_its_drain_is_over_and_none_starts_before_its_migration() {
    let containers = containers();
    for service in SERVICES {
        let container = &containers[service];
        let grace: u64 = text(container, "/stop_grace_period").trim_end_matches('s').parse().unwrap();
        let drain = keys::number(service, "DRAIN_DELAY_MS");
        let shutdown = 2 * keys::number(service, "SHUTDOWN_TIMEOUT_SECONDS");
        assert!(grace * 1_000 > drain + shutdown * 1_000, "{service}");
        if service != "gateway" {
            let after = &container["depends_on"][format!("migrate-{service}")]["condition"];
            assert_eq!(after, "service_completed_successfully", "{service}");
            assert_eq!(containers["gateway"]["depends_on"][service]["condition"], "service_healthy");
        }
    }
}

#[test]
fn whatever_the_compose_file_takes_from_outside_stands_in_the_example() {
    let (file, example) = (text_of("docker-compose.yml"), text_of(".env.example"));
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    for (at, start) in file.match_indices("${") {
        let name = file[at + start.len()..].split(|c| !is_name(c)).next().unwrap();
        assert!(example.contains(&format!("# {name}=")), ".env.example says nothing of {name}");
    }
}
