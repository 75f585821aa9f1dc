//! `GET /user/me`, also `/auth/me`.

use actix_web::{HttpResponse, web::Data};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::fault::common;

use super::{AccountView, store};
use crate::app::App;

/// Shows the account of whoever asks.
///
/// **Permissions**: a signed-in person whose login was not ended.
#[utoipa::path(
    get, path = "/user/me", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = AccountView), (status = 401, body = ProblemView))
)]
pub async fn me(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let found = app.ground.pg.read(async |conn| store::find_by_login(conn, person.0).await).await?;
    let user = found.ok_or(common::INVALID_TOKEN)?;
    Ok(HttpResponse::Ok().json(AccountView::from(user)))
}
