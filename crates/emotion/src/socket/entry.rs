//! Who may talk where, and who a client is that comes without a token.

use std::time::Duration;

use chassis::{
    problem::{Outcome, Problem},
    socket::{CloseCode, Farewell, Heard, Socket},
    verifier::Unverified,
};
use domain::{
    ids::{ConversationId, UserId},
    principal::Principal,
};
use tokio::time::timeout;

use super::{
    OpenQuery,
    dialect::Dialect,
    said::{ClientFrame, Wish},
    sign_in::Login,
};
use crate::{
    app::App,
    conversation::{self, Talk},
    limit::SocketPlace,
};

/// Longest until a client without a token must have said who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// Not signed in.
const NOBODY: u16 = 4401;

/// Somebody who may talk.
pub(super) struct Admitted {
    pub(super) talk: Talk,
    pub(super) place: SocketPlace,
    pub(super) dialect: Dialect,
    /// What the socket ends with.
    pub(super) login: Login,
}

fn refuse<T>(code: u16, reason: &str) -> Result<T, Farewell> {
    Err(Farewell::because(CloseCode::Other(code), reason))
}

/// Waits for a client to say who it is, and decides.
pub(super) async fn introduce(app: &App, socket: &mut Socket, query: &OpenQuery) -> Result<Admitted, Farewell> {
    let first = match timeout(INTRODUCTION, socket.hear()).await {
        Ok(first) => first?,
        Err(_elapsed) => return refuse(NOBODY, "authentication is required"),
    };
    let token = match first {
        Heard::Text(text) => match ClientFrame::read(&text) {
            Ok(Wish::Open(token)) => token,
            _ => None,
        },
        Heard::Binary => None,
    };
    let Some(token) = token else { return refuse(NOBODY, "authentication is required") };
    let (person, login) = match app.sign_in.verify(&token).await {
        Ok(known) => known,
        Err(Unverified::Refused) => return refuse(NOBODY, "the access token is not valid"),
        Err(Unverified::Unavailable) => return Err(Farewell::because(CloseCode::Again, "please connect again later")),
    };
    let admitted = admit(app, person, query).await.map_err(|problem| cannot(&problem))??;
    Ok(Admitted { dialect: Dialect::Typed, login, ..admitted })
}

fn cannot(problem: &Problem) -> Farewell {
    problem.log();
    Farewell::because(CloseCode::Again, "please connect again later")
}

/// Decides who may talk where; a refusal is the reason the socket is closed with.
///
/// # Errors
/// Returns a problem when the database is away.
pub(super) async fn admit(app: &App, person: Principal, query: &OpenQuery) -> Outcome<Result<Admitted, Farewell>> {
    let Some(user_id) = query.user_id.as_deref().and_then(|text| text.parse::<UserId>().ok()) else {
        return Ok(refuse(4400, "user_id is missing or not a UUID"));
    };
    if user_id != person.user_id {
        return Ok(refuse(4403, "user_id is not yours"));
    }
    let Ok(place) = app.limits.open_socket(user_id).await else {
        return Ok(refuse(4429, "you have too many sockets open"));
    };
    let admitted = |talk| Admitted { talk, place, dialect: Dialect::default(), login: Login::at_the_gateway() };
    // Clients that build the address from a form leave `session_id=` behind.
    let Some(session_id) = query.session_id.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(Ok(admitted(conversation::announce(app, user_id).await)));
    };
    let Ok(session_id) = session_id.parse::<ConversationId>() else {
        return Ok(refuse(4404, "there is no such session"));
    };
    match conversation::get(app, user_id, session_id).await {
        Ok(talk) => Ok(Ok(admitted(talk))),
        Err(problem) if problem.code() == conversation::NOT_FOUND.code => Ok(refuse(4404, "there is no such session")),
        Err(problem) => Err(problem),
    }
}
