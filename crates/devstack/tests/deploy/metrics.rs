//! The metrics of the platform, as the sources name them.

use std::collections::{BTreeMap, BTreeSet};

use crate::files_under;

/// The crates that measure something.
const CRATES: [&str; 7] = ["chassis", "gateway", "auth", "session", "ticketing", "emotion", "memo"];

/// Labels that the scraper adds to everything.
pub(crate) const OF_THE_SCRAPER: [&str; 2] = ["job", "instance"];

/// Every series that can be asked for, with its labels.
pub(crate) fn series() -> BTreeMap<String, BTreeSet<String>> {
    let mut series = BTreeMap::from([("up".to_owned(), BTreeSet::new())]);
    for name in CRATES {
        for file in files_under(&format!("crates/{name}/src"), "rs") {
            let source = std::fs::read_to_string(&file).unwrap();
            for (kind, start) in calls(&source) {
                let arguments = &source[start..end_of_call(&source, start)];
                let metric = first_text(arguments).unwrap_or_else(|| panic!("{}: {arguments}", file.display()));
                let labels = labels(arguments, &source);
                for (name, more) in exported(kind, metric) {
                    series.entry(name).or_default().extend(labels.iter().cloned().chain(more));
                }
            }
        }
    }
    for labels in series.values_mut() {
        labels.extend(OF_THE_SCRAPER.map(str::to_owned));
    }
    series
}

/// Where the arguments of each measuring macro begin.
fn calls(source: &str) -> Vec<(&'static str, usize)> {
    let macros = ["counter", "gauge", "histogram"];
    let mut found = Vec::new();
    for kind in macros {
        let call = format!("metrics::{kind}!(");
        found.extend(source.match_indices(&call).map(|(at, _)| (kind, at + call.len())));
    }
    found
}

/// The place of the bracket that closes the call whose arguments begin at `start`.
fn end_of_call(source: &str, start: usize) -> usize {
    let mut depth = 1;
    let mut in_text = false;
    for (at, byte) in source.bytes().enumerate().skip(start) {
        match byte {
            b'"' => in_text = !in_text,
            b'(' if !in_text => depth += 1,
            b')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a call without an end");
}

/// The first text in quotes, if the arguments begin with one.
fn first_text(arguments: &str) -> Option<&str> {
    arguments.trim_start().strip_prefix('"')?.split('"').next()
}

/// The names of the labels: `"name" => value`, or, of a list that was made before, the file's `("name", value)`.
fn labels(arguments: &str, source: &str) -> BTreeSet<String> {
    let last_text = |before: &str| Some(before.trim_end().strip_suffix('"')?.rsplit('"').next()?.to_owned());
    let mut labels: BTreeSet<String> =
        arguments.match_indices("=>").filter_map(|(at, _)| last_text(&arguments[..at])).collect();
    if arguments.contains("&labels") {
        let pairs = source.match_indices("(\"").filter_map(|(at, _)| source[at + 2..].split_once("\","));
        let names = pairs.map(|(name, _)| name).filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()));
        labels.extend(names.map(str::to_owned));
    }
    labels
}

/// The series of a metric, each with the labels that its kind adds. What is measured in seconds has buckets; other
/// histograms are exported as quantiles.
fn exported(kind: &str, metric: &str) -> Vec<(String, Vec<String>)> {
    let plain = |name: String| (name, Vec::new());
    if kind != "histogram" {
        return vec![plain(metric.to_owned())];
    }
    let value = if metric.ends_with("_seconds") {
        (format!("{metric}_bucket"), vec!["le".to_owned()])
    } else {
        (metric.to_owned(), vec!["quantile".to_owned()])
    };
    vec![value, plain(format!("{metric}_sum")), plain(format!("{metric}_count"))]
}

#[test]
fn metrics_are_found_in_the_sources_with_their_labels() {
    let series = series();
    let labels = |name: &str| series.get(name).map(|labels| labels.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(labels("http_requests_total").unwrap(), ["instance", "job", "method", "route", "status"]);
    assert_eq!(labels("tunnels_open").unwrap(), ["instance", "job"]);
    assert_eq!(labels("lane_requests_total").unwrap(), ["instance", "job", "lane", "outcome"]);
    assert!(labels("lane_batch_size").unwrap().contains(&"quantile") && labels("lane_batch_size_bucket").is_none());
    assert!(labels("timer_alert_lag_seconds_bucket").unwrap().contains(&"le"));
}
