//! A reply while it grows, read by any number of viewers at their own pace.

use std::{sync::Arc, time::Duration};

use chassis::pg::Pg;
use chrono::{DateTime, Utc};
use domain::{companion::StepStatus, ids::StepId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::written::Written;
use crate::{step::kept, vault::PersonVault};

/// Bytes of a reply that are held in any case: twice what a long one of a companion has.
const HELD: usize = 4 * 1024;
/// How long a viewer waits for a database that is away, and how often it tries.
const READ_PATIENCE: Duration = Duration::from_secs(20);
const READ_EVERY: Duration = Duration::from_millis(500);

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Whole, and kept.
    Complete,
    /// By the person; what there was is kept.
    Stopped,
    /// Cut because of what it said, with a safe text in the place of the rest.
    Blocked,
    /// Before its end; what there was is kept if the database could be reached.
    Interrupted,
}

impl End {
    /// Returns the status of a step whose reply ended so.
    pub const fn status(self) -> StepStatus {
        match self {
            Self::Complete => StepStatus::Complete,
            Self::Stopped => StepStatus::Stopped,
            Self::Blocked => StepStatus::Blocked,
            Self::Interrupted => StepStatus::Interrupted,
        }
    }

    /// Returns how the reply of a step ended; nothing while it has not.
    pub const fn of(status: StepStatus) -> Option<Self> {
        match status {
            StepStatus::Pending | StepStatus::Streaming => None,
            StepStatus::Complete => Some(Self::Complete),
            StepStatus::Stopped => Some(Self::Stopped),
            StepStatus::Blocked => Some(Self::Blocked),
            StepStatus::Interrupted | StepStatus::Failed => Some(Self::Interrupted),
        }
    }
}

/// What is known of a reply beside its text. It has no `Debug`: it holds what the person feels.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Who answers: `offline`, or a provider of models.
    pub provider: String,
    /// The client's own name of the message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_msg_id: Option<String>,
    /// The card that opens the reply, when the message worries.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub safety: Option<Value>,
    /// The feeling of the message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emotion: Option<Value>,
    /// The step of the arc that the reply belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arc: Option<domain::arc::Step>,
    /// Whether this is a good place to close.
    #[serde(default)]
    pub suggests_closing: bool,
}

/// The step that a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The step.
    pub id: StepId,
    /// Its place in the conversation, from 1.
    pub order: u32,
    /// Which try at its reply this is, from 1.
    pub attempt: i32,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

/// What a viewer is told next.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// The next piece, and its place in the reply, from 1.
    Piece(u32, String),
    /// No more pieces come.
    Ended(End),
}

/// What was written so far.
#[derive(Default)]
pub(super) struct Progress {
    written: Written,
    end: Option<End>,
    about: Arc<About>,
    /// Whether it is written here, and so known to its last piece.
    is_own: bool,
}

impl Progress {
    /// Begins a reply that is written here.
    pub(super) fn own(about: About) -> Self {
        Self { is_own: true, ..Self::about(about) }
    }

    /// Begins a reply that is written elsewhere.
    pub(super) fn about(about: About) -> Self {
        Self { about: Arc::new(about), ..Self::default() }
    }

    /// Puts a reply together from what was kept of it.
    pub(super) fn kept(written: Written, end: End, about: About) -> Self {
        Self { written, end: Some(end), about: Arc::new(about), is_own: false }
    }

    /// Returns what was written so far.
    pub(super) const fn written(&self) -> &Written {
        &self.written
    }

    /// Returns how many pieces there are so far.
    pub(super) fn pieces(&self) -> u32 {
        u32::try_from(self.written.pieces()).unwrap_or(u32::MAX)
    }

    /// Returns the pieces after the first `seen` ones, without those that were let go of.
    pub(super) fn after(&self, seen: u32) -> Vec<&str> {
        self.written.after(size(seen)).collect()
    }

    /// Lets go of text that has nothing but the first `pieces` ones, unless the reply is short: most are, and whoever
    /// reads one again need not ask the database.
    pub(super) fn let_go(&mut self, pieces: u32) {
        if self.written.bytes() > HELD {
            self.written.let_go(size(pieces));
        }
    }

    /// Returns how many pieces were let go of.
    pub(super) fn gone(&self) -> u32 {
        u32::try_from(self.written.gone()).unwrap_or(u32::MAX)
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &str) {
        self.written.push(piece);
    }

