//! The shape of the house, kept by a test: who may lean on whom.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

const SERVICES: [&str; 6] = ["gateway", "auth", "session", "ticketing", "emotion", "memo"];

/// Every package's ordinary dependencies in the resolved graph, by name.
struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    fn read() -> Self {
        // For this machine's platform only: packages of others were never downloaded.
        let rustc = Command::new("rustc").arg("-vV").output().unwrap().stdout;
        let version = String::from_utf8(rustc).unwrap();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names: BTreeMap<&str, &str> = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
            .collect();
        let ordinary = |dep: &&Value| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let deps = node["deps"].as_array().unwrap().iter().filter(ordinary);
            let deps = deps.map(|dep| names[dep["pkg"].as_str().unwrap()].to_owned());
            graph.entry(names[node["id"].as_str().unwrap()].to_owned()).or_default().extend(deps);
        }
        Self(graph)
    }

    fn reaches(&self, from: &str) -> BTreeSet<&str> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(name) = open.pop() {
            for dep in self.0.get(name).into_iter().flatten() {
                if seen.insert(dep.as_str()) {
                    open.push(dep);
                }
            }
        }
        seen
    }
}

#[test]
fn no_service_leans_on_another_services_code() {
    let graph = Graph::read();
    for service in SERVICES {
        let reached = graph.reaches(service);
        let others: Vec<_> = SERVICES.iter().filter(|other| **other != service && reached.contains(**other)).collect();
        assert!(others.is_empty(), "{service} leans on {others:?}");
        assert!(reached.contains("domain") && reached.contains("chassis"), "{service}");
    }
}

#[test]
fn the_domain_is_pure() {
    let graph = Graph::read();
    let reached = graph.reaches("domain");
    for unwanted in
        ["actix-web", "actix-http", "reqwest", "hyper", "diesel", "diesel-async", "tokio", "redis", "chassis"]
    {
        assert!(!reached.contains(unwanted), "domain leans on {unwanted}");
    }
}

#[test]
fn the_chassis_knows_no_service_and_the_testkit_ships_with_none() {
    let graph = Graph::read();
    let reached = graph.reaches("chassis");
    assert!(SERVICES.iter().all(|service| !reached.contains(service)));
    for service in SERVICES {
        assert!(!graph.reaches(service).contains("testkit"), "{service} ships with the testkit");
    }
}

#[test]
fn there_is_one_redis_client_one_tls_provider_and_no_system_library() {
    // What is compiled, and not what the lock file could offer: `cargo metadata` also names what no feature turns on.
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let compiled: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let versions = |name: &str| compiled.iter().filter(|package| package.split(' ').next() == Some(name)).count();
    for unwanted in ["openssl-sys", "native-tls", "pq-sys", "ring"] {
        assert_eq!(versions(unwanted), 0, "{unwanted} is compiled");
    }
    for single in ["redis", "rustls", "reqwest", "tokio", "actix-web"] {
        assert_eq!(versions(single), 1, "{single} is there more than once, or not at all");
    }
}
