//! Everything that a person sees.
//!
//! One lock stands between the progress line and the log lines of the services, so they never mix. A write that fails
//! (the reader of a pipe went away) is dropped: losing a line is no reason to stop a running platform.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{fault::Fault, settings};

/// Erases the line the cursor stands in and returns to its beginning.
const ERASE_LINE: &str = "\r\x1b[2K";

/// The longest progress text, so that it never wraps: a wrapped line cannot be erased.
const PROGRESS_WIDTH: usize = 76;

/// Colours for the prefixes of the services' lines, taken in turn.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Standard output and standard error of this process. Clones share one lock.
#[derive(Clone)]
pub(crate) struct Terminal {
    shared: Arc<Mutex<Shown>>,
}

struct Shown {
    interactive: bool,
    coloured: bool,
    progress: Option<String>,
}

impl Terminal {
    /// The terminal of this process.
    pub(crate) fn new() -> Self {
        let interactive = io::stdout().is_terminal() && io::stderr().is_terminal();
        let coloured = io::stdout().is_terminal() && settings::variable("NO_COLOR").is_none();
        Self { shared: Arc::new(Mutex::new(Shown { interactive, coloured, progress: None })) }
    }

    /// Whether a person watches: the progress line is then redrawn in place.
    pub(crate) fn is_interactive(&self) -> bool {
        self.with(|shown| shown.interactive)
    }

    /// One line on standard output.
    pub(crate) fn line(&self, text: impl Display) {
        self.with(|shown| shown.above_progress(&mut io::stdout().lock(), &text.to_string()));
    }

    /// One line of a child's output behind its prefix, on standard output.
    pub(crate) fn child_line(&self, prefix: &str, text: &str) {
        self.with(|shown| {
            let line = if shown.coloured {
                let place = prefix.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                let colour = COLOURS.get(place % COLOURS.len()).copied().unwrap_or(39);
                format!("\x1b[{colour}m{prefix:<12}|\x1b[0m {text}")
            } else {
                format!("{prefix:<12}| {text}")
            };
            shown.above_progress(&mut io::stdout().lock(), &line);
        });
    }

    /// One line about something unusual, on standard error.
    pub(crate) fn notice(&self, text: impl Display) {
        self.with(|shown| shown.above_progress(&mut io::stderr().lock(), &format!("maru-dev: {text}")));
    }

    /// A fault: the log lines that belong to it, then its sentence, on standard error.
    pub(crate) fn fault(&self, fault: &Fault) {
        self.with(|shown| {
            let mut error = io::stderr().lock();
            for line in fault.evidence() {
                shown.above_progress(&mut error, &format!("    {line}"));
            }
            shown.above_progress(&mut error, &format!("maru-dev: {fault}"));
        });
    }

    /// Replaces the progress line (a person watches), or writes one more line (a file or a pipe does).
    pub(crate) fn progress(&self, text: &str) {
        self.with(|shown| {
            let text: String = text.chars().take(PROGRESS_WIDTH).collect();
            if shown.interactive {
                shown.progress = Some(text);
                shown.redraw();
            } else {
                shown.above_progress(&mut io::stdout().lock(), &text);
            }
        });
    }

    /// Removes the progress line.
    pub(crate) fn end_progress(&self) {
        self.with(|shown| {
            if shown.progress.take().is_some() {
                erase_line();
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shown) -> T) -> T {
        act(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shown {
    fn above_progress(&mut self, target: &mut dyn Write, text: &str) {
        if self.progress.is_some() {
            erase_line();
        }
        let _ = writeln!(target, "{text}").and_then(|()| target.flush());
        if self.progress.is_some() {
            self.redraw();
        }
    }

    fn redraw(&self) {
        let mut output = io::stdout().lock();
        let text = self.progress.as_deref().unwrap_or_default();
        let _ = write!(output, "{ERASE_LINE}{text}").and_then(|()| output.flush());
    }
}

fn erase_line() {
    let mut output = io::stdout().lock();
    let _ = write!(output, "{ERASE_LINE}").and_then(|()| output.flush());
}
