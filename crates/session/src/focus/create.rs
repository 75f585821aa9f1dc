//! `POST /session`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    contract::FocusSession,
    fault::Violations,
    focus::{BREAK_DEFAULT_MINUTES, Status, check_instant, parse_break, parse_duration, parse_goal, parse_subject},
    ids::UserId,
    session::parse_tags,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    complete,
    store::{self, NewRow, Row, Seen},
};
use crate::app::App;

/// Most tries to be the current session. Each lost one means that somebody with the same account made one in between.
const TRIES: usize = 64;

/// A focus session somebody wants to have.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFocusRequest {
    /// What it is about, 1-200 characters without the spaces around it.
    #[schema(required, value_type = String, min_length = 1, max_length = 200)]
    subject: Option<String>,
    /// What is to be reached, at most 2,000 characters.
    goal: Option<String>,
    /// Minutes of focus.
    #[schema(required, value_type = i64, minimum = 1, maximum = 180)]
    duration: Option<i64>,
    /// Minutes of the break after it; 5 when it is left out.
    #[schema(minimum = 0, maximum = 60)]
    break_duration: Option<i64>,
    /// At most 50, each of 1-50 characters.
    tags: Option<Vec<String>>,
    /// Accepted from old clients; every session begins as pending.
    status: Option<String>,
    /// Accepted from old clients; the server's clock counts.
    created_at: Option<String>,
}

struct Draft {
    subject: String,
    goal: Option<String>,
    duration_minutes: i32,
    break_minutes: i32,
    tags: Vec<String>,
}

impl TryFrom<CreateFocusRequest> for Draft {
    type Error = Violations;

    fn try_from(request: CreateFocusRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let subject = parse_subject(request.subject.as_deref(), &mut violations);
        let goal = request.goal.and_then(|goal| parse_goal(&goal, &mut violations));
        let duration = parse_duration(request.duration, &mut violations);
        let pause = request.break_duration.map(|minutes| parse_break(minutes, &mut violations));
        let tags = parse_tags(&request.tags.unwrap_or_default(), &mut violations);
        check_instant(request.created_at.as_deref(), "/created_at", &mut violations);
        match (subject, duration, violations.into_result()) {
            (Some(subject), Some(duration_minutes), Ok(())) => {
                let break_minutes = pause.flatten().unwrap_or(BREAK_DEFAULT_MINUTES);
                Ok(Self { subject, goal, duration_minutes, break_minutes, tags })
            }
            (_, _, Err(violations)) => Err(violations),
            // Both parsers record a violation whenever they return nothing.
            _ => Err(Violations::new()),
        }
    }
}

/// Makes a focus session, which becomes the current one; the one that was is cancelled.
#[utoipa::path(
    post, path = "/session", tag = "focus", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent twice, takes effect once")),
    request_body = CreateFocusRequest,
    responses(
        (status = 201, body = FocusSession),
        (status = 401, body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn create(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    body: Json<CreateFocusRequest>,
) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let attempt = Attempt::new(owner, "POST /session", key, &*body)?;
    let draft = Draft::try_from(body.into_inner())?;
    Ok(once(&app, owner, draft, &attempt).await?.into())
}

async fn once(app: &App, owner: UserId, draft: Draft, attempt: &Attempt) -> Outcome<Answer> {
    let new = draft.into_new(app, owner);
    let mut conn = app.ground.pg.conn().await?;
    let (answer, changed) = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok((answer, Vec::new()));
            }
            let changed = become_current(app, conn, &new).await?;
            let made = changed.last().cloned().ok_or_else(|| Problem::unexpected("no session was made"))?;
            let answer = Answer::created(&made.view(new.created_at)?)?;
            attempt.keep(conn, &answer).await?;
            Ok((answer, changed))
        })
        .await?;
    drop(conn);
    for row in &changed {
        app.focus.changed(row).await;
    }
    Ok(answer)
}

/// Ends the current session of its owner and makes a new one in its place; returns what was changed, the new one last.
async fn become_current(app: &App, conn: &mut AsyncPgConnection, new: &NewRow) -> Outcome<Vec<Row>> {
    let mut changed = Vec::new();
    for _ in 0..TRIES {
        if let Some(current) = store::lock_current(conn, UserId(new.user_id)).await? {
            changed.extend(end(app, conn, current).await?);
        }
        // The index of current sessions decides: who finds one that was made in between ends that one too.
        if let Some(made) = store::insert(conn, new).await? {
            changed.push(made);
            return Ok(changed);
        }
    }
    Err(Problem::unavailable("others keep making focus sessions"))
}

/// Cancels a session whose row is locked, or completes it when its time is over; returns it when it was cancelled.
async fn end(app: &App, conn: &mut AsyncPgConnection, current: Seen) -> Outcome<Option<Row>> {
    let Seen { row, now } = current;
    let focus = row.focus()?;
    if focus.is_due(now) {
        complete::named(conn, &[row.id]).await?;
        return Ok(None);
    }
    let mut cancelled = row.clone();
    cancelled.set(&focus.become_status(Status::Cancelled, now)?);
    (cancelled.version, cancelled.updated_at) = (row.version + 1, app.ground.clock.now());
    store::replace(conn, &app.focus.outbox, &row, &cancelled).await?;
    Ok(Some(cancelled))
}

impl Draft {
    fn into_new(self, app: &App, owner: UserId) -> NewRow {
        let now = app.ground.clock.now();
        NewRow {
            id: app.ground.clock.uuid(),
            user_id: owner.0,
            subject: self.subject,
            goal: self.goal,
            duration_minutes: self.duration_minutes,
            break_minutes: self.break_minutes,
            tags: self.tags,
            created_at: now,
            updated_at: now,
        }
    }
}
