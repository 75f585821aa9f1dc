//! Alert rules, dashboards and runbooks.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    SERVICES,
    documents::{items, read, text},
    files_under,
    metrics::{OF_THE_SCRAPER, series},
    query, repository,
};

/// Where the alert rules are.
pub(crate) const RULES: &str = "deploy/observability/prometheus/alerts.yml";

/// A query with the place it stands at, and what its result is shown with.
struct Asked {
    place: String,
    expression: String,
    shown: String,
}

fn rules() -> Vec<Value> {
    let document = read(&repository(RULES)).remove(0);
    items(&document, "/groups").iter().flat_map(|group| items(group, "/rules")).cloned().collect()
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let files = files_under("deploy/observability/grafana/dashboards", "json");
    files.into_iter().map(|file| (file.clone(), read(&file).remove(0))).collect()
}

fn asked() -> Vec<Asked> {
    let of_rules = rules().into_iter().map(|rule| Asked {
        place: format!("alert {}", text(&rule, "/alert")),
        expression: text(&rule, "/expr").to_owned(),
        shown: rule["annotations"].to_string(),
    });
    let mut all: Vec<Asked> = of_rules.collect();
    for (file, dashboard) in dashboards() {
        for panel in items(&dashboard, "/panels") {
            for target in items(panel, "/targets") {
                all.push(Asked {
                    place: format!("{}: {}", file.display(), text(panel, "/title")),
                    expression: text(target, "/expr").to_owned(),
                    shown: text(target, "/legendFormat").to_owned(),
                });
            }
        }
    }
    for scaler in read(&repository("deploy/kubernetes/components/keda/scaled-objects.yaml")) {
        let triggers = items(&scaler, "/spec/triggers").iter().filter(|trigger| trigger["type"] == "prometheus");
        all.extend(triggers.map(|trigger| Asked {
            place: format!("scaling of {}", text(&scaler, "/metadata/name")),
            expression: text(trigger, "/metadata/query").to_owned(),
            shown: String::new(),
        }));
    }
    all
}

#[test]
fn no_two_groups_of_rules_have_one_name() {
    let document = read(&repository(RULES)).remove(0);
    let mut names = BTreeSet::new();
    for group in items(&document, "/groups") {
        // Prometheus refuses the whole file.
        assert!(names.insert(text(group, "/name")), "{} is there twice", text(group, "/name"));
    }
}

#[test]
fn every_query_asks_for_metrics_and_labels_that_the_code_measures() {
    let series = series();
    for asked in asked() {
        let query = query::read(&asked.expression);
        assert!(!query.selectors.is_empty(), "{} asks for nothing", asked.place);
        let mut possible: BTreeSet<&str> = BTreeSet::new();
        for (metric, matchers) in &query.selectors {
            let labels = series.get(metric).unwrap_or_else(|| panic!("{}: nobody measures {metric}", asked.place));
            possible.extend(labels.iter().map(String::as_str));
            for (label, value) in matchers {
                assert!(labels.contains(label), "{}: {metric} has no label {label}", asked.place);
                let is_service = value.split('|').all(|job| SERVICES.contains(&job));
                assert!(label != "job" || is_service, "{}: {value} are no services", asked.place);
            }
        }
        for label in &query.grouping {
            assert!(possible.contains(label.as_str()), "{}: nothing has a label {label}", asked.place);
        }
        for label in shown_labels(&asked.shown) {
            let is_kept = query.grouping.contains(label) || OF_THE_SCRAPER.contains(&label);
            assert!(is_kept, "{}: {label} is shown and not grouped by", asked.place);
        }
    }
}

/// The labels that a legend or an annotation shows: `{{label}}`, `{{ $labels.label }}`.
fn shown_labels(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim()));
    inside.filter(|name| !name.starts_with("$value")).map(|name| name.trim_start_matches("$labels."))
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let mut named = BTreeSet::new();
    for rule in rules() {
        let alert = text(&rule, "/alert");
        let page = text(&rule, "/annotations/runbook");
        let first =
            std::fs::read_to_string(repository(page)).unwrap_or_else(|error| panic!("{alert}: {page}: {error}"));
        let severity = text(&rule, "/labels/severity");
        assert!(["page", "ticket"].contains(&severity), "{alert}: {severity}");
        assert!(first.starts_with(&format!("# {alert}\n\n*{severity}*\n")), "{page} is of another alert than {alert}");
        assert!(!text(&rule, "/annotations/summary").is_empty(), "{alert} says nothing");
        assert!(named.insert(repository(page)), "{page} is named twice");
    }
    let index = std::fs::read_to_string(repository("docs/runbooks/README.md")).unwrap();
    for page in files_under("docs/runbooks", "md").into_iter().filter(|page| !page.ends_with("README.md")) {
        assert!(named.contains(&page), "no alert leads to {}", page.display());
        let file = page.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("({file})")), "{file} is not in the list of runbooks");
    }
}

#[test]
fn dashboards_and_their_panels_have_names_of_their_own_and_a_source_that_is_configured() {
    let sources = read(&repository("deploy/observability/grafana/provisioning/datasources/sources.yml")).remove(0);
    let sources: Vec<&str> = items(&sources, "/datasources").iter().map(|source| text(source, "/uid")).collect();
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let file = file.display();
        assert!(uids.insert(text(&dashboard, "/uid").to_owned()), "{file} has the uid of another");
        let mut ids = BTreeSet::new();
        let mut places = BTreeSet::new();
        for panel in items(&dashboard, "/panels") {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {}", panel["id"]);
            assert!(places.insert(panel["gridPos"].to_string()), "{file}: two panels at one place");
            if panel["type"] != "row" {
                assert!(sources.contains(&text(panel, "/datasource/uid")), "{file}: {}", panel["title"]);
            }
        }
    }
}

#[test]
fn prometheus_own_tool_finds_the_rules_sound_where_it_is_installed() {
    match Command::new("promtool").args(["check", "rules"]).arg(repository(RULES)).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => println!("promtool is not here (apt install prometheus): the rules were read by this test only"),
    }
}
