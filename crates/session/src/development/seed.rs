//! The demo person's sessions.

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncConnection;
use domain::{
    demo,
    ids::{SessionId, UserId},
    session::SessionType,
    timer::{Alerts, DURATION_DEFAULT_SECONDS, Plan, Timer},
};
use serde_json::json;
use uuid::{Uuid, uuid};

use crate::{
    app::App,
    sessions::{self, store::NewSession},
    timer,
};

struct Demo {
    id: Uuid,
    title: &'static str,
    description: &'static str,
    kind: SessionType,
    minutes: i64,
}

const DEMOS: [Demo; 2] = [
    Demo {
        id: uuid!("01900000-0000-7000-8000-000000000101"),
        title: "마루 소개 발표",
        description: "타이머를 시작하고, 일시정지하고, 다시 이어 보세요.",
        kind: SessionType::Presentation,
        minutes: 10,
    },
    Demo {
        id: uuid!("01900000-0000-7000-8000-000000000102"),
        title: "모의 면접",
        description: "면접 연습 세션입니다.",
        kind: SessionType::Interview,
        minutes: 30,
    },
];

/// Makes the demo sessions that are missing, each with its timer; those that are there keep what was changed in them.
pub(super) async fn run(app: &App) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    let owner = UserId(demo::USER.id);
    for demo in DEMOS {
        let made = conn
            .transaction(async |conn| {
                if sessions::store::find(conn, owner, SessionId(demo.id)).await?.is_some() {
                    return Outcome::Ok(false);
                }
                let plan = Plan::parse(Some(demo.minutes), None, Alerts::default(), DURATION_DEFAULT_SECONDS);
                let timer = Timer::new(plan.map_err(Problem::from)?);
                let session = sessions::create::insert(app, conn, demo.session(app, owner)).await?;
                timer::store::insert(conn, SessionId(session.id), &timer).await
            })
            .await?;
        if made {
            tracing::info!(session_id = %demo.id, "demo session made");
        }
    }
    Ok(())
}

impl Demo {
    fn session(&self, app: &App, owner: UserId) -> NewSession {
        NewSession {
            id: self.id,
            user_id: owner.0,
            title: self.title.to_owned(),
            description: Some(self.description.to_owned()),
            kind: self.kind.name(),
            event_id: None,
            settings: self.kind.default_settings(),
            metadata: json!({ "tags": ["demo"] }),
            created_at: app.ground.clock.now(),
            updated_at: app.ground.clock.now(),
        }
    }
}
