//! `POST /auth/password-reset` and `POST /auth/password-reset/confirm`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    account::{EmailAddress, PasswordOwner, check_password},
    fault::Violations,
    locale::Text,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    account::store,
    app::App,
    audit::{self, Entry},
    login::{
        end,
        store::{self as logins, Which},
    },
    mail::{
        self, Notice,
        code::{self, Purpose},
        verify::{MessageView, SENT, request_code},
    },
    visitor::Visitor,
};

const RESET: Text = Text::new(
    "비밀번호가 변경되었습니다. 다시 로그인해 주세요.",
    "Your password has been changed. Please log in again.",
);

/// Whose password it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequest {
    /// E-mail address.
    email: String,
}

/// A new password, and the code that allows it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetConfirmation {
    /// E-mail address.
    email: String,
    /// The mailed code.
    code: String,
    /// 8-128 characters, any.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Mails a code to an address; the answer is the same whether or not anybody has it.
#[utoipa::path(
    post, path = "/auth/password-reset", tag = "accounts", request_body = PasswordResetRequest,
    responses(
        (status = 202, body = MessageView),
        (status = 503, description = "`mail_not_configured`", body = ProblemView)
    )
)]
pub async fn password_reset(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    body: Json<PasswordResetRequest>,
) -> Outcome<HttpResponse> {
    let mut violations = Violations::new();
    let address = EmailAddress::parse(&body.email, &mut violations);
    violations.into_result()?;
    let key = address.map(|address| address.key()).unwrap_or_default();
    request_code(&app, &key, Purpose::ResetPassword).await?;
    Ok(HttpResponse::Accepted().json(MessageView { message: SENT.in_locale(language.0) }))
}

/// Sets a new password with a mailed code and ends every login of the account.
#[utoipa::path(
    post, path = "/auth/password-reset/confirm", tag = "accounts", request_body = PasswordResetConfirmation,
    responses((status = 200, body = MessageView), (status = 422, description = "`wrong_code`, `invalid`", body = ProblemView))
)]
pub async fn confirm(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    visitor: Visitor,
    body: Json<PasswordResetConfirmation>,
) -> Outcome<HttpResponse> {
    let PasswordResetConfirmation { email, code, new_password: wanted } = body.into_inner();
    let mut violations = Violations::new();
    let address = EmailAddress::parse(&email, &mut violations);
    let owner = PasswordOwner { email: &email, name: "" };
    check_password(wanted.expose_secret(), owner, "/new_password", &mut violations);
    violations.into_result()?;
    let key = address.map(|address| address.key()).unwrap_or_default();
    reset(&app, &key, &code, wanted, &visitor).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: RESET.in_locale(language.0) }))
}

async fn reset(app: &App, email_key: &str, typed: &str, wanted: SecretString, visitor: &Visitor) -> Outcome<()> {
    app.limits.code(email_key).await?;
    let now = app.ground.clock.now();
    let (user, proof) = {
        let mut conn = app.ground.pg.conn().await?;
        let user = store::find_by_email(&conn, email_key).await?;
        let proof = code::check(&mut conn, &app.code_mac, (Purpose::ResetPassword, typed), user.as_ref(), now).await?;
        (user.ok_or(code::WRONG_CODE)?, proof)
    };
    let hash = app.passwords.hash(wanted).await?;
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let user_id = proof.user_id;
        store::lock(conn, user_id).await?.ok_or(code::WRONG_CODE)?;
        proof.spend(conn).await?;
        store::set_password(conn, user_id, Some(&hash), now).await?;
        // Whoever has the code has the mailbox.
        store::verify_email(conn, user_id, now).await?;
        let ended = logins::end(conn, user_id, Which::All, "password_reset", now).await?;
        end::announce(app, conn, ended, now).await?;
        audit::record(app, conn, Entry::of(user.id, "password_reset").from(visitor)).await?;
        mail::notify(app, conn, &user, Notice::PasswordChanged).await
    })
    .await?;
    app.outbox.wake();
    Ok(())
}
