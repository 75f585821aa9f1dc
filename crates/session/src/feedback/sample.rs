//! `POST /api/v1/sessions/{id}/feedback`.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Json, Path},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    feedback::{self, Sample, parse_samples},
    ids::{SessionId, UserId},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    CueView,
    store::{self, Cue, HISTORY_MAX},
};
use crate::{
    app::App,
    stream::{self, event::Event},
};

/// One sample, or several. Documentation only: what is sent is read field by field, so that a refusal names each.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SamplesRequest {
    /// At most 100, in any order.
    Several {
        /// Judged in the order of their instants.
        #[schema(min_items = 1, max_items = 100)]
        samples: Vec<SampleRequest>,
    },
    /// Just one.
    One(SampleRequest),
}

/// What a device heard at an instant; has features or a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct SampleRequest {
    /// RFC 3339, or milliseconds since 1970.
    timestamp: TimestampRequest,
    /// What is going on, in the client's words; the session's type decides.
    #[schema(max_length = 100)]
    scenario: Option<String>,
    /// At most 50; those of other names are left out.
    features: Option<FeaturesRequest>,
    /// What was said; counted for filler words where `filler_count` is left out, and forgotten.
    #[schema(max_length = 2_000)]
    text: Option<String>,
}

/// An instant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TimestampRequest {
    /// RFC 3339.
    Text(String),
    /// Milliseconds since 1970.
    Milliseconds(i64),
}

/// What can be judged.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeaturesRequest {
    /// Words per minute; `evaluation_wpm` is read too.
    #[schema(minimum = 0, maximum = 1_000)]
    wpm: Option<f64>,
    /// Filler words since the sample before.
    #[schema(minimum = 0, maximum = 1_000)]
    filler_count: Option<i64>,
    /// How long it has been silent.
    #[schema(minimum = 0, maximum = 86_400_000)]
    silence_ms: Option<i64>,
    /// A share up to 1, or a percentage.
    #[schema(minimum = 0, maximum = 100)]
    confidence: Option<f64>,
}

/// What samples led to.
#[derive(Debug, Serialize, ToSchema)]
pub struct CuesView {
    /// In the order of their instants; none when all is well, or the last is not long enough ago.
    pub cues: Vec<CueView>,
}

/// Judges samples and returns the cues they lead to.
///
/// There is at most one cue in the person's minimum interval, by the samples' own time; samples that come late or twice
/// change nothing.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/feedback", tag = "feedback", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent twice, answered the same")
    ),
    request_body = SamplesRequest,
    responses(
        (status = 200, body = CuesView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_ended`", body = ProblemView),
        (status = 413, description = "`too_large`: more than 256 KiB", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn judge(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    key: IdempotencyKey,
    body: Json<Map<String, Value>>,
) -> Outcome<HttpResponse> {
    let (owner, body) = (person.0.user_id, Value::Object(body.into_inner()));
    let attempt = Attempt::new(owner, "POST /api/v1/sessions/{id}/feedback", key, &(*id, &body))?;
    let samples = parse_samples(&body, app.ground.clock.now())?;
    Ok(once(&app, owner, *id, &samples, &attempt).await?.into())
}

async fn once(app: &App, owner: UserId, id: SessionId, samples: &[Sample], attempt: &Attempt) -> Outcome<Answer> {
    let mut conn = app.ground.pg.conn().await?;
    let (answer, has_news) = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok((answer, false));
            }
            let cues = take(app, conn, owner, id, samples).await?;
            let view = CuesView { cues: cues.into_iter().map(CueView::from).collect() };
            let answer = Answer::new(StatusCode::OK, &view)?;
            attempt.keep(conn, &answer).await?;
            Ok((answer, announce(conn, id, &view.cues).await?))
        })
        .await?;
    if has_news {
        app.rooms.tell(id);
    }
    Ok(answer)
}

/// Tells the owner's other screens, in the language of this request; returns whether there was anything.
async fn announce(conn: &mut AsyncPgConnection, id: SessionId, cues: &[CueView]) -> Outcome<bool> {
    if cues.is_empty() {
        return Ok(false);
    }
    stream::store::append(conn, id, &Event::feedback(&cues)?).await?;
    Ok(true)
}

/// Judges samples on how the session stands and keeps what they change.
async fn take(
    app: &App,
    conn: &mut AsyncPgConnection,
    owner: UserId,
    id: SessionId,
    samples: &[Sample],
) -> Outcome<Vec<Cue>> {
    store::hold(conn, owner, id).await?;
    let standing = store::see(conn, owner, id).await?;
    let judged = feedback::judge(&standing.settings, &standing.state, samples);
    if judged.state == standing.state {
        // All of them late or repeated.
        return Ok(Vec::new());
    }
    let totals = standing.totals.merged(&judged.totals);
    store::put_state(conn, owner, id, &judged, &totals).await?;
    let cues: Vec<Cue> = judged.cues.iter().map(|cue| new(app, owner, id, *cue)).collect();
    if cues.is_empty() {
        return Ok(cues);
    }
    store::insert(conn, &cues).await?;
    if totals.cues.sum() > HISTORY_MAX {
        store::trim(conn, owner, id).await?;
    }
    Ok(cues)
}

fn new(app: &App, owner: UserId, id: SessionId, cue: feedback::Cue) -> Cue {
    Cue {
        id: app.ground.clock.uuid(),
        session_id: id.0,
        user_id: owner.0,
        rule: cue.signal.rule().name().to_owned(),
        pattern: cue.signal.pattern().to_owned(),
        intensity: i16::try_from(cue.intensity).unwrap_or(i16::MAX),
        at: cue.at,
        created_at: app.ground.clock.now(),
    }
}
