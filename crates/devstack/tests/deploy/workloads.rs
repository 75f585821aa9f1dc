//! What runs: as whom, with how much, on which ports, and how it ends.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    SERVICES,
    documents::{WORKLOADS, component, items, of_kind, text, title},
    keys,
    kustomize::{OVERLAYS, environment, sets},
    text_of,
};

/// Calls `check` with every container of every set, its pod, and a title for messages.
fn each_container(check: impl Fn(&Value, &Value, &str)) {
    for set in sets() {
        for workload in of_kind(&set.documents, &WORKLOADS) {
            let pod = &workload["spec"]["template"]["spec"];
            for container in items(pod, "/containers").iter().chain(items(pod, "/initContainers")) {
                check(container, pod, &format!("{}: {} {}", set.name, title(workload), text(container, "/name")));
            }
        }
    }
}

#[test]
fn every_container_runs_as_nobody_in_particular_and_can_change_nothing() {
    each_container(|container, pod, name| {
        let (own, of_pod) = (&container["securityContext"], &pod["securityContext"]);
        assert_eq!(of_pod["runAsNonRoot"], true, "{name}");
        assert!(of_pod["runAsUser"].as_u64().is_some_and(|user| user > 0), "{name}");
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(own["capabilities"], serde_json::json!({ "drop": ["ALL"] }), "{name}");
        assert_eq!(own["privileged"], Value::Null, "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        for shared in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[shared], Value::Null, "{name}");
        }
        for volume in items(pod, "/volumes") {
            assert_eq!(volume["hostPath"], Value::Null, "{name}");
        }
    });
}

#[test]
fn every_container_says_what_it_needs_and_what_it_may_take() {
    each_container(|container, _pod, name| {
        for part in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                let amount = &container["resources"][part][resource];
                assert!(amount.is_string() || amount.is_number(), "{name} has no {part} of {resource}");
            }
        }
    });
}

#[test]
fn ports_and_probes_are_those_of_the_binaries() {
    let health = text_of("crates/chassis/src/health.rs");
    for set in sets() {
        for workload in services_of(&set.documents) {
            let name = format!("{}: {}", set.name, title(workload));
            let service = text(workload, "/metadata/name");
            let container = &workload["spec"]["template"]["spec"]["containers"][0];
            let ports: BTreeMap<&str, u64> = items(container, "/ports")
                .iter()
                .map(|port| (text(port, "/name"), port["containerPort"].as_u64().unwrap()))
                .collect();
            let mut expected = BTreeMap::from([("http", keys::number(service, "PORT"))]);
            if service == "gateway" {
                expected.insert("admin", keys::number(service, "ADMIN_PORT"));
            }
            assert_eq!(ports, expected, "{name}");
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let get = &container[probe]["httpGet"];
                let path = text(get, "/path");
                assert!(health.contains(&format!("resource(\"{path}\")")), "{name}: {probe} asks for {path:?}");
                let asked = if service == "gateway" { "admin" } else { "http" };
                assert_eq!(text(get, "/port"), asked, "{name}: {probe}");
            }
            assert_eq!(
                text(container, "/livenessProbe/httpGet/path"),
                "/livez",
                "{name}: a part away is no reason to die"
            );
            assert_eq!(text(container, "/readinessProbe/httpGet/path"), "/readyz", "{name}");
        }
        for service in of_kind(&set.documents, &["Service"]).iter().filter(|service| is_of_ours(service)) {
            let port = service["spec"]["ports"][0]["port"].as_u64().unwrap();
            let name = text(service, "/metadata/labels/app.kubernetes.io~1name");
            assert_eq!(port, keys::number(name, "PORT"), "{}: {}", set.name, title(service));
            assert_eq!(text(service, "/spec/ports/0/targetPort"), "http", "{}: {}", set.name, title(service));
        }
    }
}

fn is_of_ours(document: &Value) -> bool {
    SERVICES.contains(&text(document, "/metadata/labels/app.kubernetes.io~1name"))
}

