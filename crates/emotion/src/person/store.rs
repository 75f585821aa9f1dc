//! The rows of a person, wherever they are.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper,
    dsl::{exists, not, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    conversation::{Conversation, ConversationRow},
    schema::{emotion_sessions, emotion_steps},
    step::{Step, StepRow},
    vault::PersonVault,
};

/// Conversations that are read at once.
const CONVERSATIONS: i64 = 100;
/// Steps that are read at once; one may have 72 KiB.
const STEPS: i64 = 100;

/// The last conversation of a page: when it began, and its id.
pub type LastConversation = (DateTime<Utc>, Uuid);
/// The last step of a page: its conversation, and its place there.
pub type LastStep = (Uuid, i32);

/// Lists a person's conversations, newest first, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_conversations(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    last: Option<LastConversation>,
) -> Outcome<Vec<Conversation>> {
    let mut query = emotion_sessions::table
        .filter(emotion_sessions::user_id.eq(owner.0))
        .order((emotion_sessions::started_at.desc(), emotion_sessions::id.desc()))
        .limit(CONVERSATIONS)
        .select(ConversationRow::as_select())
        .into_boxed();
    if let Some((started_at, id)) = last {
        // The first half alone is what the index can seek by.
        let older = emotion_sessions::started_at.lt(started_at).or(emotion_sessions::id.lt(id));
        query = query.filter(emotion_sessions::started_at.le(started_at)).filter(older);
    }
    let found: Vec<ConversationRow> = query.load(conn).await?;
    found.into_iter().map(|row| row.open(vault)).collect()
}

/// Lists the steps of some conversations, conversation by conversation, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_steps(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversations: &[Uuid],
    last: Option<LastStep>,
) -> Outcome<Vec<Step>> {
    let mut query = emotion_steps::table
        .filter(emotion_steps::session_id.eq_any(conversations))
        .order((emotion_steps::session_id, emotion_steps::step_order))
        .limit(STEPS)
        .select(StepRow::as_select())
        .into_boxed();
    if let Some((conversation, order)) = last {
        let later = emotion_steps::session_id.gt(conversation).or(emotion_steps::step_order.gt(order));
        query = query.filter(emotion_steps::session_id.ge(conversation)).filter(later);
    }
    let found: Vec<StepRow> = query.load(conn).await?;
    found.into_iter().map(|row| row.open(vault)).collect()
}

/// Deletes some of a person's conversations, and only then a conversation when all of its steps are gone; returns how
/// many conversations and how many steps.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_some(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<(usize, usize)> {
    // Conversations before steps, as whoever begins a step locks them.
    let some: Vec<Uuid> = emotion_sessions::table
        .filter(emotion_sessions::user_id.eq(owner.0))
        .order(emotion_sessions::id)
        .limit(ERASE_ROWS)
        .select(emotion_sessions::id)
        .for_update()
        .load(conn)
        .await?;
    let steps: Vec<Uuid> = emotion_steps::table
        .filter(emotion_steps::session_id.eq_any(&some))
        .limit(ERASE_ROWS)
        .select(emotion_steps::id)
        .load(conn)
        .await?;
    let steps = diesel::delete(emotion_steps::table.filter(emotion_steps::id.eq_any(steps))).execute(conn).await?;
    let theirs = emotion_steps::table.filter(emotion_steps::session_id.eq(emotion_sessions::id));
    let silent = emotion_sessions::table.filter(emotion_sessions::id.eq_any(some)).filter(not(exists(theirs)));
    Ok((diesel::delete(silent).execute(conn).await?, steps))
}

/// Returns whether a person has a conversation.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    let theirs = emotion_sessions::table.filter(emotion_sessions::user_id.eq(owner.0));
    Ok(select(exists(theirs)).get_result(conn).await?)
}
