//! What a scenario found: a table for a person, and the same as JSON for a machine.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cpu;

/// The share of the machine's CPU time above which something else disturbs what is measured.
const BUSY: f64 = 0.1;

/// Rows under a title; the first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(self.columns.get(column).map(|name| name.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let pad = |(column, (cell, width)): (usize, (&str, &usize))| {
                if column == 0 { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") }
            };
            let text: String = cells.zip(&widths).enumerate().map(pad).collect();
            writeln!(out, "{}", text.trim_end())
        };
        line(&mut self.columns.iter().copied())?;
        self.rows.iter().try_for_each(|row| line(&mut row.iter().map(String::as_str)))
    }
}

/// On which side of its bound a figure must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure beside what it should be.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) bound: Bound,
}

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.measured >= least,
            Bound::AtMost(most) => self.measured <= most,
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (sign, bound) = match self.bound {
            Bound::AtLeast(least) => (">=", least),
            Bound::AtMost(most) => ("<=", most),
        };
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        writeln!(out, "  {}: {:.2} (goal {sign} {bound}: {verdict})", self.what, self.measured)
    }
}

/// The findings of one scenario.
#[derive(Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    busy_before: Option<f64>,
    tables: Vec<Table>,
    goals: Vec<Goal>,
    notes: Vec<String>,
    figures: Value,
}

impl Report {
    /// Opens a report before anything is measured, so that it can say how busy the machine was by itself.
    pub(crate) async fn open(scenario: &'static str) -> Self {
        // Once for all scenarios of a run: later on it would be the scenarios themselves.
        static BUSY_BEFORE: OnceCell<Option<f64>> = OnceCell::const_new();
        let mut report = Self {
            scenario,
            busy_before: *BUSY_BEFORE.get_or_init(cpu::busy_share).await,
            tables: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
            figures: Value::Null,
        };
        if let Some(busy) = report.busy_before.filter(|busy| *busy > BUSY) {
            let percent = busy * 100.0;
            report.note(format!("the machine was {percent:.0} % busy with something else at the start: measure again"));
        }
        if cfg!(debug_assertions) {
            report.note("maru-bench is a debug build: its own work distorts the figures".to_owned());
        }
        report
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    pub(crate) fn goal(&mut self, goal: Goal) {
        self.goals.push(goal);
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Sets what the JSON file says beside goals and notes.
    pub(crate) fn figures(&mut self, figures: Value) {
        self.figures = figures;
    }

    /// Prints the report and writes `target/bench/<scenario>.json`.
    pub(crate) fn publish(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.print(&mut out)?;
        let path = directory()?.join(format!("{}.json", self.scenario));
        std::fs::write(&path, format!("{:#}\n", self.json()))?;
        writeln!(out, "  written to {}", path.display())?;
        out.flush()
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n== {} ==", self.scenario)?;
        for table in &self.tables {
            writeln!(out, "{}", table.title)?;
            table.print(out)?;
        }
        self.goals.iter().try_for_each(|goal| goal.print(out))?;
        self.notes.iter().try_for_each(|note| writeln!(out, "  note: {note}"))
    }

    fn json(&self) -> Value {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        json!({
            "scenario": self.scenario,
            "measured_at_unix": at,
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "busy_before": self.busy_before,
            "goals": self.goals.iter().map(|goal| json!({
                "what": goal.what, "measured": goal.measured, "goal": goal.bound, "met": goal.is_met(),
            })).collect::<Vec<_>>(),
            "notes": self.notes,
            "figures": self.figures,
        })
    }
}

/// Prints one line about what is going on, so that nobody waits before a silent terminal.
pub(crate) fn progress(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "  .. {line}")?;
    out.flush()
}

/// Returns the directory of reports and of what the scenarios' processes write, made if need be.
pub(crate) fn directory() -> io::Result<PathBuf> {
    let directory = target_directory().join("bench");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Returns cargo's target directory: the one this program was built into, else the one below the working directory.
pub(crate) fn target_directory() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == "target"))
        .map_or_else(|| Path::new("target").to_path_buf(), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(report: &Report) -> String {
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_goals_judged() {
        let mut report = Report {
            scenario: "sample",
            busy_before: None,
            tables: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
            figures: json!({ "rate": 7 }),
        };
        let mut table = Table::new("Rates", &["way", "req/s"]);
        table.row(["direct".to_owned(), "169,000".to_owned()]);
        table.row(["nginx".to_owned(), "7".to_owned()]);
        report.table(table);
        report.goal(Goal { what: "ratio".to_owned(), measured: 0.7, bound: Bound::AtLeast(0.75) });
        report.goal(Goal { what: "RSS MB".to_owned(), measured: 12.0, bound: Bound::AtMost(20.0) });
        report.note("quiet".to_owned());
        let expected = "
== sample ==
Rates
  way       req/s
  direct  169,000
  nginx         7
  ratio: 0.70 (goal >= 0.75: MISSED)
  RSS MB: 12.00 (goal <= 20: met)
  note: quiet
";
        assert_eq!(printed(&report), expected);
        let json = report.json();
        assert_eq!(json["goals"][0]["met"], false);
        assert_eq!(json["goals"][1]["goal"]["at_most"], 20.0);
        assert_eq!(json["figures"]["rate"], 7);
    }
}
