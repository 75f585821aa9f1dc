//! `POST /change-password`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    account::{PasswordOwner, check_password},
    fault::{Fault, Kind, Violations, common},
    locale::Text,
    principal::Principal,
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
    mail::{self, Notice, verify::MessageView},
    visitor::Visitor,
};

/// The current password is another one.
pub const WRONG_PASSWORD: Fault = Fault::new(
    Kind::Forbidden,
    "wrong_password",
    "현재 비밀번호가 올바르지 않습니다.",
    "The current password is wrong.",
);
/// The account is entered in another way; a password is set by resetting it.
pub const NO_PASSWORD: Fault = Fault::new(
    Kind::Conflict,
    "no_password",
    "비밀번호가 없는 계정입니다. 비밀번호 재설정을 이용해 주세요.",
    "This account has no password. Reset the password to set one.",
);
/// Somebody else changed it in the same moment.
const CHANGED_MEANWHILE: Fault = Fault::new(
    Kind::Conflict,
    "password_changed",
    "비밀번호가 방금 변경되었습니다.",
    "The password has just been changed.",
);
const CHANGED: Text = Text::new("비밀번호가 변경되었습니다.", "Your password has been changed.");

/// Two passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The one that counts now.
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// The one that shall count, 8-128 characters.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Changes the password of whoever asks and ends every other login of theirs.
#[utoipa::path(
    post, path = "/change-password", tag = "accounts", security(("bearer" = [])), request_body = ChangePasswordRequest,
    responses(
        (status = 200, body = MessageView),
        (status = 403, description = "`wrong_password`", body = ProblemView),
        (status = 409, description = "`no_password`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn change_password(
    app: Data<App>,
    person: Person,
    language: Language,
    visitor: Visitor,
    body: Json<ChangePasswordRequest>,
) -> Outcome<HttpResponse> {
    let ChangePasswordRequest { current_password, new_password: wanted } = body.into_inner();
    let is_the_same = current_password.expose_secret() == wanted.expose_secret();
    let (user, old_hash) = prove(&app, person.0, current_password).await?;
    let mut violations = Violations::new();
    let owner = PasswordOwner { email: &user.email, name: &user.name };
    check_password(wanted.expose_secret(), owner, "/new_password", &mut violations);
    violations.require(
        !is_the_same,
        "/new_password",
        "unchanged",
        "지금과 다른 비밀번호를 정해 주세요.",
        "Choose another password than the current one.",
    );
    violations.into_result()?;
    let new_hash = app.passwords.hash(wanted).await?;
    replace(&app, person.0, &user, (&old_hash, &new_hash), &visitor).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: CHANGED.in_locale(language.0) }))
}

/// Returns the account of somebody who shows its password once more, and the hash it was checked against.
///
/// # Errors
/// 403 `wrong_password`, 409 `no_password`, 429.
pub(crate) async fn prove(app: &App, principal: Principal, password: SecretString) -> Outcome<(store::User, String)> {
    app.limits.own_password(principal.user_id).await?;
    let found = store::find_by_login(&*app.ground.pg.conn().await?, principal).await?;
    let user = found.ok_or(common::INVALID_TOKEN)?;
    let hash = user.password_hash.clone().ok_or(NO_PASSWORD)?;
    if !app.passwords.matches(password, Some(hash.clone())).await? {
        return Err(WRONG_PASSWORD.into());
    }
    app.limits.own_password_was_right(principal.user_id).await;
    Ok((user, hash))
}

async fn replace(
    app: &App,
    principal: Principal,
    user: &store::User,
    hashes: (&str, &str),
    visitor: &Visitor,
) -> Outcome<()> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        if !store::replace_password(conn, principal.user_id, hashes, now).await? {
            return Err(CHANGED_MEANWHILE.into());
        }
        let others = Which::AllBut(principal.login_id);
        let ended = logins::end(conn, principal.user_id, others, "password_changed", now).await?;
        end::announce(app, conn, ended, now).await?;
        audit::record(app, conn, Entry::of(user.id, "password_changed").from(visitor)).await?;
        mail::notify(app, conn, user, Notice::PasswordChanged).await
    })
    .await?;
    app.outbox.wake();
    Ok(())
}
