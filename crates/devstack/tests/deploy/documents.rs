//! YAML documents, and what the tests ask of them.

use std::path::Path;

use serde_json::Value;

/// Reads every document of a YAML file.
pub(crate) fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text, &path.display().to_string())
}

/// Reads every document of a YAML text.
pub(crate) fn parse(text: &str, name: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// `Kind/name`, for messages.
pub(crate) fn title(document: &Value) -> String {
    format!("{}/{}", text(document, "/kind"), text(document, "/metadata/name"))
}

/// The text at a place, empty when there is none.
pub(crate) fn text<'a>(document: &'a Value, place: &str) -> &'a str {
    document.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list at a place, none when there is no list.
pub(crate) fn items<'a>(document: &'a Value, place: &str) -> &'a [Value] {
    document.pointer(place).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The documents of a kind.
pub(crate) fn of_kind<'a>(documents: &'a [Value], kinds: &[&str]) -> Vec<&'a Value> {
    documents.iter().filter(|document| kinds.contains(&text(document, "/kind"))).collect()
}

/// Whatever runs pods.
pub(crate) const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "Job"];

/// The part of a workload's label that says what it is: `service`, `migration` or `store`.
pub(crate) fn component(workload: &Value) -> &str {
    workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap_or_default()
}
