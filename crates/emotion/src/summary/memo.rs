//! `POST /emotion/sessions/{session_id}/summary/memo`.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Path},
};
use chassis::{
    client::CallError,
    edge::Language,
    optional_json::OptionalJson,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{
    contract::{MemoToWrite, MemoWritten},
    ids::{ConversationId, MemoId},
    locale::{Locale, Text},
    principal::Principal,
    time::Instant,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{KeptCard, NOTHING_SAID, card, store};
use crate::{app::App, conversation};

/// Under which tag and category cards are found among the memos.
const TAG: Text = Text::new("감정", "emotion");
const CATEGORY: &str = "emotion";

/// A button that needs nothing said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The memo that a card was saved as.
#[derive(Serialize, ToSchema)]
pub struct SavedMemoView {
    /// The memo.
    pub memo_id: MemoId,
    /// The conversation.
    pub session_id: Uuid,
    /// When it was written.
    pub created_at: Instant,
}

/// Saves the summary card of a conversation as a memo. However often it is asked for, it is one memo: the one that is
/// there stays as its owner made it, and comes back out of the trash.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    post, path = "/emotion/sessions/{session_id}/summary/memo", tag = "summary", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path)), request_body = Option<Nothing>,
    responses(
        (status = 201, description = "The memo was written", body = SavedMemoView),
        (status = 200, description = "It was there already", body = SavedMemoView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`nothing_said`", body = ProblemView),
        (status = 503, description = "`unavailable`: the memo service is away", body = ProblemView)
    )
)]
pub async fn save(
    app: Data<App>,
    person: Person,
    language: Language,
    id: Path<ConversationId>,
    _body: OptionalJson<Nothing>,
) -> Outcome<HttpResponse> {
    let (owner, id) = (person.0.user_id, id.into_inner());
    conversation::get(&app, owner, id).await?;
    let kept = card::of(&app, owner, id, language.0).await?.ok_or(NOTHING_SAID)?;
    let memo_id = choose(&app, id).await?;
    let written = write(&app, person.0, memo(id, memo_id, &kept, language.0)).await?;
    let status = if written.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let view = SavedMemoView { memo_id: written.id, session_id: id.0, created_at: written.created_at };
    Ok(HttpResponse::build(status).json(view))
}

/// Chooses the memo's id and keeps it before anything is called: a call whose answer is lost is made again with it.
async fn choose(app: &App, id: ConversationId) -> Outcome<MemoId> {
    let proposed = app.ground.clock.id();
    let mut conn = app.ground.pg.conn().await?;
    Ok(store::choose_memo(&mut conn, id, proposed).await?.ok_or(conversation::NOT_FOUND)?)
}

async fn write(app: &App, person: Principal, memo: MemoToWrite) -> Outcome<MemoWritten> {
    match app.peers.memo.post(Some(person), &["internal", "memos"], &memo).await {
        Ok(written) => Ok(written),
        Err(CallError::Failed(problem)) => Err(problem),
        Err(CallError::Refused(view)) => {
            // Its code and no more: what is said of fields may repeat them.
            Err(Problem::unexpected(format!("the memo service refused a card: {} {}", view.status, view.code)))
        }
    }
}

fn memo(session: ConversationId, id: MemoId, kept: &KeptCard, locale: Locale) -> MemoToWrite {
    MemoToWrite {
        id,
        content: kept.card.to_memo_text(locale),
        tags: vec![TAG.in_locale(locale).to_owned()],
        category: Some(CATEGORY.to_owned()),
        metadata: json!({ "source": "emotion", "emotion_session_id": session, "card": kept.card.source }),
    }
}
