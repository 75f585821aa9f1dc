//! What the scenario found, beside its goals.

use std::time::Duration;

use serde_json::json;

use super::{Measured, Options, Written};
use crate::{
    figures::{Spread, milliseconds, thousands},
    report::{Bound, Goal, Report, Table},
};

/// Longest that the p99 of a month's list may be, milliseconds.
const LIST_P99_MS: f64 = 15.0;
/// Longest that the p99 of a search may be, milliseconds.
const SEARCH_P99_MS: f64 = 30.0;
/// Share of the bare insert's rate that writing memos is to reach.
const CREATE_SHARE: f64 = 0.5;

/// Adds tables and goals to a report.
pub(super) fn tell(report: &mut Report, options: &Options, measured: &Measured) {
    let title = format!("{} memos of one person", thousands(options.memos.into()));
    let columns =
        ["asked for", "a second", "answered", "p50 ms", "p99 ms", "bare p50", "bare p99", "server us", "not 200"];
    let mut table = Table::new(title, &columns);
    let rows =
        [("a month, 300 memos", options.lists, &measured.list), ("a search", options.searches, &measured.search)];
    let each = measured.sought.iter().map(|(query, read)| (*query, options.searches, read));
    for (what, rate, read) in rows.into_iter().chain(each) {
        let micros = read.server_micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.0}"));
        table.row([
            what.to_owned(),
            rate.to_string(),
            read.answered.to_string(),
            milliseconds(read.p50),
            milliseconds(read.p99),
            milliseconds(read.bare_p50),
            milliseconds(read.bare_p99),
            micros,
            read.others.clone(),
        ]);
    }
    report.table(table);
    let mut table = Table::new("Memos written", &["round", "insert/s", "written/s", "ratio"]);
    let ratio = |round: &Written| if round.bare > 0.0 { round.service / round.bare } else { 0.0 };
    for (number, round) in (1..).zip(&measured.create) {
        let cells = [i32::to_string(&number), thousands(round.bare), thousands(round.service)];
        table.row(cells.into_iter().chain([format!("{:.2}", ratio(round))]));
    }
    report.table(table);
    let share = Spread::of(measured.create.iter().map(ratio)).map_or(0.0, |spread| spread.median);
    for (what, measured, bound) in [
        (
            format!("p99 of a month's list at {}/s, ms", options.lists),
            ms(measured.list.p99),
            Bound::AtMost(LIST_P99_MS),
        ),
        (
            format!("p99 of a search at {}/s, ms", options.searches),
            ms(measured.search.p99),
            Bound::AtMost(SEARCH_P99_MS),
        ),
        ("memos written, share of the bare insert".to_owned(), share, Bound::AtLeast(CREATE_SHARE)),
    ] {
        report.goal(Goal { what, measured, bound });
    }
    let sought: Vec<_> = measured.sought.iter().map(|(query, read)| json!({ "q": query, "times": read })).collect();
    report.figures(json!({
        "list": measured.list, "search": measured.search, "sought": sought, "create": measured.create
    }));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
