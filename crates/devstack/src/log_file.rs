//! Log files of the children.
//!
//! Each child's lines go to one file, which starts again from nothing at 10 MB: nobody reads more of a development log,
//! and a forgotten stack must not fill the disk. The last lines are also kept in memory, to be shown when the child
//! fails.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use crate::{fault::Fault, files};

/// The size at which a file starts again.
const LIMIT: u64 = 10 * 1024 * 1024;

/// How many of the last lines are kept in memory.
const RECENT: usize = 12;

/// The longest line; the rest of a longer one becomes lines of its own.
const LONGEST_LINE: usize = 64 * 1024;

/// One child's log. Clones write to the same file.
#[derive(Clone)]
pub(crate) struct LogFile {
    shared: Arc<Mutex<Written>>,
}

struct Written {
    file: File,
    length: u64,
    recent: VecDeque<String>,
}

impl LogFile {
    /// Opens `<directory>/<name>.log` and goes on behind what it holds.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<Self, Fault> {
        files::private_directory(directory)?;
        let path = directory.join(format!("{name}.log"));
        let doing = |error| Fault::io(format!("write {}", path.display()), &error);
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(doing)?;
        let length = file.metadata().map_err(doing)?.len();
        Ok(Self { shared: Arc::new(Mutex::new(Written { file, length, recent: VecDeque::new() })) })
    }

    /// The last lines.
    pub(crate) fn recent(&self) -> Vec<String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).recent.iter().cloned().collect()
    }

    /// Forgets the last lines, as a new attempt begins.
    pub(crate) fn forget_recent(&self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).recent.clear();
    }

    /// Adds one line. A full disk loses the line, not the child.
    pub(crate) fn write(&self, line: &str) {
        let mut written = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if written.length > LIMIT && written.file.set_len(0).is_ok() {
            written.length = 0;
        }
        if written.file.write_all(format!("{line}\n").as_bytes()).is_ok() {
            written.length = written.length.saturating_add(line.len() as u64 + 1);
        }
        if written.recent.len() == RECENT {
            written.recent.pop_front();
        }
        written.recent.push_back(line.to_owned());
    }
}

/// Takes the pipes of a child; the returned future hands over its output and errors, line by line, to their end.
pub(crate) fn lines_of<F: Fn(&str)>(child: &mut Child, take: F) -> impl Future<Output = ()> + use<F> {
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    async move {
        let output = async {
            if let Some(output) = output {
                each_line(output, &take).await;
            }
        };
        let errors = async {
            if let Some(errors) = errors {
                each_line(errors, &take).await;
            }
        };
        tokio::join!(output, errors);
    }
}

/// Runs a command to its end with its output and errors in a log. Ends it when the returned future is dropped.
pub(crate) async fn run_into(command: &mut Command, log: &LogFile) -> io::Result<ExitStatus> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let copy = lines_of(&mut child, |line| log.write(line));
    let (status, ()) = tokio::join!(child.wait(), copy);
    status
}

/// Reads output to its end and hands it over line by line.
async fn each_line(mut output: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) {
    let mut pending = Vec::new();
    let mut chunk = vec![0_u8; 8 * 1024];
    while let Ok(length) = output.read(&mut chunk).await {
        if length == 0 {
            break;
        }
        for part in chunk.get(..length).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(part);
            if part.ends_with(b"\n") || pending.len() >= LONGEST_LINE {
                take(String::from_utf8_lossy(&pending).trim_end_matches(['\n', '\r']));
                pending.clear();
            }
        }
    }
    if !pending.is_empty() {
        take(String::from_utf8_lossy(&pending).trim_end_matches(['\n', '\r']));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_split_wherever_the_chunks_end() {
        let mut lines = Vec::new();
        each_line(&b"one\r\ntwo\n\nlast"[..], |line| lines.push(line.to_owned())).await;
        assert_eq!(lines, ["one", "two", "", "last"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let endless = vec![b'x'; LONGEST_LINE * 2 + 5];
        let mut lengths = Vec::new();
        each_line(endless.as_slice(), |line| lengths.push(line.len())).await;
        assert_eq!(lengths.iter().sum::<usize>(), endless.len());
        assert!(lengths.len() >= 3, "{lengths:?}");
    }
}
