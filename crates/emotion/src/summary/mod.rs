//! The summary card of a conversation, and the memo it is saved as.
//!
//! A card is made when it is first asked for and kept, sealed, with the conversation; it is made anew only when more was
//! said since. A model may word it; its facts are counted by rules, which make the whole card where there is no model, or
//! none in time.

mod card;
pub mod memo;
pub mod show;
pub mod store;

use actix_web::web::{self, ServiceConfig};
use domain::{
    fault::{Fault, Kind},
    summary_card::SummaryCard,
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use card::{language_of, of_steps};
pub use store::KeptCard;

/// Nothing was said yet that could be summed up.
pub const NOTHING_SAID: Fault = Fault::new(
    Kind::Conflict,
    "nothing_said",
    "아직 나눈 이야기가 없습니다.",
    "Nothing has been said in this session yet.",
);

/// Mounts the routes of summaries.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/emotion/sessions/{session_id}/summary").get(show::show))
        .service(web::resource("/emotion/sessions/{session_id}/summary/memo").post(memo::save));
}

/// A summary card as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct SummaryView {
    /// The conversation.
    pub session_id: Uuid,
    /// The card.
    #[serde(flatten)]
    pub card: SummaryCard,
    /// When it was made; nothing for a conversation in which nothing was said.
    pub created_at: Option<Instant>,
    /// The memo it was saved as.
    pub memo_id: Option<Uuid>,
}

impl SummaryView {
    fn new(session_id: Uuid, kept: KeptCard) -> Self {
        Self { session_id, card: kept.card, created_at: Some(kept.at.into()), memo_id: kept.memo_id }
    }

    fn empty(session_id: Uuid, card: SummaryCard) -> Self {
        Self { session_id, card, created_at: None, memo_id: None }
    }
}
