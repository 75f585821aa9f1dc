//! `GET /internal/focus/{id}` and `GET /internal/focus/by-day`: what another service asks on behalf of a person.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    principal::Peer,
    problem::{Outcome, Problem},
};
use domain::{
    calendar::{LocalDays, parse_date, parse_zone},
    contract::{FocusByDay, FocusOfDay},
    fault::{Violations, common},
    ids::{FocusId, UserId},
};

use super::{
    list::LIMIT_MAX,
    store::{self, Seen},
};
use crate::app::App;

/// Returns the person a process of ours asks for; without one there is nothing here.
fn asked_for(peer: Peer) -> Outcome<UserId> {
    peer.0.person.map(|person| person.user_id).ok_or_else(|| Problem::from(common::NOT_FOUND))
}

/// Shows a focus session of the person who is asked for.
pub async fn show(app: Data<App>, peer: Peer, id: Path<FocusId>) -> Outcome<HttpResponse> {
    let owner = asked_for(peer)?;
    let mut conn = app.ground.pg.conn().await?;
    let Seen { row, now } = store::see(&mut conn, owner, *id).await?;
    Ok(HttpResponse::Ok().json(row.view(now)?))
}

/// Shows the focus sessions that the person who is asked for made on a day.
pub async fn by_day(app: Data<App>, peer: Peer, query: Query<FocusByDay>) -> Outcome<HttpResponse> {
    let owner = asked_for(peer)?;
    let day = parse(&query)?;
    let mut conn = app.ground.pg.conn().await?;
    let mut rows = store::list(&mut conn, owner, day, None, LIMIT_MAX + 1).await?;
    drop(conn);
    let most = usize::try_from(LIMIT_MAX).unwrap_or_default();
    let is_truncated = rows.len() > most;
    rows.truncate(most);
    let sessions = rows.into_iter().map(|(row, now)| row.view(now)).collect::<Outcome<Vec<_>>>()?;
    Ok(HttpResponse::Ok().json(FocusOfDay { sessions, is_truncated }))
}

fn parse(query: &FocusByDay) -> Result<LocalDays, Violations> {
    let mut violations = Violations::new();
    let date = parse_date(query.date.as_deref(), "?date", &mut violations);
    let tz = parse_zone(query.tz.as_deref(), "?tz", &mut violations);
    match (date, tz) {
        (Some(date), Some(tz)) => Ok(LocalDays::of(date, date, tz)),
        _ => Err(violations),
    }
}
