//! `GET /auth/sessions`.

use actix_web::{HttpResponse, web::Data};
use chassis::{principal::Person, problem::Outcome};
use domain::time::Instant;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{self, Login};
use crate::app::App;

/// A login that still counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginEntryView {
    /// For `DELETE /auth/sessions/{sid}`.
    id: Uuid,
    /// Whether this request was made with it.
    is_current: bool,
    /// What the device says it is.
    device: Option<String>,
    /// The address it began from.
    ip: Option<String>,
    /// `password` or `google`.
    method: String,
    /// When it began.
    created_at: Instant,
    /// When it was last used, to the minute.
    last_seen_at: Instant,
    /// When it ends unless it is used.
    expires_at: Instant,
}

/// Lists the logins of whoever asks, newest first.
#[utoipa::path(
    get, path = "/auth/sessions", tag = "logins", security(("bearer" = [])),
    responses((status = 200, body = [LoginEntryView]))
)]
pub async fn list(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let logins = store::list_live(&mut conn, person.0.user_id, app.ground.clock.now()).await?;
    let total = i64::try_from(logins.len()).unwrap_or(i64::MAX);
    let view: Vec<_> = logins.into_iter().map(|login| view(login, person)).collect();
    Ok(chassis::page::answer(&view, total, None))
}

fn view(login: Login, person: Person) -> LoginEntryView {
    LoginEntryView {
        id: login.id,
        is_current: login.id == person.0.login_id.0,
        device: login.user_agent,
        ip: login.ip,
        method: login.method,
        created_at: login.created_at.into(),
        last_seen_at: login.last_seen_at.into(),
        expires_at: login.idle_expires_at.into(),
    }
}
