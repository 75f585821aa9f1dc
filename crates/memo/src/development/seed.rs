//! The demo memos.

use chassis::problem::Outcome;
use chrono::TimeDelta;
use domain::{demo, ids::UserId};
use serde_json::json;
use uuid::{Uuid, uuid};

use crate::{
    app::App,
    memos::{
        create::Draft,
        store::{self, NewMemo},
    },
};

/// Ids are fixed, so that a second run finds what the first one wrote.
const MEMOS: [(Uuid, &str, &[&str]); 2] = [
    (
        uuid!("01900000-0000-7000-8000-000000000501"),
        "오늘 발표 연습에서 말이 조금 빨랐다. 숨을 고르고, 핵심 문장 앞에서 한 박자 쉬기.",
        &["발표", "연습"],
    ),
    (
        uuid!("01900000-0000-7000-8000-000000000502"),
        "마루에 앉아 차를 마시며 쓴 메모. 내일은 25분씩 두 번만 집중해 보자.",
        &["집중", "하루"],
    ),
];

/// Writes the demo memos that are missing; those that are there keep what was changed in them.
pub(super) async fn run(app: &App) -> Outcome<()> {
    let mut written_at = app.ground.clock.now();
    let mut memos = Vec::new();
    for (id, content, tags) in MEMOS {
        let draft = Draft {
            content: content.to_owned(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            category: None,
            session_id: None,
            metadata: json!({}),
        };
        memos.push(NewMemo::new(id, UserId(demo::USER.id), draft, written_at));
        // One below the other in the list.
        written_at -= TimeDelta::minutes(1);
    }
    let mut conn = app.ground.pg.conn().await?;
    let made = store::insert_missing(&mut conn, &memos).await?;
    tracing::info!(made, "demo memos written");
    Ok(())
}
