//! The progress line.
//!
//! While `maru-dev` works a person sees one line: the step it is at and the seconds since the start. In a file or a
//! pipe each step is one line.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{tasks, terminal::Terminal};

/// How often the seconds are redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// The step being worked at; dropping it removes the line.
pub(crate) struct Progress {
    terminal: Terminal,
    begun: Instant,
    step: Arc<Mutex<String>>,
    _ticker: DropGuard,
}

impl Progress {
    /// Begins to count and to show.
    pub(crate) fn begin(terminal: &Terminal) -> Self {
        let begun = Instant::now();
        let step = Arc::new(Mutex::new(String::new()));
        let end = CancellationToken::new();
        if terminal.is_interactive() {
            let (terminal, step, end) = (terminal.clone(), Arc::clone(&step), end.clone());
            tasks::spawn(async move {
                while end.run_until_cancelled(tokio::time::sleep(REDRAW_EVERY)).await.is_some() {
                    let text = step.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    // A redraw after the end would bring the line back.
                    if !text.is_empty() && !end.is_cancelled() {
                        terminal.progress(&line(begun.elapsed(), &text));
                    }
                }
            });
        }
        Self { terminal: terminal.clone(), begun, step, _ticker: end.drop_guard() }
    }

    /// Names the step that begins now, as in "starting PostgreSQL".
    pub(crate) fn step(&self, text: impl Into<String>) {
        let text = text.into();
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if *step != text {
            self.terminal.progress(&line(self.begun.elapsed(), &text));
            *step = text;
        }
    }

    /// Says more about the step, to a watching person only.
    pub(crate) fn detail(&self, text: impl Into<String>) {
        if self.terminal.is_interactive() {
            self.step(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.terminal.end_progress();
    }
}

fn line(elapsed: Duration, step: &str) -> String {
    format!("[{:5.1} s] {step}", elapsed.as_secs_f64())
}

/// The step in a line that [`Progress`] wrote to a file, if it is one.
pub(crate) fn step_of_line(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split_once(" s] ").map(|(_, step)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_step_is_read_back() {
        assert_eq!(step_of_line(&line(Duration::from_millis(1234), "waiting")), Some("waiting"));
        assert_eq!(step_of_line("maru-dev: something"), None);
    }
}
