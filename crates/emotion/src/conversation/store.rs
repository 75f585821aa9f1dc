//! The rows of conversations.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ConversationId, UserId},
    page::Limit,
};
use uuid::Uuid;

use crate::schema::emotion_sessions;

/// A conversation.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = emotion_sessions, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Conversation {
    pub id: Uuid,
    pub user_id: Uuid,
    pub emotion_label: Option<String>,
    pub topic: Option<String>,
    pub trigger_summary: Option<String>,
    pub insight_summary: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Conversation {
    /// Describes a conversation that begins.
    pub const fn new(id: ConversationId, owner: UserId, started_at: DateTime<Utc>) -> Self {
        Self {
            id: id.0,
            user_id: owner.0,
            emotion_label: None,
            topic: None,
            trigger_summary: None,
            insight_summary: None,
            started_at,
            ended_at: None,
        }
    }
}

/// Writes a conversation unless it is there; returns whether it was new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(conn: &mut AsyncPgConnection, conversation: &Conversation) -> Outcome<bool> {
    let made = diesel::insert_into(emotion_sessions::table)
        .values(conversation)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(made > 0)
}

/// Finds a conversation.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: ConversationId) -> Outcome<Option<Conversation>> {
    let found = emotion_sessions::table.find(id.0).select(Conversation::as_select()).first(conn).await;
    Ok(found.optional()?)
}

/// Finds a conversation and holds its row until the transaction ends.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock(conn: &mut AsyncPgConnection, id: ConversationId) -> Outcome<Option<Conversation>> {
    let found = emotion_sessions::table.find(id.0).select(Conversation::as_select()).for_update().first(conn).await;
    Ok(found.optional()?)
}

/// Lists a person's conversations, newest first, after the one at `after`; one more than `limit`, if there is one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_of(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    limit: Limit,
    after: Option<&Conversation>,
) -> Outcome<Vec<Conversation>> {
    let mut query = emotion_sessions::table
        .filter(emotion_sessions::user_id.eq(owner.0))
        .order((emotion_sessions::started_at.desc(), emotion_sessions::id.desc()))
        .limit(limit.rows() + 1)
        .select(Conversation::as_select())
        .into_boxed();
    if let Some(last) = after {
        let same_instant = emotion_sessions::started_at.eq(last.started_at).and(emotion_sessions::id.lt(last.id));
        query = query.filter(emotion_sessions::started_at.lt(last.started_at).or(same_instant));
    }
    Ok(query.load(conn).await?)
}

/// Counts a person's conversations.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_of(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<i64> {
    let count = emotion_sessions::table.filter(emotion_sessions::user_id.eq(owner.0)).count().get_result(conn).await;
    Ok(count?)
}
