//! `GET /ws/sessions/{id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path, Payload},
};
use chassis::{
    edge::Language,
    problem::{Outcome, Problem, ProblemView},
    socket::{self, Bounds, CloseCode, ErrorView, Farewell, Heard, Patience, Socket, TEXT_ONLY},
};
use domain::{
    fault::{Fault, Kind, common},
    ids::SessionId,
    locale::Locale,
    session::{NOT_FOUND, participant::INVALID_TICKET},
};
use serde::Deserialize;
use tracing::Instrument;
use utoipa::ToSchema;

use super::{
    frame::{Frame, Written},
    viewer::Viewer,
};
use crate::{app::App, participants::ticket};

/// Largest frame of a client; what it may say has some dozen bytes.
const FRAME_MAX: usize = 4 * 1024;
/// How long a viewer may take to accept a frame. A phone that sleeps for a moment keeps its socket: nothing is queued for
/// it meanwhile.
const SEND_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// There is no such session any more, or it is not theirs.
const NO_SUCH_SESSION: u16 = 4404;
/// Not signed in, and no participant.
const NOBODY: u16 = 4401;

/// A frame names a type that is not known.
const UNKNOWN_TYPE: Fault =
    Fault::new(Kind::Malformed, "unknown_type", "알 수 없는 프레임 종류입니다.", "There is no such type of frame.");

/// What a client sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ViewerFrame {
    /// Asks again for what came after an event.
    Resume {
        /// The number of the last frame it has.
        #[schema(minimum = 0)]
        after: i64,
    },
    /// Asks for a sign of life, and the time.
    Ping,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

/// Watches a session over a WebSocket.
///
/// The first frame is a `snapshot`; then come `timer` (on every change, and each second while it runs), `alert`,
/// `participants`, `feedback` (to the owner) and `session`. Every frame has the `seq` of the last event it knows of. A
/// client that comes back sends `{"type": "resume", "after": seq}` and gets the alerts and the feedback it has missed,
/// and of the timer, the session and the participants what they are now. A viewer that reads too slowly for what is
/// kept gets a `snapshot` again. `{"type": "ping"}` is answered by a `pong` with the server's time.
///
/// Close codes: 1001 the service stops, 1007 not UTF-8, 1009 a frame over 4 KiB, 4401 nobody, 4404 no such session.
///
/// **Permissions**: the session's owner, or who has joined it.
#[utoipa::path(
    get, path = "/ws/sessions/{id}", tag = "streams", security(("bearer" = [])), params(("id" = Uuid, Path)),
    responses(
        (status = 101, description = "The socket is open: see `Frame` and `ViewerFrame`"),
        (status = 400, description = "`websocket_needed`", body = ProblemView)
    )
)]
pub async fn open(
    app: Data<App>,
    id: Path<SessionId>,
    language: Language,
    req: HttpRequest,
    payload: Payload,
) -> Outcome<HttpResponse> {
    let patience = Patience { send: SEND_PATIENCE, ..Patience::default() };
    let (mut response, mut socket) = socket::open(&req, payload, Bounds { frame_max: FRAME_MAX, patience })?;
    // Browsers close a socket whose offer is not taken up; the ticket in this one is used up.
    if let Some(protocol) = ticket::offered(&req) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let (mut viewer, snapshot) = match Viewer::enter(&app, &req, *id).await {
        Ok(entered) => entered,
        Err(problem) => {
            let refusal = refusal(problem)?;
            actix_web::rt::spawn(socket.end(refusal).instrument(tracing::Span::current()));
            return Ok(response);
        }
    };
    let open = app.ground.lifecycle.socket();
    // There are thousands of these, and what is moved out of its place within a future has two places in it: so nothing
    // is.
    let serving = async move {
        let farewell = tokio::select! {
            () = open.must_end() => Farewell::restarting(),
            Err(farewell) = watch(&mut socket, &mut viewer, snapshot, language.0) => farewell,
        };
        drop(viewer);
        socket.end(farewell).await;
    };
    // Bound to this worker's thread by the frames; it ends with its connection or with the service.
    actix_web::rt::spawn(serving.instrument(tracing::Span::current()));
    Ok(response)
}

/// Decides what a socket that was not admitted is closed with; what is no refusal stays a problem.
fn refusal(problem: Problem) -> Outcome<Farewell> {
    let because = |code, reason| Ok(Farewell::because(CloseCode::Other(code), reason));
    match problem.code() {
        code if code == NOT_FOUND.code => because(NO_SUCH_SESSION, "there is no such session"),
        code if code == common::UNAUTHENTICATED.code
            || code == common::INVALID_TOKEN.code
            || code == INVALID_TICKET.code =>
        {
            because(NOBODY, "authentication is required")
        }
        _ => Err(problem),
    }
}

async fn watch(
    socket: &mut Socket,
    viewer: &mut Viewer,
    snapshot: Written,
    locale: Locale,
) -> Result<std::convert::Infallible, Farewell> {
    socket.send(snapshot.text).await?;
    loop {
        tokio::select! {
            heard = socket.hear() => Box::pin(answer(socket, viewer, heard?, locale)).await?,
            frames = viewer.next() => {
                let Some(frames) = frames.map_err(|problem| failed(&problem))? else {
                    return Err(Farewell::because(CloseCode::Other(NO_SUCH_SESSION), "the session is gone"));
                };
                for frame in frames {
                    socket.send(frame.text).await?;
                }
            }
        }
    }
}

async fn answer(socket: &mut Socket, viewer: &Viewer, heard: Heard, locale: Locale) -> Result<(), Farewell> {
    let said = match heard {
        Heard::Text(text) => read(&text),
        Heard::Binary => Err(TEXT_ONLY.into()),
    };
    let answered = match said {
        Ok(ViewerFrame::Resume { after }) => return resume(socket, viewer, after, locale).await,
        Ok(ViewerFrame::Ping) => viewer
            .write(|seq, shown| Frame::Pong { seq, server_time: shown.now().into() })
            .map_err(|problem| failed(&problem))?,
        Ok(ViewerFrame::Unknown) => refused(viewer, &UNKNOWN_TYPE.into(), locale)?,
        Err(problem) => refused(viewer, &problem, locale)?,
    };
    socket.send(answered.text).await
}

fn read(text: &str) -> Outcome<ViewerFrame> {
    // By way of an object: serde would take an array's items for the fields in their order.
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_not_an_object| common::MALFORMED)?;
    Ok(serde_json::from_value(object.into()).map_err(|_other_types| common::MALFORMED)?)
}

async fn resume(socket: &mut Socket, viewer: &Viewer, after: i64, locale: Locale) -> Result<(), Farewell> {
    let mut after = after.max(0);
    loop {
        match viewer.missed(after).await {
            Ok(Some((frames, last))) => {
                for frame in frames {
                    socket.send(frame.text).await?;
                }
                after = last;
            }
            Ok(None) => return Ok(()),
            Err(problem) => {
                problem.log();
                return socket.send(refused(viewer, &problem, locale)?.text).await;
            }
        }
    }
}

fn refused(viewer: &Viewer, problem: &Problem, locale: Locale) -> Result<Written, Farewell> {
    viewer
        .write(|seq, _| Frame::Error { seq, error: ErrorView::new(problem, locale) })
        .map_err(|problem| failed(&problem))
}

fn failed(problem: &Problem) -> Farewell {
    problem.log();
    Farewell::because(CloseCode::Error, "unexpected error")
}
