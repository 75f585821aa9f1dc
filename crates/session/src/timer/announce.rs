//! The loop that announces alerts at their moment, in every replica.
//!
//! Planned alerts stand in PostgreSQL; taking one out and telling it is one transaction, so that of all replicas one
//! tells it, and a crash in between tells it later and not twice. A replica sleeps until the next alert is due, and is
//! woken by a timer that is controlled here; those of other replicas it finds with the next look, and their own replica
//! does not sleep either.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{ids::SessionId, timer::Deadline};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{app::App, stream::frame::AlertView};

/// Longest sleep: how late an alert may be whose own replica died.
const POLL: Duration = Duration::from_secs(1);
/// Pause after the database was away.
const RETRY: Duration = Duration::from_millis(500);
/// Sessions whose alerts are told in one transaction.
const BATCH: usize = 200;

/// Wakes the loop; clones share it.
#[derive(Clone, Default)]
pub struct Alarm(Arc<Sleeper>);

#[derive(Default)]
struct Sleeper {
    until: Mutex<Option<Instant>>,
    wake: Notify,
}

impl Alarm {
    /// Says that alerts were planned at `now`, by the database's clock.
    pub fn planned(&self, deadlines: &[Deadline], now: DateTime<Utc>) {
        let Some(first) = deadlines.iter().map(|deadline| deadline.due_at).min() else { return };
        let due = Instant::now() + (first - now).to_std().unwrap_or_default();
        let until = *self.0.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_none_or(|until| due < until) {
            self.0.wake.notify_one();
        }
    }

    fn sleep_until(&self, until: Option<Instant>) {
        *self.0.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
    #[diesel(sql_type = Text)]
    alert: String,
    #[diesel(sql_type = Integer)]
    remaining_seconds: i32,
    #[diesel(sql_type = Text)]
    once_key: String,
    #[diesel(sql_type = Timestamptz)]
    due_at: DateTime<Utc>,
    #[diesel(sql_type = Double)]
    late_seconds: f64,
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Nullable<Double>)]
    in_seconds: Option<f64>,
}

/// Starts the loop.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("timer-alerts", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                // Woken while it looks, it looks again.
                app.alarm.sleep_until(None);
                let pause = match round(&app).await {
                    Ok(pause) => pause,
                    Err(problem) => {
                        tracing::warn!(code = problem.code(), "alerts wait for the database");
                        RETRY
                    }
                };
                let until = Instant::now() + pause;
                app.alarm.sleep_until(Some(until));
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = app.alarm.0.wake.notified() => {}
                    () = tokio::time::sleep_until(until) => {}
                }
            }
        }
    });
}

/// Announces what is due; returns how long there is nothing to do.
async fn round(app: &App) -> Outcome<Duration> {
    let mut conn = app.ground.pg.conn().await?;
    loop {
        let told = conn.transaction(async |conn| announce(conn).await).await?;
        let is_all = told.len() < BATCH;
        for id in told {
            app.rooms.tell(id);
        }
        if is_all {
            break;
        }
    }
    let next: Next = sql_query(
        "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 AS in_seconds FROM timer_deadlines",
    )
    .get_result(&mut *conn)
    .await?;
    let in_seconds = next.in_seconds.unwrap_or(POLL.as_secs_f64()).clamp(0.001, POLL.as_secs_f64());
    Ok(Duration::from_secs_f64(in_seconds))
}

/// Takes out what is due and appends it to its sessions' logs; returns those sessions.
///
/// A timer that somebody else holds, to change it or to announce its alerts, is theirs: its alerts come in their order.
async fn announce(conn: &mut AsyncPgConnection) -> Outcome<Vec<SessionId>> {
    let held: Vec<Held> = sql_query(
        "SELECT t.session_id FROM timers t JOIN sessions s ON s.id = t.session_id WHERE t.session_id IN \
         (SELECT session_id FROM timer_deadlines WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT $1) \
         FOR KEY SHARE OF s SKIP LOCKED FOR UPDATE OF t SKIP LOCKED",
    )
    .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .prepared()
    .load(conn)
    .await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let taken: Vec<Taken> = sql_query(
        "DELETE FROM timer_deadlines WHERE session_id = ANY($1) AND due_at <= clock_timestamp() \
         RETURNING session_id, alert, remaining_seconds, once_key, due_at, \
         extract(epoch FROM clock_timestamp() - due_at)::float8 AS late_seconds",
    )
    .bind::<Array<SqlUuid>, _>(held.iter().map(|held| held.session_id).collect::<Vec<_>>())
    .load(conn)
    .await?;
    append(conn, taken).await
}

async fn append(conn: &mut AsyncPgConnection, mut taken: Vec<Taken>) -> Outcome<Vec<SessionId>> {
    // By session, as logs are locked; then as they were due. Names decide among equals, as everywhere.
    taken.sort_by(|a, b| (a.session_id, a.due_at, &a.alert).cmp(&(b.session_id, b.due_at, &b.alert)));
    let bodies: Vec<Value> = taken.iter().map(body).collect::<Outcome<_>>()?;
    for late in taken.iter().map(|taken| taken.late_seconds) {
        metrics::histogram!("timer_alert_lag_seconds").record(late.max(0.0));
    }
    let ids: Vec<Uuid> = taken.iter().map(|taken| taken.session_id).collect();
    sql_query(
        "SELECT append_session_event(session_id, 'alert', body, once_key) FROM \
         (SELECT * FROM unnest($1, $2, $3) WITH ORDINALITY AS e (session_id, body, once_key, place) ORDER BY place) e",
    )
    .bind::<Array<SqlUuid>, _>(&ids)
    .bind::<Array<Jsonb>, _>(&bodies)
    .bind::<Array<Text>, _>(taken.iter().map(|taken| &taken.once_key).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    let mut told: Vec<SessionId> = ids.into_iter().map(SessionId).collect();
    told.dedup();
    Ok(told)
}

fn body(taken: &Taken) -> Outcome<Value> {
    let view = AlertView {
        name: taken.alert.clone(),
        remaining_seconds: i64::from(taken.remaining_seconds),
        due_at: taken.due_at.into(),
    };
    serde_json::to_value(view).map_err(Problem::unexpected)
}
