//! `GET /emotion/steps/{step_id}/stream`: a reply as server-sent events, for whoever has no socket.

use std::{convert::Infallible, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Bytes, Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{fault::common, ids::StepId, locale::Locale};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::timeout;

use crate::{
    app::App,
    reply::{self, End, Event, Reply},
    socket::{dialect::Dialect, frames::INTERRUPTED},
};

/// How often something is sent when there is nothing to tell; under the 60 s after which proxies drop idle connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How soon a client comes back after a stream has ended, milliseconds.
const RETRY_MS: u64 = 1_000;
/// What the id of the last event ends with.
const END: &str = "-end";

/// Reads a reply as server-sent events, from its first piece or from the one after the last that the client has.
///
/// The `data` of each event is a frame as on the WebSocket, and its `id` the frame's `seq`; that of the last event ends
/// with `-end`. A client that comes back with `Last-Event-ID` reads on, whether the reply still grows or is kept, and on
/// whichever replica; one that has had the end is answered 204, which tells browsers to stay away.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    get, path = "/emotion/steps/{step_id}/stream", tag = "steps", security(("bearer" = [])),
    params(
        ("step_id" = StepId, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event the client has"),
        ("ticket" = Option<String>, Query, description = "For browsers, which cannot send a header here")
    ),
    responses(
        (status = 200, description = "Frames: see `ServerFrame`", content_type = "text/event-stream"),
        (status = 204, description = "The client has had all of it"),
        (status = 404, description = "`step_not_found`", body = ProblemView),
        (status = 422, description = "`bad_seq`", body = ProblemView)
    )
)]
pub async fn stream(
    app: Data<App>,
    person: Person,
    language: Language,
    id: Path<StepId>,
    req: HttpRequest,
) -> Outcome<HttpResponse> {
    let last = Last::of(&req)?;
    let reply = reply::resume(&app, person.0.user_id, *id, last.seen).await?;
    if last.is_end {
        return Ok(HttpResponse::NoContent().finish());
    }
    let viewer = Viewer { app: app.get_ref().clone(), reply, locale: language.0 };
    let events = events(viewer).take_until(app.ground.lifecycle.socket().must_end_owned());
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Tells nginx not to keep events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events))
}

/// What a client has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    seen: u32,
    is_end: bool,
}

impl Last {
    fn of(req: &HttpRequest) -> Outcome<Self> {
        let Some(value) = req.headers().get("last-event-id") else { return Ok(Self::default()) };
        let read = value.to_str().ok().and_then(Self::parse);
        read.ok_or_else(|| Problem::from(common::MALFORMED).with("reason", "Last-Event-ID is not one of ours"))
    }

    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix(END).unwrap_or(text);
        Some(Self { seen: number.parse().ok()?, is_end: number.len() < text.len() })
    }
}

struct Viewer {
    app: App,
    reply: Reply,
    locale: Locale,
}

impl Viewer {
    /// Waits for what comes next; returns whether something comes after it.
    async fn next(&mut self) -> Option<(String, bool)> {
        Some(match timeout(KEEP_ALIVE, self.reply.next(&self.app.ground.pg)).await {
            Ok(Event::Piece(seq, piece)) => (self.piece(seq, &piece)?, true),
            Ok(Event::Ended(end)) => (self.end(end)?, false),
            Err(_nothing_new) => (": still here\n\n".to_owned(), true),
        })
    }

    fn piece(&self, seq: u32, piece: &str) -> Option<String> {
        let (step, about) = (self.reply.step(), self.reply.about());
        // The card is the first piece of the reply that it opens.
        let safety = about.safety.as_ref().filter(|_| seq == 1);
        let frame = Dialect::Document.piece(piece, Some(seq), Some(step.id), safety).ok()??;
        Some(format!("id: {seq}\ndata: {frame}\n\n"))
    }

    fn end(&self, end: End) -> Option<String> {
        let (step, about, seq) = (self.reply.step(), self.reply.about(), self.reply.seen());
        let frame = if end == End::Interrupted {
            Dialect::Document.error(&INTERRUPTED.into(), self.locale, Some(step.id))
        } else {
            Dialect::Document.ended(step, &about, end, seq, false)
        };
        Some(format!("id: {seq}{END}\ndata: {}\n\n", frame.ok()??))
    }
}

/// Where a stream is.
enum Place {
    Beginning,
    Going,
    Over,
}

fn events(viewer: Viewer) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((viewer, Place::Beginning), |(mut viewer, place)| async move {
        let (text, place) = match place {
            Place::Beginning => (format!("retry: {RETRY_MS}\n\n"), Place::Going),
            Place::Going => {
                let (text, goes_on) = viewer.next().await?;
                (text, if goes_on { Place::Going } else { Place::Over })
            }
            Place::Over => return None,
        };
        Some((Ok(Bytes::from(text)), (viewer, place)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_last_event_says_where_to_go_on() {
        assert_eq!(Last::parse("7"), Some(Last { seen: 7, is_end: false }));
        assert_eq!(Last::parse("7-end"), Some(Last { seen: 7, is_end: true }));
        for wrong in ["", "-1", "-end", "7-", "end", "7.5"] {
            assert_eq!(Last::parse(wrong), None, "{wrong}");
        }
    }
}
