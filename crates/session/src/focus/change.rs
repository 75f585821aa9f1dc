//! How a focus session is changed: read, decided, written, and told to Redis.

use std::time::Duration;

use chassis::{
    clock::Clock,
    outbox::Outbox,
    problem::{Outcome, Problem},
    redis::Redis,
};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    contract::FocusSession,
    fault::Fault,
    focus::{Focus, INVALID_TRANSITION, Status},
    ids::{FocusId, UserId},
};

use super::{
    agenda::Agenda,
    cache::Cache,
    complete,
    store::{self, Row, Seen},
};
use crate::app::App;

/// Most decisions on one request. Each lost one means that somebody else changed the session in between, by hand, or
/// that its time was over.
const DECISIONS: usize = 8;
/// Longest a change that is committed waits for Redis to hear of it.
const TELLING: Duration = Duration::from_millis(500);

/// Where changes of focus sessions are told; clones share it.
#[derive(Clone)]
pub struct Effects {
    /// The current session of each person.
    pub cache: Cache,
    /// Which session is over next.
    pub agenda: Agenda,
    /// The news of completed ones.
    pub outbox: Outbox,
}

impl Effects {
    /// Tells changes to `redis`.
    pub fn new(redis: &Redis, clock: Clock) -> Self {
        Self { cache: Cache::new(redis.clone()), agenda: Agenda::new(redis.clone()), outbox: Outbox::new(clock) }
    }

    /// Tells Redis what a session has come to, after the commit. If Redis is away it hears nothing: the agenda is only
    /// an index, and an entry of the cache lives a minute.
    pub async fn changed(&self, row: &Row) {
        self.outbox.wake();
        let telling = async {
            self.cache.put(row).await?;
            self.agenda.follow(row).await
        };
        self.tell(telling).await;
    }

    /// Lets the cache know what was read.
    pub async fn remember(&self, row: &Row) {
        self.tell(async { self.cache.put(row).await.map(drop) }).await;
    }

    /// Tells Redis that a session is gone, after the commit.
    pub async fn deleted(&self, row: &Row) {
        let telling = async {
            self.cache.bury(row).await?;
            self.agenda.settle(&[row.id], &[]).await
        };
        self.tell(telling).await;
    }

    /// Has Redis forget a person, after the commit.
    pub async fn forgotten(&self, owner: UserId) {
        self.tell(self.cache.forget(owner)).await;
    }

    async fn tell(&self, telling: impl Future<Output = Outcome<()>>) {
        if let Err(problem) = self.cache.within(TELLING, telling).await {
            metrics::counter!("focus_untold_total").increment(1);
            tracing::warn!(code = problem.code(), "Redis has not heard of a change of a focus session");
        }
    }
}

/// Reads a focus session, decides what it becomes and writes that, again when somebody else wrote in between; returns
/// what its owner sees. One whose time is over is completed first, whatever is wanted of it.
///
/// # Errors
/// `session_not_found`; what `decide` refuses with; 503 when others keep changing the session.
pub(super) async fn change(
    app: &App,
    owner: UserId,
    id: FocusId,
    decide: impl Fn(Row, Focus, DateTime<Utc>) -> Result<Row, Fault>,
) -> Outcome<FocusSession> {
    let mut conn = app.ground.pg.conn().await?;
    for _ in 0..DECISIONS {
        let Seen { row, now } = store::see(&mut conn, owner, id).await?;
        let focus = row.focus()?;
        if focus.is_due(now) {
            complete(&mut conn, id).await?;
            app.focus.outbox.wake();
            continue;
        }
        let status = focus.status(now);
        let mut next = decide(row.clone(), focus, now).map_err(|fault| refusal(fault, status))?;
        if next == row {
            return row.view(now);
        }
        (next.version, next.updated_at) = (row.version + 1, app.ground.clock.now());
        if write(&mut conn, app, &row, &next).await? {
            drop(conn);
            app.focus.changed(&next).await;
            return next.view(now);
        }
    }
    Err(Problem::unavailable("others keep changing the focus session"))
}

/// Completes a session whose time is over, after whoever is changing it at this moment.
async fn complete(conn: &mut AsyncPgConnection, id: FocusId) -> Outcome<()> {
    conn.transaction(async |conn| {
        store::lock(conn, id).await?;
        complete::named(conn, &[id.0]).await.map(drop)
    })
    .await
}

async fn write(conn: &mut AsyncPgConnection, app: &App, from: &Row, to: &Row) -> Outcome<bool> {
    conn.transaction(async |conn| store::replace(conn, &app.focus.outbox, from, to).await).await
}

/// Says with a refused transition where the session stands and what it could become.
fn refusal(fault: Fault, status: Status) -> Problem {
    let problem = Problem::from(fault);
    if fault == INVALID_TRANSITION { problem.with("state", status).with("allowed", status.next()) } else { problem }
}