/// The workloads that serve.
fn services_of(documents: &[Value]) -> Vec<&Value> {
    let serving: Vec<_> =
        of_kind(documents, &WORKLOADS).into_iter().filter(|workload| component(workload) == "service").collect();
    assert_eq!(serving.len(), SERVICES.len());
    serving
}

#[test]
fn nobody_is_killed_before_its_drain_is_over() {
    let tick = |variables: &BTreeMap<String, String>, service: &str, key: &str| {
        variables.get(key).map_or_else(|| keys::number(service, key), |value| value.parse().unwrap())
    };
    for set in sets() {
        for workload in services_of(&set.documents) {
            let service = text(workload, "/metadata/name");
            let pod = &workload["spec"]["template"]["spec"];
            let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap() * 1_000;
            let asleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap() * 1_000;
            for variables in OVERLAYS.map(|overlay| environment(overlay, service)) {
                // Requests in flight have the time-out, and after them what runs beside them has it again.
                let shutdown = 2 * 1_000 * tick(&variables, service, "SHUTDOWN_TIMEOUT_SECONDS");
                let longest = asleep + tick(&variables, service, "DRAIN_DELAY_MS") + shutdown;
                assert!(grace > longest, "{}: {service} may take {longest} ms and has {grace}", set.name);
            }
        }
    }
}

#[test]
fn a_migration_runs_for_every_database_before_the_services() {
    for set in sets() {
        let jobs = of_kind(&set.documents, &["Job"]);
        let jobs: Vec<_> = jobs.into_iter().filter(|job| component(job) == "migration").collect();
        let mut migrated: Vec<_> = jobs
            .iter()
            .map(|job| {
                assert_eq!(job["metadata"]["annotations"]["argocd.argoproj.io/hook"], "PreSync", "{}", title(job));
                assert_eq!(job["metadata"]["labels"]["app.kubernetes.io/component"], "migration", "{}", title(job));
                assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], serde_json::json!(["migrate"]));
                text(job, "/metadata/name").trim_start_matches("migrate-").to_owned()
            })
            .collect();
        migrated.sort();
        let mut with_database: Vec<_> =
            SERVICES.iter().filter(|service| keys::by_name(service).contains_key("DATABASE_URL")).collect();
        with_database.sort();
        assert_eq!(migrated, with_database.iter().map(ToString::to_string).collect::<Vec<_>>(), "{}", set.name);
    }
}

#[test]
fn however_many_replicas_there_are_the_database_has_a_connection_for_each_that_they_may_open() {
    for set in sets() {
        let replicas = |service: &str| {
            let scalers = of_kind(&set.documents, &["HorizontalPodAutoscaler", "ScaledObject"]);
            let own = scalers.iter().filter(|scaler| text(scaler, "/spec/scaleTargetRef/name") == service);
            let most = own.filter_map(|scaler| {
                scaler["spec"]["maxReplicas"].as_u64().or(scaler["spec"]["maxReplicaCount"].as_u64())
            });
            most.max().unwrap()
        };
        let mut open = 0;
        for workload in services_of(&set.documents) {
            let service = text(workload, "/metadata/name");
            if service == "gateway" {
                continue;
            }
            let cpu = &workload["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"];
            let workers: u64 = cpu.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("{service}: {cpu}"));
            open += replicas(service) * (keys::number(service, "DATABASE_POOL_SIZE") + workers);
        }
        let text = serde_json::to_string(&set.documents).unwrap();
        let limits = [r#""max_connections":""#, "max_connections="];
        let limit = limits.iter().find_map(|before| {
            let digits: String = text.split_once(before)?.1.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().ok()
        });
        assert!(limit.is_some_and(|limit| open < limit), "{}: {open} of {limit:?} connections", set.name);

        let named = environment("production", "gateway")["TICKETING_URLS"].split(',').count() as u64;
        assert!(replicas("ticketing") <= named, "{}: the gateway knows {named} replicas of ticketing", set.name);
    }
}
