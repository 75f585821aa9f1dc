//! What the services are told, judged by the services themselves.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    SERVICES,
    documents::{items, of_kind, text, title},
    keys,
    kustomize::{OVERLAYS, env_files, environment, make_secrets, pairs, sets},
    scratch,
};

/// Where a service finds its secrets.
pub(crate) const SECRETS: &str = "/run/secrets/maru";

/// Secrets as the script makes them, gone at the end of the test.
pub(crate) struct Secrets(PathBuf);

impl Secrets {
    pub(crate) fn make(name: &str) -> Self {
        let directory = scratch(name);
        make_secrets(&directory);
        Self(directory)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Has a service judge a configuration, with secrets where it says they are; returns what it says of it too.
pub(crate) fn judge(service: &str, variables: &BTreeMap<String, String>, secrets: &Secrets) -> (bool, String) {
    let here = secrets.0.join(service).display().to_string();
    let mut command = Command::new(keys::program(service));
    command.arg("check-config").env_clear();
    command.envs(variables.iter().map(|(key, value)| (key, value.replace(SECRETS, &here))));
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Fails when a service does not find a configuration sound.
pub(crate) fn assert_sound(service: &str, variables: &BTreeMap<String, String>, secrets: &Secrets, name: &str) {
    let (is_sound, said) = judge(service, variables, secrets);
    assert!(is_sound, "{name}: {service}: {said}");
}

/// Fails when a service does not know a variable.
pub(crate) fn assert_known<'a>(service: &str, names: impl Iterator<Item = &'a String>, place: &str) {
    let known = keys::by_name(service);
    for name in names {
        let is_known =
            known.contains_key(name.as_str()) || name.strip_suffix("_FILE").is_some_and(|key| known.contains_key(key));
        assert!(is_known, "{place}: {service} does not know {name}");
    }
}

#[test]
fn every_variable_of_the_manifests_is_one_that_the_service_knows() {
    for file in env_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let variables: BTreeMap<String, String> = pairs(&text).collect();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let services = if stem == "common" { SERVICES.to_vec() } else { vec![stem] };
        for service in services {
            assert_known(service, variables.keys(), &file.display().to_string());
        }
    }
    for overlay in OVERLAYS {
        for service in SERVICES {
            assert_known(service, environment(overlay, service).keys(), overlay);
        }
    }
}

#[test]
fn every_service_finds_its_configuration_in_every_overlay_sound() {
    let secrets = Secrets::make("overlays");
    for overlay in OVERLAYS {
        for service in SERVICES {
            assert_sound(service, &environment(overlay, service), &secrets, overlay);
        }
    }
}

#[test]
fn without_any_one_of_its_secrets_a_service_says_which_is_missing() {
    let secrets = Secrets::make("missing");
    for service in SERVICES {
        let all = environment("production", service);
        for missing in all.keys().filter(|key| key.ends_with("_FILE")) {
            let mut rest = all.clone();
            rest.remove(missing);
            let (is_sound, said) = judge(service, &rest, &secrets);
            let is_named = said.contains(missing.trim_end_matches("_FILE"));
            assert!(!is_sound && is_named, "{service} without {missing}: {said}");
        }
    }
}

#[test]
fn as_applied_each_pod_gets_that_configuration_and_a_file_for_every_secret_that_it_names() {
    for set in sets() {
        let Some(overlay) = set.overlay else { continue };
        let named = |kind: &str, name: &str| {
            let found = of_kind(&set.documents, &[kind]).into_iter().find(|one| text(one, "/metadata/name") == name);
            found.unwrap_or_else(|| panic!("{}: no {kind} {name}", set.name)).clone()
        };
        for workload in of_kind(&set.documents, &["Deployment", "StatefulSet", "Job"]) {
            let service = text(workload, "/metadata/labels/app.kubernetes.io~1name");
            if !SERVICES.contains(&service) {
                continue;
            }
            let pod = &workload["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            let mut told: BTreeMap<String, String> = BTreeMap::new();
            for from in items(container, "/envFrom") {
                let map = named("ConfigMap", text(from, "/configMapRef/name"));
                let data = map["data"].as_object().unwrap();
                told.extend(data.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())));
            }
            assert_eq!(told, environment(overlay, service), "{}: {}", set.name, title(workload));
            assert_eq!(container["env"], Value::Null, "{}: {}", set.name, title(workload));

            let mounted = text(container, "/volumeMounts/0/mountPath");
            assert_eq!(mounted, SECRETS, "{}: {}", set.name, title(workload));
            let secret = named("Secret", text(pod, "/volumes/0/secret/secretName"));
            for (key, file) in told.iter().filter(|(key, _)| key.ends_with("_FILE")) {
                let file = file.strip_prefix(SECRETS).unwrap().trim_start_matches('/');
                assert!(
                    secret["data"].get(file).is_some(),
                    "{}: {service}: {key} names no file of its secret",
                    set.name
                );
            }
        }
    }
}
