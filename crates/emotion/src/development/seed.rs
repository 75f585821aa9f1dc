//! The demo person's conversation.

use chassis::problem::Outcome;
use diesel_async::AsyncConnection;
use domain::{
    arc::Step,
    companion::StepStatus,
    demo,
    ids::{ConversationId, UserId},
    listener,
    locale::Locale,
};
use uuid::{Uuid, uuid};

use crate::{
    app::App,
    conversation::{Conversation, store},
    step::store::{self as steps, NewStep},
};

const CONVERSATION: ConversationId = ConversationId(uuid!("01900000-0000-7000-8000-0000000e0001"));
/// The steps' ids and what was said.
const SAID: [(Uuid, &str); 2] = [
    (uuid!("01900000-0000-7000-8000-0000000e0101"), "요즘 기분이 별로야."),
    (uuid!("01900000-0000-7000-8000-0000000e0102"), "내일 발표가 있어서 너무 긴장돼."),
];

/// Makes the conversation, unless somebody has it already; what was added to it since is kept.
pub(crate) async fn run(app: &App) -> Outcome<()> {
    let now = app.ground.clock.now();
    let mut conversation = Conversation::new(CONVERSATION, UserId(demo::USER.id), now);
    conversation.emotion_label = Some("nervousness".to_owned());
    conversation.topic = Some("발표를 앞둔 밤".to_owned());
    let (_, seed) = CONVERSATION.0.as_u64_pair();
    let replies: Vec<_> = (1..)
        .zip(SAID)
        .map(|(order, (id, said))| {
            let turn = listener::Turn { locale: Locale::Ko, seed, order, step: Step::default(), hint: None };
            (id, order, said, listener::reply(turn, said))
        })
        .collect();
    let rows: Vec<_> = replies
        .iter()
        .map(|(id, order, said, reply)| NewStep {
            gpt_response: reply,
            status: StepStatus::Complete,
            ..NewStep::streaming(
                *id,
                CONVERSATION.0,
                demo::USER.id,
                i32::try_from(*order).unwrap_or(i32::MAX),
                said,
                now,
            )
        })
        .collect();
    let mut conn = app.ground.pg.conn().await?;
    let made = conn
        .transaction(async |conn| {
            let vault = app.vault.open_for(conn, UserId(demo::USER.id)).await?;
            let made = store::insert_missing(conn, &vault, &conversation).await?;
            if made {
                steps::insert_all(conn, &vault, &rows).await?;
            }
            Outcome::Ok(made)
        })
        .await?;
    if made {
        tracing::info!("demo conversation made");
    }
    Ok(())
}
