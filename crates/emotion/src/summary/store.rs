//! The cards of conversations, sealed in their rows.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ConversationId, MemoId, UserId},
    summary_card::{Source, SummaryCard},
};
use uuid::Uuid;

use crate::{
    schema::emotion_sessions,
    vault::{Column, PersonVault},
};

/// A card that is kept. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
pub struct KeptCard {
    /// The conversation.
    pub session_id: Uuid,
    /// The card.
    pub card: SummaryCard,
    /// The last step that is in it.
    pub order: i32,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The memo it was saved as, or is about to be.
    pub memo_id: Option<Uuid>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = emotion_sessions, check_for_backend(diesel::pg::Pg))]
struct CardRow {
    id: Uuid,
    card_sealed: Option<Vec<u8>>,
    card_order: Option<i32>,
    card_at: Option<DateTime<Utc>>,
    card_memo_id: Option<Uuid>,
}

impl CardRow {
    fn open(self, vault: &PersonVault) -> Outcome<Option<KeptCard>> {
        let (Some(sealed), Some(order), Some(at)) = (self.card_sealed, self.card_order, self.card_at) else {
            return Ok(None);
        };
        let card = vault.open_json(self.id, Column::Card, &sealed)?;
        Ok(Some(KeptCard { session_id: self.id, card, order, at, memo_id: self.card_memo_id }))
    }
}

/// Finds the card of a conversation of `owner`.
///
/// # Errors
/// Returns a problem when the database is away, or the card was altered behind our back.
pub async fn find(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    id: ConversationId,
) -> Outcome<Option<KeptCard>> {
    let row = emotion_sessions::table
        .find(id.0)
        .filter(emotion_sessions::user_id.eq(owner.0))
        .select(CardRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map_or(Ok(None), |row| row.open(vault))
}

/// Lists the cards of some conversations.
///
/// # Errors
/// As [`find`].
pub async fn list(conn: &mut AsyncPgConnection, vault: &PersonVault, ids: &[Uuid]) -> Outcome<Vec<KeptCard>> {
    let rows: Vec<CardRow> = emotion_sessions::table
        .filter(emotion_sessions::id.eq_any(ids))
        .filter(emotion_sessions::card_sealed.is_not_null())
        .order((emotion_sessions::started_at.desc(), emotion_sessions::id.desc()))
        .select(CardRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().filter_map(|row| row.open(vault).transpose()).collect()
}

/// Keeps a card, unless one of as many steps is there: of two that are made at once the first one counts.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: ConversationId,
    card: &SummaryCard,
    (order, at): (i32, DateTime<Utc>),
) -> Outcome<()> {
    let source = match card.source {
        Source::Model => "model",
        Source::Rules => "rules",
    };
    let is_newer = emotion_sessions::card_order.is_null().or(emotion_sessions::card_order.lt(order));
    diesel::update(emotion_sessions::table.find(id.0).filter(is_newer))
        .set((
            emotion_sessions::card_sealed.eq(vault.seal_json(id.0, Column::Card, card)?),
            emotion_sessions::card_source.eq(source),
            emotion_sessions::card_order.eq(order),
            emotion_sessions::card_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Chooses the id of the memo that a card is saved as, once and for all; nothing when the conversation is gone.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn choose_memo(
    conn: &mut AsyncPgConnection,
    id: ConversationId,
    proposed: MemoId,
) -> Outcome<Option<MemoId>> {
    let unsaved = emotion_sessions::table.find(id.0).filter(emotion_sessions::card_memo_id.is_null());
    diesel::update(unsaved).set(emotion_sessions::card_memo_id.eq(proposed.0)).execute(conn).await?;
    let chosen: Option<Option<Uuid>> =
        emotion_sessions::table.find(id.0).select(emotion_sessions::card_memo_id).first(conn).await.optional()?;
    Ok(chosen.flatten().map(MemoId))
}
