//! `GET /api/v1/sessions/{id}/stream`.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Bytes, Data, Path},
};
use chassis::problem::{Outcome, Problem, ProblemView};
use domain::{fault::common, ids::SessionId};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::timeout;

use super::{frame::Written, viewer::Viewer};
use crate::app::App;

/// How often something is sent when there is nothing to tell; under the 60 s after which proxies drop idle connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a client comes back after a stream has ended, milliseconds.
const RETRY_MS: u64 = 2_000;

/// Where a stream is.
enum Place {
    /// The snapshot, and the last event the client has from before.
    Beginning(Written, Option<i64>),
    /// What it has missed.
    Missed(i64),
    /// What is new.
    Live,
}

/// Watches a session as server-sent events.
///
/// The `data` of each event is a frame as on the WebSocket, and its `id` the frame's `seq`. A client that comes back with
/// `Last-Event-ID` gets a snapshot, the alerts and the feedback it has missed, and then goes on.
///
/// **Permissions**: the session's owner, or who has joined it.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/stream", tag = "streams", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("Last-Event-ID" = Option<i64>, Header, description = "The `id` of the last event the client has"),
        ("ticket" = Option<String>, Query, description = "For browsers, which cannot send a header here")
    ),
    responses(
        (status = 200, description = "Frames: see `Frame`", content_type = "text/event-stream"),
        (status = 401, body = ProblemView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn open(app: Data<App>, id: Path<SessionId>, req: HttpRequest) -> Outcome<HttpResponse> {
    let last = last_event_id(&req)?;
    let (viewer, snapshot) = Viewer::enter(&app, &req, *id).await?;
    let must_end = app.ground.lifecycle.socket().must_end_owned();
    let events = events(viewer, Place::Beginning(snapshot, last)).take_until(must_end);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Tells nginx not to keep events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events))
}

fn last_event_id(req: &HttpRequest) -> Outcome<Option<i64>> {
    let Some(value) = req.headers().get("last-event-id") else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok()).filter(|id| *id >= 0);
    let read = read.ok_or_else(|| Problem::from(common::MALFORMED).with("reason", "Last-Event-ID is not a number"))?;
    Ok(Some(read))
}

fn events(viewer: Viewer, place: Place) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((viewer, place), |(mut viewer, mut place)| async move {
        loop {
            match step(&mut viewer, place).await {
                Ok(Some((Some(bytes), next))) => return Some((Ok(bytes), (viewer, next))),
                Ok(Some((None, next))) => place = next,
                Ok(None) => return None,
                // The client comes back and finds out why.
                Err(problem) => {
                    problem.log();
                    return None;
                }
            }
        }
    })
}

/// Returns what is sent next and where the stream is then; `None` at its end.
async fn step(viewer: &mut Viewer, place: Place) -> Outcome<Option<(Option<Bytes>, Place)>> {
    match place {
        Place::Beginning(snapshot, last) => {
            // Whoever has missed something has not had it when they have the snapshot: it bears no id.
            let is_new = last.is_none();
            let text = format!("retry: {RETRY_MS}\n{}", event(&snapshot, is_new));
            Ok(Some((Some(text.into()), last.map_or(Place::Live, Place::Missed))))
        }
        Place::Missed(after) => Ok(Some(match viewer.missed(after).await? {
            Some((frames, last)) => (Some(all(&frames)), Place::Missed(last)),
            None => (None, Place::Live),
        })),
        Place::Live => match timeout(KEEP_ALIVE, viewer.next()).await {
            Ok(frames) => Ok(frames?.map(|frames| (Some(all(&frames)), Place::Live))),
            Err(_nothing_new) => Ok(Some((Some(Bytes::from_static(b": still here\n\n")), Place::Live))),
        },
    }
}

fn all(frames: &[Written]) -> Bytes {
    frames.iter().map(|frame| event(frame, true)).collect::<String>().into()
}

/// Writes a frame as an event; JSON as we write it has no line breaks.
fn event(frame: &Written, with_id: bool) -> String {
    let Written { seq, text } = frame;
    if with_id { format!("id: {seq}\ndata: {text}\n\n") } else { format!("data: {text}\n\n") }
}