    /// Changes what is known beside the text.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut About)) {
        change(Arc::make_mut(&mut self.about));
    }

    /// Returns what is known beside the text.
    pub(super) fn known(&self) -> &Arc<About> {
        &self.about
    }

    /// Returns how it ended; nothing while it has not.
    pub(super) const fn ended(&self) -> Option<End> {
        self.end
    }

    /// Says that no more comes.
    pub(super) fn close(&mut self, end: End) {
        self.end = Some(end);
    }

    /// Says that no more comes, of a reply that nobody ended; returns whether it was one.
    pub(super) fn abandon(&mut self) -> bool {
        let was_open = self.end.is_none();
        self.end = self.end.or(Some(End::Interrupted));
        was_open
    }

    /// Finds the piece after the first `seen` ones.
    fn next(&self, seen: u32) -> Next<'_> {
        match (self.written.piece(size(seen)), self.end) {
            (Some(piece), _) => Next::Piece(piece),
            (None, _) if seen < self.gone() => Next::Gone,
            (None, Some(end)) => Next::End(end),
            (None, None) => Next::Unwritten,
        }
    }
}

/// What comes after some pieces.
enum Next<'a> {
    Piece(&'a str),
    /// A piece that was let go of.
    Gone,
    End(End),
    Unwritten,
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A viewer's hold on a reply.
pub struct Reply {
    step: Begun,
    vault: PersonVault,
    progress: watch::Receiver<Progress>,
    seen: u32,
    /// What is kept of it, while this viewer is at a place of which the text was let go.
    kept: Option<Box<Written>>,
}

impl Reply {
    pub(super) fn new(step: Begun, vault: PersonVault, progress: watch::Receiver<Progress>, seen: u32) -> Self {
        Self { step, vault, progress, seen, kept: None }
    }

    /// Returns the step it answers.
    pub fn step(&self) -> Begun {
        self.step
    }

    /// Returns what is known of it beside its text.
    pub fn about(&self) -> Arc<About> {
        Arc::clone(self.progress.borrow().known())
    }

    /// Returns the place of the last piece that this viewer was given.
    pub fn seen(&self) -> u32 {
        self.seen
    }

    /// Returns the place of the reply's last piece; nothing while it may be written elsewhere and is not known here.
    pub fn last(&self) -> Option<u32> {
        let progress = self.progress.borrow();
        (progress.end.is_some() || progress.is_own).then(|| progress.pieces())
    }

    /// Passes over pieces that the viewer was shown otherwise.
    pub fn skip(&mut self, pieces: u32) {
        self.seen = self.seen.max(pieces);
    }

    /// Waits for what this viewer has not seen. Nothing is lost when the wait is given up.
    pub async fn next(&mut self, pg: &Pg) -> Event {
        loop {
            let is_gone = {
                let progress = self.progress.borrow_and_update();
                match progress.next(self.seen) {
                    Next::Piece(piece) => {
                        self.seen += 1;
                        self.kept = None;
                        return Event::Piece(self.seen, piece.to_owned());
                    }
                    Next::End(end) => return Event::Ended(end),
                    Next::Gone => true,
                    Next::Unwritten => false,
                }
            };
            if is_gone {
                // Put aside: hardly anybody comes this late, and there are many who wait here.
                return Box::pin(self.read(pg)).await;
            }
            // The job is gone without a word: it panicked.
            if self.progress.changed().await.is_err() {
                return Event::Ended(self.progress.borrow().end.unwrap_or(End::Interrupted));
            }
        }
    }

    /// Reads the next piece from the database.
    async fn read(&mut self, pg: &Pg) -> Event {
        let give_up = Instant::now() + READ_PATIENCE;
        loop {
            if let Some(piece) = self.kept.as_ref().and_then(|kept| kept.piece(size(self.seen))) {
                self.seen += 1;
                return Event::Piece(self.seen, piece.to_owned());
            }
            let kept = async {
                let mut conn = pg.conn().await?;
                kept::find_text(&mut conn, &self.vault, self.step.id, self.step.attempt).await
            };
            match kept.await.map(|kept| kept.map(Written::from)) {
                Ok(Some(kept)) if kept.pieces() > size(self.seen) => self.kept = Some(Box::new(kept)),
                // It was erased, or is being written anew.
                Ok(_) => return Event::Ended(End::Interrupted),
                Err(problem) if Instant::now() > give_up => {
                    problem.log();
                    return Event::Ended(End::Interrupted);
                }
                Err(_away) => sleep(READ_EVERY).await,
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
    use chassis::pg::PgConfig;
    use domain::ids::Id;
    use proptest::prelude::*;

    use super::*;

    fn begun() -> Begun {
        Begun { id: StepId::from_uuid(uuid::Uuid::nil()), order: 1, attempt: 1, created_at: DateTime::UNIX_EPOCH }
    }

    fn reply() -> (watch::Sender<Progress>, Reply) {
        let (progress, watching) = watch::channel(Progress::default());
        (progress, Reply::new(begun(), PersonVault::without_key(), watching, 0))
    }

    fn nowhere() -> Pg {
        let database_url = String::from("postgres://nobody@127.0.0.1:1/nothing").into();
        Pg::new(&PgConfig { database_url, database_pool_size: 1 }, "test").unwrap()
    }

    fn piece(seq: u32, text: &str) -> Event {
        Event::Piece(seq, text.to_owned())
    }

    #[tokio::test]
    async fn a_viewer_that_comes_late_reads_every_piece_once_and_then_the_end() {
        let (progress, mut reply) = reply();
        for piece in ["오늘 ", "", "어땠나요?"] {
            progress.send_modify(|p| p.push(piece));
        }
        progress.send_modify(|p| p.close(End::Complete));
        for (seq, text) in [(1, "오늘 "), (2, ""), (3, "어땠나요?")] {
            assert!(reply.next(&nowhere()).await == piece(seq, text));
        }
        assert!(reply.next(&nowhere()).await == Event::Ended(End::Complete));
        assert_eq!(reply.ended().await, End::Complete);
    }

    #[tokio::test]
    async fn a_job_that_is_gone_without_a_word_is_an_interruption() {
        let (progress, mut reply) = reply();
        progress.send_modify(|p| p.push("그래"));
        drop(progress);
        assert!(reply.next(&nowhere()).await == piece(1, "그래"));
        assert!(reply.next(&nowhere()).await == Event::Ended(End::Interrupted));
    }

    #[tokio::test]
    async fn a_kept_reply_is_read_again_from_any_place() {
        let kept = |seen| {
            let progress = Progress::kept(Written::of("하나 둘", Some(&[7, 3])), End::Stopped, About::default());
            Reply::new(begun(), PersonVault::without_key(), watch::channel(progress).1, seen)
        };
        let mut reply = kept(1);
        assert!(
            reply.next(&nowhere()).await == piece(2, "둘")
                && reply.next(&nowhere()).await == Event::Ended(End::Stopped)
        );
        // Lengths of another text: what was said is told all the same.
        let progress = Progress::kept(Written::of("하나", Some(&[2, 4])), End::Complete, About::default());
        let mut reply = Reply::new(begun(), PersonVault::without_key(), watch::channel(progress).1, 0);
        assert!(
            reply.next(&nowhere()).await == piece(1, "하나")
                && reply.next(&nowhere()).await == Event::Ended(End::Complete)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_up_needs_no_database_and_who_comes_late_waits_for_one_that_is_away() {
        let (progress, mut reply) = reply();
        let long = "가".repeat(HELD);
        progress.send_modify(|p| p.push(&long));
        progress.send_modify(|p| p.let_go(1));
        let (mut late, since) = (Reply { seen: 0, ..reply }, Instant::now());
        assert!(late.next(&nowhere()).await == Event::Ended(End::Interrupted) && since.elapsed() >= READ_PATIENCE);
        reply = Reply { seen: 1, ..late };
        progress.send_modify(|p| p.push("끝"));
        assert!(reply.next(&nowhere()).await == piece(2, "끝"));
        progress.send_modify(|p| p.let_go(2));
        progress.send_modify(|p| p.close(End::Complete));
        assert!(reply.next(&nowhere()).await == Event::Ended(End::Complete));
    }

    #[test]
    fn a_short_reply_is_held_whole() {
        let mut progress = Progress::default();
        progress.push("하나");
        progress.let_go(1);
        assert_eq!((progress.gone(), progress.after(0)), (0, vec!["하나"]));
    }

    proptest! {
        #[test]
        fn pieces_after_any_place_complete_what_was_seen(pieces in proptest::collection::vec("(?s).{0,5}", 0..20), cut: u8) {
            let mut progress = Progress::default();
            for piece in &pieces {
                progress.push(piece);
            }
            let cut = u32::from(cut) % (progress.pieces() + 1);
            let seen: String = pieces[..size(cut)].concat();
            prop_assert_eq!(seen + &progress.after(cut).concat(), pieces.concat());
        }
    }
}
