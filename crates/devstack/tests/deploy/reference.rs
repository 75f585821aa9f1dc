//! Files that are made from others: `UPDATE=1 cargo test -p devstack --test deploy made_` writes them anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    SERVICES, alerts,
    environment::{Secrets, judge},
    keys::{self, Key},
    kustomize::environment,
    repository, text_of,
};

const HOW: &str = "UPDATE=1 cargo test -p devstack --test deploy made_";
const BEGIN: &str = "<!-- made from --help; to make it anew: UPDATE=1 cargo test -p devstack --test deploy made_ -->\n";
const END: &str = "<!-- end of what is made from --help -->\n";
const LIST: &str = "# --- Every variable of every service, made from `--help`; to make it anew: UPDATE=1 cargo test -p devstack --test deploy made_\n";
/// Longest line of a comment.
const WIDTH: usize = 118;

/// Compares a file with what it should be, or writes it.
fn settle(path: &str, expected: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(repository(path), expected).unwrap();
        return;
    }
    let actual = std::fs::read_to_string(repository(path)).unwrap_or_default();
    let differs = actual.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(actual == expected, "{path} is out of date; make it anew: {HOW}\nfirst difference: {differs:?}");
}

/// What a service cannot start without: what it misses when it is all that is left out.
fn needed(service: &str, secrets: &Secrets) -> BTreeSet<String> {
    let all = environment("production", service);
    let is_missed = |left_out: &String| {
        let mut rest = all.clone();
        rest.remove(left_out);
        let (is_sound, said) = judge(service, &rest, secrets);
        !is_sound && said.contains(left_out.trim_end_matches("_FILE"))
    };
    all.keys().filter(|key| is_missed(key)).map(|key| key.trim_end_matches("_FILE").to_owned()).collect()
}

/// Keys that every service behind the gateway has, or all have, with the same words; then each service's own.
fn sections() -> Vec<(String, Vec<Key>)> {
    let all: BTreeMap<&str, &[Key]> = SERVICES.iter().map(|service| (*service, keys::of(service))).collect();
    let has = |service: &str, key: &Key| all[service].contains(key);
    let everybody = |key: &&Key| SERVICES.iter().all(|service| has(service, key));
    let behind = |key: &&Key| SERVICES[1..].iter().all(|service| has(service, key)) && !everybody(key);
    let auth = &all["auth"];
    let mut sections = vec![
        ("Every process".to_owned(), auth.iter().filter(everybody).cloned().collect()),
        ("Every service behind the gateway".to_owned(), auth.iter().filter(behind).cloned().collect()),
    ];
    for service in SERVICES {
        let own = all[service].iter().filter(|key| {
            let is_shared = everybody(key) || (service != "gateway" && behind(key));
            !is_shared
        });
        sections.push((format!("`{service}`"), own.cloned().collect()));
    }
    sections
}

/// Returns which services cannot start without a key, of those a section is about.
fn is_needed(section: &str, key: &Key, needed: &BTreeMap<&str, BTreeSet<String>>) -> bool {
    let own = section.trim_matches('`');
    needed.iter().any(|(service, keys)| (!SERVICES.contains(&own) || own == *service) && keys.contains(&key.name))
}

fn needed_by_service() -> BTreeMap<&'static str, BTreeSet<String>> {
    let secrets = Secrets::make("needed");
    SERVICES.into_iter().map(|service| (service, needed(service, &secrets))).collect()
}

fn tables() -> String {
    let needed = needed_by_service();
    let mut text = String::new();
    for (title, keys) in sections() {
        write!(text, "\n### {title}\n\n| variable | default | what for |\n|---|---|---|\n").unwrap();
        for key in keys {
            let default = match &key.default {
                _ if is_needed(&title, &key, &needed) => "**needed**".to_owned(),
                Some(default) if !default.is_empty() => format!("`{default}`"),
                _ => "–".to_owned(),
            };
            writeln!(text, "| `{}` | {default} | {} |", key.name, key.about.replace('|', "\\|")).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn made_the_reference_of_operations_is_what_help_says() {
    let path = "docs/operations.md";
    let text = text_of(path);
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{path} has no line {BEGIN}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{path} has no line {END}"));
    settle(path, &format!("{before}{BEGIN}{}{END}{after}", tables()));
}

/// Breaks a text into comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::from("#");
    let mut width = 1;
    for word in text.split_whitespace() {
        if width + word.chars().count() >= WIDTH {
            lines.push_str("\n#");
            width = 1;
        }
        write!(lines, " {word}").unwrap();
        width += word.chars().count() + 1;
    }
    lines + "\n"
}

#[test]
fn made_the_example_of_variables_has_every_one_that_help_says() {
    let path = ".env.example";
    let text = text_of(path);
    let head = text.split_once(LIST).map_or(text.as_str(), |(head, _)| head);
    let needed = needed_by_service();
    let mut list = String::new();
    for (title, keys) in sections() {
        write!(list, "\n# {}\n\n", title.replace('`', "")).unwrap();
        for key in keys {
            let needed = if is_needed(&title, &key, &needed) { " (needed)" } else { "" };
            list.push_str(&comment(&format!("{}{needed}", key.about)));
            writeln!(list, "# {}={}", key.name, key.default.unwrap_or_default()).unwrap();
        }
    }
    settle(path, &format!("{head}{LIST}{list}"));
}

#[test]
fn made_the_rules_of_the_prometheus_operator_are_those_of_prometheus() {
    let rules = text_of(alerts::RULES);
    let groups = rules.split_once("groups:\n").unwrap().1;
    let mut text = format!(
        "# The rules of {} in the operator's form; to make them anew: {HOW}\n\
         apiVersion: monitoring.coreos.com/v1\n\
         kind: PrometheusRule\n\
         metadata: {{ name: maru, labels: {{ app.kubernetes.io/part-of: maru }} }}\n\
         spec:\n  groups:\n",
        alerts::RULES
    );
    for line in groups.lines() {
        writeln!(text, "{}{line}", if line.is_empty() { "" } else { "  " }).unwrap();
    }
    settle("deploy/kubernetes/components/prometheus-operator/alerts.yaml", &text);
}
