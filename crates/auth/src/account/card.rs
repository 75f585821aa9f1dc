//! `GET /internal/users/{id}/card`: what may be shown of somebody to whoever comes to their session.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{principal::SessionPeer, problem::Outcome};
use domain::{contract::UserCard, fault::common, ids::UserId};

use super::store;
use crate::app::App;

/// Tells a person's display name; nothing of somebody who is leaving.
pub async fn card(app: Data<App>, _session: SessionPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let user = store::find(&mut conn, *id).await?.ok_or(common::NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(UserCard { name: user.name }))
}
