//! `DELETE /user/me`, and the same on an operator's word.

use std::time::Duration;

use actix_web::{HttpResponse, web::Data};
use aws_lc_rs::rand;
use chassis::{
    optional_json::OptionalJson,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::{Fault, Kind, common},
    ids::UserId,
    principal::{Principal, Service},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{receipt::ReceiptView, store};
use crate::{
    account::store::{self as accounts, User},
    app::App,
    audit::{self, Entry, chain},
    login::{
        begin::Method,
        cookies, end,
        store::{self as logins, Which},
    },
    mail::{self, Notice},
    password::change,
    visitor::Visitor,
};

/// The outbox topic of erasures.
pub const ERASURE: &str = "erasure";
/// How long services are given until they are asked: the last request of the person has long been answered then, and
/// every gateway knows that there will be no other, even one that Redis did not reach.
const SETTLE: Duration = Duration::from_secs(6);
/// How old a login with Google may be that stands for a password.
const RECENT: chrono::Duration = chrono::Duration::minutes(15);

/// Neither a password nor a login with Google that is recent enough.
pub const PROOF_NEEDED: Fault = Fault::new(
    Kind::Forbidden,
    "proof_needed",
    "비밀번호를 보내거나 Google로 다시 로그인한 뒤 시도해 주세요.",
    "Send the password, or log in with Google again first.",
);

/// Proves once more who asks.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    /// The account's password; after a login with Google in the last 15 minutes it may be left out.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
}

/// What one service is to erase.
#[derive(Debug, Serialize, Deserialize)]
pub struct Erasure {
    /// The receipt.
    pub receipt_id: Uuid,
    /// The person.
    pub user_id: Uuid,
    /// The service.
    pub service: Service,
}

/// Erases the account of whoever asks, and everything of theirs in every service.
///
/// The account is gone with the answer: its logins have ended and its address is free. The other services are asked
/// until each has answered; the receipt tells how far they are.
#[utoipa::path(
    delete, path = "/user/me", tag = "accounts", security(("bearer" = [])), request_body = Option<EraseRequest>,
    responses(
        (status = 202, body = ReceiptView),
        (status = 403, description = "`wrong_password`, `proof_needed`", body = ProblemView),
        (status = 409, description = "`no_password`", body = ProblemView)
    )
)]
pub async fn erase(
    app: Data<App>,
    person: Person,
    visitor: Visitor,
    body: OptionalJson<EraseRequest>,
) -> Outcome<HttpResponse> {
    prove(&app, person.0, body.0.password).await?;
    let receipt_id = random_id()?;
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        // Somebody may have been faster, or have ended this login since it was asked for its password. The account is
        // locked before its logins, in the order of everybody else who changes both.
        accounts::lock(conn, person.0.user_id).await?.ok_or(common::INVALID_TOKEN)?;
        let user = accounts::find_by_login(conn, person.0).await?.ok_or(common::INVALID_TOKEN)?;
        end_account(&app, conn, &user, receipt_id, &visitor).await
    })
    .await?;
    app.outbox.wake();
    let receipt = ReceiptView::find(&mut conn, receipt_id).await?;
    let [access, refresh] = cookies::cleared(&app.config);
    Ok(HttpResponse::Accepted().cookie(access).cookie(refresh).json(receipt))
}

/// Erases an account as its owner would; returns the receipt's id.
///
/// # Errors
/// Returns a problem when there is no such account.
pub async fn erase_for_operator(app: &App, user_id: UserId) -> Outcome<Uuid> {
    let receipt_id = random_id()?;
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let found = accounts::lock(conn, user_id).await?;
        let user = found.ok_or_else(|| Problem::unexpected("there is no account of this id"))?;
        end_account(app, conn, &user, receipt_id, &Visitor::default()).await
    })
    .await?;
    Ok(receipt_id)
}

async fn prove(app: &App, principal: Principal, password: Option<SecretString>) -> Outcome<()> {
    if let Some(password) = password {
        change::prove(app, principal, password).await?;
        return Ok(());
    }
    let mut conn = app.ground.pg.conn().await?;
    let (began_at, method) = logins::find_beginning(&mut conn, principal).await?.ok_or(common::INVALID_TOKEN)?;
    if method != Method::Google.name() || app.ground.clock.now() - began_at > RECENT {
        return Err(PROOF_NEEDED.into());
    }
    Ok(())
}

/// Ends an account that is locked, and writes down what is left to do; all of it or nothing.
async fn end_account(
    app: &App,
    conn: &mut AsyncPgConnection,
    user: &User,
    receipt_id: Uuid,
    visitor: &Visitor,
) -> Outcome<()> {
    let now = app.ground.clock.now();
    let user_id = UserId(user.id);
    let ended = logins::end(conn, user_id, Which::All, "account_erased", now).await?;
    let logins = end::announce(app, conn, ended, now).await?;
    mail::notify(app, conn, user, Notice::AccountErased).await?;
    audit::record(app, conn, Entry::of(user.id, "account_erased").with("receipt_id", receipt_id).from(visitor)).await?;
    chain::forget_person(conn, user.id).await?;
    accounts::delete(conn, user_id).await?;
    let others = app.peers.iter().map(|peer| (peer.service(), None));
    let own = (Service::Auth, Some(json!({ "accounts": 1, "logins": logins })));
    store::begin(conn, receipt_id, &others.chain([own]).collect::<Vec<_>>(), now).await?;
    for peer in app.peers.iter() {
        let erasure = Erasure { receipt_id, user_id: user.id, service: peer.service() };
        app.outbox.put_later(conn, ERASURE, &erasure, SETTLE).await?;
    }
    Ok(())
}

/// Makes an id that nobody guesses: whoever has the receipt may read it.
fn random_id() -> Outcome<Uuid> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(Problem::unexpected)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
