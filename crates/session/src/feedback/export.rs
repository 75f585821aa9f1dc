//! A person's feedback in the document of all that is kept about them.

use std::collections::HashMap;

use chassis::problem::Outcome;
use diesel_async::AsyncPgConnection;
use domain::feedback::FeedbackSummary;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{CueView, store};

/// The feedback of a session.
#[derive(Debug, Default, Serialize)]
pub struct ExportedFeedback {
    settings: Option<Value>,
    totals: Option<FeedbackSummary>,
    cues: Vec<CueView>,
}

/// Reads what is kept for some sessions, without their cues; those for which there is nothing are left out.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin(conn: &mut AsyncPgConnection, sessions: &[Uuid]) -> Outcome<HashMap<Uuid, ExportedFeedback>> {
    let mut found: HashMap<Uuid, ExportedFeedback> = HashMap::new();
    for (session, settings) in store::kept_settings(conn, sessions).await? {
        found.entry(session).or_default().settings = Some(settings);
    }
    for (session, totals) in store::kept_totals(conn, sessions).await? {
        found.entry(session).or_default().totals = Some(totals);
    }
    Ok(found)
}

impl ExportedFeedback {
    /// Adds the cues of its session: one session's at a time, because a page of sessions may have a hundred thousand.
    ///
    /// # Errors
    /// Returns a problem when the database is away.
    pub async fn with_cues(mut self, conn: &mut AsyncPgConnection, session: Uuid) -> Outcome<Self> {
        if self.totals.as_ref().is_some_and(|totals| totals.cue_count > 0) {
            self.cues = store::list_all(conn, session).await?.into_iter().map(CueView::from).collect();
        }
        Ok(self)
    }
}
