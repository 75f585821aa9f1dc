//! `GET /user/me/export`.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::header, web::Data};
use chassis::{
    client::CallError,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    contract::UserExport,
    fault::{Fault, Kind, common},
    principal::{Principal, Service},
    time::Instant,
};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store;
use crate::{
    account::{AccountView, store as accounts},
    app::App,
    audit::{self, Entry, chain},
    login::store as logins,
    visitor::Visitor,
};

/// Most entries of the audit log that are told.
const AUDIT_MOST: i64 = 1_000;

/// A service did not answer: what is missing would look as if it were not there.
const EXPORT_INCOMPLETE: Fault = Fault::new(
    Kind::Unavailable,
    "export_incomplete",
    "일부 서비스가 응답하지 않아 내보내기를 완료할 수 없습니다. 조금 뒤에 다시 시도해 주세요.",
    "A service did not answer, so the export would be incomplete. Please try again shortly.",
);

/// Everything that is known about a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportView {
    /// Names this export in the audit log.
    export_id: Uuid,
    /// Whose it is.
    user_id: Uuid,
    /// When it was made.
    exported_at: Instant,
    /// By service; each describes its own.
    #[schema(value_type = BTreeMap<String, Object>)]
    services: BTreeMap<&'static str, Value>,
}

/// Gives whoever asks everything that every service knows about them, or nothing when one does not answer.
#[utoipa::path(
    get, path = "/user/me/export", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, body = ExportView), (status = 503, description = "`export_incomplete`", body = ProblemView))
)]
pub async fn export(app: Data<App>, person: Person, visitor: Visitor) -> Outcome<HttpResponse> {
    let own = own(&app, person.0).await?;
    let asked = app.peers.iter().map(|peer| ask(&app, peer.service(), person.0));
    let mut services: BTreeMap<&'static str, Value> = try_join_all(asked).await?.into_iter().collect();
    services.insert(Service::Auth.name(), own);
    let export_id = app.ground.clock.uuid();
    let user_id = person.0.user_id.0;
    note(&app, person.0, Entry::of(user_id, "exported").with("export_id", export_id).from(&visitor)).await?;
    let exported_at = app.ground.clock.now().into();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"maru-export.json\""))
        .json(ExportView { export_id, user_id, exported_at, services }))
}

/// Writes down that somebody took everything along, unless the account ended while the services were asked: nothing is
/// said about a person from then on.
async fn note(app: &App, person: Principal, entry: Entry) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        accounts::lock(conn, person.user_id).await?.ok_or(common::INVALID_TOKEN)?;
        audit::record(app, conn, entry).await
    })
    .await
}

async fn ask(app: &App, service: Service, person: Principal) -> Outcome<(&'static str, Value)> {
    let id = person.user_id.to_string();
    let peer = app.peer(service)?;
    let answer: Result<UserExport, CallError> = peer.get(Some(person), &["internal", "users", &id, "export"]).await;
    match answer {
        Ok(export) => Ok((service.name(), export.data)),
        Err(error) => Err(Problem::from(EXPORT_INCOMPLETE).caused_by(format!("{error:?}")).with("service", service)),
    }
}

/// Returns what this service knows.
async fn own(app: &App, person: Principal) -> Outcome<Value> {
    let mut conn = app.ground.pg.conn().await?;
    let user = accounts::find_by_login(&conn, person).await?.ok_or(common::INVALID_TOKEN)?;
    let identities = store::list_identities(&mut conn, user.id).await?;
    let logins = logins(&mut conn, app, person).await?;
    let events = events(&mut conn, user.id).await?;
    Ok(json!({ "account": AccountView::from(user), "identities": identities, "logins": logins, "events": events }))
}

async fn logins(conn: &mut AsyncPgConnection, app: &App, person: Principal) -> Outcome<Vec<Value>> {
    let live = logins::list_live(conn, person.user_id, app.ground.clock.now()).await?;
    let view = live.into_iter().map(|login| {
        json!({
            "id": login.id, "method": login.method, "device": login.user_agent, "ip": login.ip,
            "created_at": Instant(login.created_at), "last_seen_at": Instant(login.last_seen_at),
        })
    });
    Ok(view.collect())
}

async fn events(conn: &mut AsyncPgConnection, user_id: Uuid) -> Outcome<Vec<Value>> {
    let links = chain::about(conn, user_id, AUDIT_MOST).await?;
    let told = links.into_iter().map(|link| {
        let mut personal = link.personal.unwrap_or_default();
        if let Some(personal) = personal.as_object_mut() {
            personal.remove("salt");
        }
        json!({ "at": Instant(link.at), "action": link.action, "meta": link.meta, "from": personal })
    });
    Ok(told.collect())
}
