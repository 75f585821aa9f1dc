//! `POST /internal/memos`: what the emotion service writes on behalf of a person.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    principal::Peer,
    problem::{Outcome, Problem},
};
use diesel_async::AsyncConnection;
use domain::{
    contract::{MemoToWrite, MemoWritten},
    fault::{Fault, Kind, common},
    ids::UserId,
    principal::Service,
};

use super::{
    create::{CreateMemoRequest, Draft},
    store::{self, NewMemo},
};
use crate::app::App;

/// The id is a memo of somebody else.
const ID_TAKEN: Fault =
    Fault::new(Kind::Conflict, "conflict", "다른 요청과 충돌했습니다.", "This conflicts with another request.");

/// Returns the person whom the emotion service asks for; for everybody else there is nothing here.
fn asked_for(peer: Peer) -> Outcome<UserId> {
    let person = peer.0.person.filter(|_| peer.0.service == Service::Emotion);
    person.map(|person| person.user_id).ok_or_else(|| Problem::from(common::NOT_FOUND))
}

/// Writes a memo under the caller's id, once.
///
/// One that is there already is left as its owner made it, and taken out of the trash: they asked for it again.
pub async fn write(app: Data<App>, peer: Peer, body: Json<MemoToWrite>) -> Outcome<HttpResponse> {
    let owner = asked_for(peer)?;
    let MemoToWrite { id, content, tags, category, metadata } = body.into_inner();
    let metadata = Some(metadata).filter(|metadata| !metadata.is_null());
    let draft = Draft::try_from(CreateMemoRequest { content, tags, category, session_id: None, metadata })?;
    let new = NewMemo::new(id.0, owner, draft, app.ground.clock.now());
    let mut conn = app.ground.pg.conn().await?;
    let written = conn.transaction(async |conn| {
        let is_new = store::insert_missing(conn, std::slice::from_ref(&new)).await? > 0;
        let kept = store::keep_out_of_trash(conn, owner, new.id).await?;
        let kept = kept.filter(|memo| memo.user_id == owner.0).ok_or(ID_TAKEN)?;
        Outcome::Ok(MemoWritten { id, created_at: kept.created_at.into(), is_new })
    });
    Ok(HttpResponse::Ok().json(written.await?))
}
