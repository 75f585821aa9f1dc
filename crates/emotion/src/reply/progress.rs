//! A reply while it grows: one text and where its pieces end, read by any number of viewers at their own pace.

use chrono::{DateTime, Utc};
use domain::ids::StepId;
use tokio::sync::watch;

use super::Begun;

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whole, and kept.
    Complete,
    /// Before its end; what there was is kept if the database could be reached.
    Interrupted,
}

/// What a viewer is told next.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// The next piece.
    Piece(String),
    /// No more pieces come.
    Ended(End),
}

/// What was written so far.
#[derive(Default)]
pub(super) struct Progress {
    text: String,
    /// Where each piece ends in `text`, bytes.
    ends: Vec<usize>,
    end: Option<End>,
}

impl Progress {
    /// Returns the text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
        self.ends.push(self.text.len());
    }

    /// Says that no more comes.
    pub(super) fn close(&mut self, end: End) {
        self.end = Some(end);
    }

    fn piece(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.text.get(start..end)
    }
}

/// A viewer's hold on a reply.
pub struct Reply {
    step: Begun,
    progress: watch::Receiver<Progress>,
    seen: usize,
}

impl Reply {
    pub(super) fn new(step: Begun, progress: watch::Receiver<Progress>) -> Self {
        Self { step, progress, seen: 0 }
    }

    /// Returns the step it answers.
    pub fn step_id(&self) -> StepId {
        self.step.id
    }

    /// Returns when the step was written.
    pub fn created_at(&self) -> DateTime<Utc> {
        self.step.created_at
    }

    /// Waits for what this viewer has not seen. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Event {
        loop {
            {
                let progress = self.progress.borrow_and_update();
                if let Some(piece) = progress.piece(self.seen) {
                    self.seen += 1;
                    return Event::Piece(piece.to_owned());
                }
                if let Some(end) = progress.end {
                    return Event::Ended(end);
                }
            }
            // The job is gone without a word: it panicked.
            if self.progress.changed().await.is_err() {
                return Event::Ended(End::Interrupted);
            }
        }
    }

    /// Waits until the reply has ended.
    pub async fn ended(&mut self) -> End {
        self.progress
            .wait_for(|progress| progress.end.is_some())
            .await
            .map_or(End::Interrupted, |progress| progress.end.unwrap_or(End::Interrupted))
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::Id;

    use super::*;

    fn reply() -> (watch::Sender<Progress>, Reply) {
        let (progress, watching) = watch::channel(Progress::default());
        let step = Begun { id: StepId::from_uuid(uuid::Uuid::nil()), order: 1, created_at: DateTime::UNIX_EPOCH };
        (progress, Reply::new(step, watching))
    }

    #[tokio::test]
    async fn a_late_viewer_gets_every_piece_once_and_in_order() {
        let (progress, mut reply) = reply();
        for piece in ["오늘 ", "", "어땠나요?"] {
            progress.send_modify(|p| p.push(piece));
        }
        progress.send_modify(|p| p.close(End::Complete));
        drop(progress);
        for piece in ["오늘 ", "", "어땠나요?"] {
            assert!(reply.next().await == Event::Piece(piece.to_owned()));
        }
        assert!(reply.next().await == Event::Ended(End::Complete));
        assert_eq!(reply.ended().await, End::Complete);
    }

    #[tokio::test]
    async fn a_job_that_is_gone_without_a_word_is_an_interruption() {
        let (progress, mut reply) = reply();
        progress.send_modify(|p| p.push("그래"));
        drop(progress);
        assert!(reply.next().await == Event::Piece("그래".to_owned()));
        assert!(reply.next().await == Event::Ended(End::Interrupted));
    }
}
