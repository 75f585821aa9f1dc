//! The socket a conversation is held over, in the document's dialect.
//!
//! Who may open it is decided before the upgrade and said after it, by a close code: 4400 for a `user_id` that is no id,
//! 4401 for nobody, 4403 for somebody else's `user_id`, 4404 for a conversation that is not theirs, 4429 for one socket too
//! many. Who comes without a token may show one in the first frame. A socket only shows replies; closing it stops none.

pub(crate) mod dialect;
mod entry;
pub mod frames;
pub mod said;
mod sign_in;
mod viewer;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Payload, Query, ServiceConfig},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
    socket::{self, Bounds},
};
use domain::ids::{ConversationId, UserId};
use serde::Deserialize;
use tracing::Instrument;
use utoipa::IntoParams;

pub use sign_in::SignIn;

use crate::app::App;

/// Largest frame, and largest message over several frames: a message with every letter escaped fits.
const FRAME_MAX: usize = 32 * 1024;

/// Mounts the socket.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/ws/emotion").get(open));
}

/// Whose conversation, and which.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OpenQuery {
    /// The caller's own id.
    #[param(value_type = UserId, required = true)]
    user_id: Option<String>,
    /// A conversation to go on with; a new one when absent.
    #[param(value_type = Option<ConversationId>)]
    session_id: Option<String>,
}

/// Opens the socket of a conversation.
///
/// The first frame of the server is `{"session_id", "notice"}`. The client sends `{"user_input", "step_type"?,
/// "system_prompt"?}` and gets `{"token"}` frames, whose texts together are the reply, and then `{"done": true,
/// "step_id", "created_at"}`. A message that is refused gets `{"error": {"code", "message"}}` and the socket stays open.
/// Every socket of a conversation sees its replies. `{"type": "stop"}` ends a reply, and after a lost connection
/// `{"type": "resume", "step_id"?, "after"}` reads it on from any piece. When a message shows danger, the first token is
/// the card with lines of help, whatever any prompt says. `{"type": "open"}` asks for the dialect of typed frames; on a
/// socket that was opened without a token it comes first, with `access_token`, within five seconds.
///
/// Close codes: 1001 the service stops, 1007 not UTF-8, 1009 a frame over 32 KiB, 1013 try again later, 4400 `user_id` is
/// missing or no id, 4401 not signed in, or not any more, 4403 another person's `user_id`, 4404 no such conversation, 4429 too many sockets.
///
/// **Permissions**: a signed-in person, in conversations of their own.
#[utoipa::path(
    get, path = "/ws/emotion", tag = "steps", security(("bearer" = [])), params(OpenQuery),
    responses(
        (status = 101, description = "The socket is open: see `ClientFrame` and `ServerFrame`"),
        (status = 400, description = "`websocket_needed`", body = ProblemView)
    )
)]
pub async fn open(
    app: Data<App>,
    caller: Anyone,
    language: Language,
    query: Query<OpenQuery>,
    req: HttpRequest,
    payload: Payload,
) -> Outcome<HttpResponse> {
    let bounds = Bounds { frame_max: FRAME_MAX, patience: app.patience };
    let (response, mut socket) = socket::open(&req, payload, bounds)?;
    let known = match caller.0 {
        Some(person) => Some(entry::admit(&app, person, &query).await?),
        None => None,
    };
    let serving = async move {
        let admitted = match known {
            Some(admitted) => admitted,
            // Put aside, as is all that sockets do only once: there are many of them.
            None => Box::pin(entry::introduce(&app, &mut socket, &query)).await,
        };
        match admitted {
            Ok(admitted) => viewer::serve(app.as_ref().clone(), socket, admitted, language.0).await,
            Err(refusal) => socket.end(refusal).await,
        }
    };
    // Bound to this worker's thread by the frames. It ends with its connection or with the service, whichever is first,
    // and the server waits for its connections.
    actix_web::rt::spawn(serving.instrument(tracing::Span::current()));
    Ok(response)
}
