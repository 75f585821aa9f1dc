//! `GET /auth/erasures/{receipt_id}`.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncPgConnection;
use domain::{fault::common, time::Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{self, Part};
use crate::app::App;

/// How far an erasure is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptView {
    /// Keep it: it is the only way to ask.
    receipt_id: Uuid,
    /// When the account was ended.
    requested_at: Instant,
    /// When the last service was done.
    finished_at: Option<Instant>,
    /// Each service.
    services: Vec<ReceiptPartView>,
}

/// How far one service is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptPartView {
    /// Its name.
    service: String,
    /// `pending` or `finished`.
    status: &'static str,
    /// When it was done.
    finished_at: Option<Instant>,
    /// How many of what are gone so far.
    erased: BTreeMap<String, u64>,
}

impl ReceiptView {
    /// Reads a receipt.
    ///
    /// # Errors
    /// 404 when there is none of that id.
    pub async fn find(conn: &mut AsyncPgConnection, receipt_id: Uuid) -> Outcome<Self> {
        let (requested_at, parts) = store::find(conn, receipt_id).await?.ok_or(common::NOT_FOUND)?;
        let done: Option<Vec<_>> = parts.iter().map(|(_, _, finished_at)| *finished_at).collect();
        let finished_at = done.and_then(|times| times.into_iter().max()).map(Instant);
        let services = parts.into_iter().map(part).collect();
        Ok(Self { receipt_id, requested_at: requested_at.into(), finished_at, services })
    }
}

fn part((service, erased, finished_at): Part) -> ReceiptPartView {
    ReceiptPartView {
        service,
        status: if finished_at.is_some() { "finished" } else { "pending" },
        finished_at: finished_at.map(Instant),
        erased: serde_json::from_value(erased).unwrap_or_default(),
    }
}

/// Tells how far an erasure is to whoever has its receipt.
#[utoipa::path(
    get, path = "/auth/erasures/{receipt_id}", tag = "accounts", params(("receipt_id" = Uuid, Path)),
    responses((status = 200, body = ReceiptView), (status = 404, description = "`not_found`", body = ProblemView))
)]
pub async fn receipt(app: Data<App>, _caller: Anyone, receipt_id: Path<Uuid>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    Ok(HttpResponse::Ok().json(ReceiptView::find(&mut conn, *receipt_id).await?))
}
