//! `POST /api/v1/payments/webhooks/toss`.
//!
//! Toss Payments does not sign what it tells about payments, so anybody could say it. What is said is therefore only a
//! hint at an order to look at: the event is put into an inbox, once, and answered; the reconciler asks the provider how
//! the order stands and settles that.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use chassis::{
    prepared::Prepare,
    principal::Anyone,
    problem::{Outcome, Problem, ProblemView},
};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Bool, Double, Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{fault::common, payment::is_order_id};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{settle::settle, store};
use crate::app::App;

/// Names each event; the same when it is sent again.
const EVENT_ID: &str = "tosspayments-webhook-transmission-id";
/// Longest name of an event.
const EVENT_ID_MAX: usize = 200;
/// How often an order is looked up for one event. With its pauses that is half a day; whatever is unsettled is looked
/// into anyway.
const MOST_ATTEMPTS: i32 = 150;
/// Longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Either form of an event: about payments its subject is in `data`, about deposits it is the event itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    order_id: Option<String>,
    data: Option<Subject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subject {
    order_id: Option<String>,
}

/// An event that is to be worked through.
#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    order_id: String,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

/// Takes an event of Toss Payments. It need not be true: the provider is asked.
#[utoipa::path(
    post, path = "/api/v1/payments/webhooks/toss", tag = "payments",
    request_body(content = serde_json::Value, description = "An event as Toss Payments sends it"),
    responses(
        (status = 200, description = "Taken, or about nothing of ours"),
        (status = 400, description = "`malformed`", body = ProblemView)
    )
)]
pub async fn toss_webhook(app: Data<App>, _caller: Anyone, req: HttpRequest, body: Bytes) -> Outcome<HttpResponse> {
    let event: Event =
        serde_json::from_slice(&body).map_err(|error| Problem::from(common::MALFORMED).caused_by(error))?;
    // Other events, about payouts or wallets, are none of ours.
    let order_id = event.data.and_then(|data| data.order_id).or(event.order_id);
    if let Some(order_id) = order_id.filter(|order_id| is_order_id(order_id)) {
        let event_id = event_id(&req, &body);
        let mut conn = app.ground.pg.conn().await?;
        if receive(&mut conn, &event_id, &order_id).await? {
            app.payments.wake();
        }
    }
    Ok(HttpResponse::Ok().json(json!({})))
}

fn event_id(req: &HttpRequest, body: &[u8]) -> String {
    let named = req.headers().get(EVENT_ID).and_then(|value| value.to_str().ok());
    match named.filter(|name| (1..=EVENT_ID_MAX).contains(&name.len())) {
        Some(name) => name.to_owned(),
        None => hex::encode(Sha256::digest(body)),
    }
}

/// Keeps an event of an order of ours. One that is not looked at yet stands for all that come after it, so that nobody
/// can fill the inbox, or have the provider asked as often as they like.
async fn receive(conn: &mut AsyncPgConnection, event_id: &str, order_id: &str) -> Outcome<bool> {
    let kept = sql_query(
        "INSERT INTO payment_webhooks (provider, event_id, order_id) \
         SELECT p.provider, $1, p.order_id FROM payments p WHERE p.order_id = $2 AND p.provider = 'toss' \
         AND NOT EXISTS (SELECT FROM payment_webhooks w WHERE w.order_id = $2 AND w.done_at IS NULL AND w.attempts = 0) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(event_id)
    .bind::<Text, _>(order_id)
    .prepared()
    .execute(conn)
    .await?;
    Ok(kept > 0)
}

/// Works through what is due of the inbox; returns how much there was.
///
/// # Errors
/// Returns a problem when the database is away.
pub(super) async fn work_through(app: &App, most: i32) -> Outcome<usize> {
    let due = take_due(&mut *app.ground.pg.conn().await?, most, app.payments.lease()).await?;
    if due.is_empty() {
        return Ok(0);
    }
    join_all(due.iter().map(|event| look_at(app, event))).await;
    forget_old(&mut *app.ground.pg.conn().await?).await?;
    Ok(due.len())
}

async fn look_at(app: &App, event: &Due) {
    let is_done = match ask(app, &event.order_id).await {
        Ok(is_answered) => is_answered,
        Err(problem) => {
            problem.log();
            false
        }
    };
    let is_done = is_done || event.attempts >= MOST_ATTEMPTS;
    let finished = async { finish(&mut *app.ground.pg.conn().await?, event, is_done).await };
    if let Err(problem) = finished.await {
        // Its lease ends, and then it is looked at again.
        problem.log();
    }
}

/// Asks the provider about an order and settles the answer; says whether there was one.
async fn ask(app: &App, order_id: &str) -> Outcome<bool> {
    let found = store::find_order(&mut *app.ground.pg.conn().await?, order_id).await?;
    let Some(payment) = found else { return Ok(true) };
    let provider = Arc::clone(app.payments.named(&payment.provider)?);
    match provider.look_up(order_id, payment.payment_key.as_deref()).await {
        Ok(standing) => settle(app, &payment, Ok(standing)).await.map(|_end| true),
        Err(trouble) => {
            tracing::warn!(order_id, %trouble, "the provider does not say what an event is about");
            Ok(false)
        }
    }
}

async fn take_due(conn: &mut AsyncPgConnection, most: i32, lease: Duration) -> Outcome<Vec<Due>> {
    let taken = sql_query(
        "UPDATE payment_webhooks SET attempts = attempts + 1, \
         next_try_at = clock_timestamp() + make_interval(secs => $2) \
         WHERE (provider, event_id) IN (SELECT provider, event_id FROM payment_webhooks \
         WHERE done_at IS NULL AND next_try_at <= clock_timestamp() ORDER BY next_try_at LIMIT $1 \
         FOR UPDATE SKIP LOCKED) RETURNING event_id, order_id, attempts",
    )
    .bind::<Integer, _>(most)
    .bind::<Double, _>(lease.as_secs_f64())
    .prepared()
    .load(conn)
    .await;
    Ok(taken?)
}

async fn finish(conn: &mut AsyncPgConnection, event: &Due, is_done: bool) -> Outcome<()> {
    sql_query(
        "UPDATE payment_webhooks SET done_at = CASE WHEN $2 THEN clock_timestamp() END, \
         next_try_at = clock_timestamp() + make_interval(secs => least($3, power(2, least($4, 16)))) \
         WHERE provider = 'toss' AND event_id = $1 AND done_at IS NULL",
    )
    .bind::<Text, _>(&event.event_id)
    .bind::<Bool, _>(is_done)
    .bind::<Double, _>(LONGEST_PAUSE.as_secs_f64())
    .bind::<Integer, _>(event.attempts)
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes events that nobody sends again: Toss Payments gives up after four days.
async fn forget_old(conn: &mut AsyncPgConnection) -> Outcome<()> {
    sql_query("DELETE FROM payment_webhooks WHERE done_at < clock_timestamp() - interval '7 days'")
        .prepared()
        .execute(conn)
        .await?;
    Ok(())
}
