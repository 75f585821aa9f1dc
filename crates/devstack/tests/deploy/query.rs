//! What a PromQL query asks for: enough of its grammar to find the metrics and the labels.

use std::collections::BTreeSet;

/// Words that are neither a metric nor a function.
const WORDS: [&str; 24] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "group",
    "count_values",
    "inf",
    "nan",
];

/// What a query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Each metric, with the labels it is chosen by and what they are compared with.
    pub(crate) selectors: Vec<(String, Vec<(String, String)>)>,
    /// The labels it is grouped by.
    pub(crate) grouping: BTreeSet<String>,
}

/// Reads a query.
pub(crate) fn read(text: &str) -> Query {
    let mut query = Query::default();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            rest = rest[1..].split_once(first).unwrap_or_else(|| panic!("a text without an end: {text}")).1;
        } else if first == '[' {
            rest = rest.split_once(']').unwrap_or_else(|| panic!("a range without an end: {text}")).1;
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = note(&mut query, word, after.trim_start(), text);
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    query
}

/// Takes note of a word, and returns what comes after it and what belongs to it.
fn note<'a>(query: &mut Query, word: &str, after: &'a str, text: &str) -> &'a str {
    if ["by", "without", "on", "ignoring"].contains(&word) {
        let (labels, after) = after.strip_prefix('(').and_then(|list| list.split_once(')')).expect("a list of labels");
        query.grouping.extend(labels.split(',').map(|label| label.trim().to_owned()));
        return after;
    }
    let is_number = word.starts_with(|c: char| c.is_ascii_digit());
    if is_number || after.starts_with('(') || WORDS.contains(&word) {
        return after;
    }
    let (matchers, after) = match after.strip_prefix('{') {
        Some(list) => list.split_once('}').unwrap_or_else(|| panic!("a selector without an end: {text}")),
        None => ("", after),
    };
    query.selectors.push((word.to_owned(), matchers_of(matchers)));
    after
}

/// Reads `a="x",b=~"y,z"`.
fn matchers_of(text: &str) -> Vec<(String, String)> {
    let mut matchers = Vec::new();
    let mut rest = text;
    while let Some((label, after)) = rest.split_once(['=', '!']) {
        let (value, after) = after.split_once('"').and_then(|(_, value)| value.split_once('"')).expect("a value");
        matchers.push((label.trim().trim_start_matches(',').trim().to_owned(), value.to_owned()));
        rest = after;
    }
    matchers
}

#[test]
fn queries_are_read() {
    let text = r#"histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{job=~"x|y",route!~".*(s),t"}[5m]))) > 1e3"#;
    let query = read(text);
    let matchers = vec![("job".to_owned(), "x|y".to_owned()), ("route".to_owned(), ".*(s),t".to_owned())];
    assert_eq!(query.selectors, [("a_bucket".to_owned(), matchers)]);
    assert_eq!(query.grouping, ["job", "le"].map(str::to_owned).into());
    let query = read("sum(rate(b[$__rate_interval])) / c and absent(d{}) or max by(e) (f)");
    let names: Vec<_> = query.selectors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "c", "d", "f"]);
}
