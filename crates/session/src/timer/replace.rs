//! The statement that changes a timer: the timer itself, its planned alerts and the event for its viewers at once.
//!
//! One statement, so that neither a crash nor another hand comes between, and one round trip for a presenter's thumb. A
//! fragment of its own, because plain SQL would be prepared anew each time.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};

use super::store::Row;

/// Replaces a timer of the version it was decided on, unless its session has ended; answers with one row if there was one.
#[derive(QueryId)]
pub(super) struct Replace {
    pub(super) row: Row,
    pub(super) decided_on: i64,
    /// Planned alerts that are due later are forgotten; all when there is nothing here.
    pub(super) kept_until: Option<DateTime<Utc>>,
    pub(super) alerts: Vec<&'static str>,
    pub(super) remaining: Vec<i32>,
    pub(super) due: Vec<DateTime<Utc>>,
    pub(super) once_keys: Vec<String>,
}

impl QueryFragment<Pg> for Replace {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let row = &self.row;
        out.push_sql("WITH held AS MATERIALIZED (SELECT id FROM sessions WHERE id = ");
        out.push_bind_param::<SqlUuid, _>(&row.session_id)?;
        // Who ends the session is waited for: its timer stands still from then on.
        out.push_sql(" AND status <> 'ended' FOR SHARE), changed AS (UPDATE timers t SET duration_seconds = ");
        out.push_bind_param::<Integer, _>(&row.duration_seconds)?;
        out.push_sql(", alerts = ");
        out.push_bind_param::<Jsonb, _>(&row.alerts)?;
        out.push_sql(", started_at = ");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&row.started_at)?;
        out.push_sql(", anchor_at = ");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&row.anchor_at)?;
        out.push_sql(", paused_at = ");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&row.paused_at)?;
        out.push_sql(", accumulated_ms = ");
        out.push_bind_param::<BigInt, _>(&row.accumulated_ms)?;
        out.push_sql(", version = ");
        out.push_bind_param::<BigInt, _>(&row.version)?;
        out.push_sql(" FROM held WHERE t.session_id = held.id AND t.version = ");
        out.push_bind_param::<BigInt, _>(&self.decided_on)?;
        // Only once the timer is this statement's: who announces alerts holds it too.
        out.push_sql(
            " RETURNING t.session_id, t.version), forgotten AS (DELETE FROM timer_deadlines d USING changed c",
        );
        out.push_sql(" WHERE d.session_id = c.session_id AND d.due_at > coalesce(");
        out.push_bind_param::<Nullable<Timestamptz>, _>(&self.kept_until)?;
        out.push_sql(", '-infinity')), planned AS (INSERT INTO timer_deadlines");
        out.push_sql(" (session_id, version, alert, remaining_seconds, once_key, due_at)");
        out.push_sql(" SELECT c.session_id, c.version, p.* FROM changed c, unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.alerts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.remaining)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.once_keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.due)?;
        out.push_sql(") AS p (alert, remaining_seconds, once_key, due_at))");
        out.push_sql(" SELECT append_session_event(session_id, 'timer', NULL, NULL) FROM changed");
        Ok(())
    }
}
