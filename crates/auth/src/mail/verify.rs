//! `POST /auth/verify-email`.

use actix_web::{HttpResponse, web::Data};
use chassis::{
    edge::Language,
    optional_json::OptionalJson,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{account::EmailAddress, fault::Violations, locale::Text, principal::Principal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    MAIL_NOT_CONFIGURED,
    code::{self, Purpose, WRONG_CODE},
};
use crate::{
    account::store as accounts,
    app::App,
    audit::{self, Entry},
    visitor::Visitor,
};

/// Said whether or not anybody has the address.
pub(crate) const SENT: Text =
    Text::new("가입된 주소라면 코드를 보냈습니다.", "If that address has an account, a code is on its way.");
const VERIFIED: Text = Text::new("이메일이 확인되었습니다.", "Your e-mail address is proved.");

/// An address to be proved, and the code once it is there.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyEmailRequest {
    /// The address; whoever is logged in may leave it out.
    email: Option<String>,
    /// The mailed code; without it one is sent.
    code: Option<String>,
}

/// For people.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// For people.
    pub message: &'static str,
}

/// Mails a code to an address, or takes it in.
#[utoipa::path(
    post, path = "/auth/verify-email", tag = "accounts", request_body = Option<VerifyEmailRequest>,
    responses(
        (status = 200, description = "The address is proved", body = MessageView),
        (status = 202, description = "A code was sent, if the address has an account", body = MessageView),
        (status = 422, description = "`wrong_code`, or `invalid`", body = ProblemView),
        (status = 503, description = "`mail_not_configured`", body = ProblemView)
    )
)]
pub async fn verify_email(
    app: Data<App>,
    caller: Anyone,
    language: Language,
    visitor: Visitor,
    body: OptionalJson<VerifyEmailRequest>,
) -> Outcome<HttpResponse> {
    let VerifyEmailRequest { email, code } = body.0;
    let email_key = address(&app, email, caller.0).await?;
    let Some(code) = code else {
        request_code(&app, &email_key, Purpose::VerifyEmail).await?;
        return Ok(HttpResponse::Accepted().json(MessageView { message: SENT.in_locale(language.0) }));
    };
    prove(&app, &email_key, &code, &visitor).await?;
    Ok(HttpResponse::Ok().json(MessageView { message: VERIFIED.in_locale(language.0) }))
}

/// Returns the key of the address that is meant.
async fn address(app: &App, email: Option<String>, person: Option<Principal>) -> Outcome<String> {
    let mut violations = Violations::new();
    if let (None, Some(principal)) = (&email, person) {
        let conn = app.ground.pg.conn().await?;
        if let Some(user) = accounts::find_by_login(&conn, principal).await? {
            return Ok(user.email_key);
        }
    }
    let address = EmailAddress::parse(&email.unwrap_or_default(), &mut violations);
    violations.into_result()?;
    Ok(address.map(|address| address.key()).unwrap_or_default())
}

/// Asks for a code to be mailed to an address, if anybody has it.
///
/// # Errors
/// 429, and 503 `mail_not_configured`.
pub(crate) async fn request_code(app: &App, email_key: &str, purpose: Purpose) -> Outcome<()> {
    if app.mailer.is_none() {
        return Err(MAIL_NOT_CONFIGURED.into());
    }
    app.limits.mail(email_key).await?;
    let mut conn = app.ground.pg.conn().await?;
    super::send_code(app, &mut conn, email_key, purpose).await?;
    app.outbox.wake();
    Ok(())
}

async fn prove(app: &App, email_key: &str, typed: &str, visitor: &Visitor) -> Outcome<()> {
    app.limits.code(email_key).await?;
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let user = accounts::find_by_email(&conn, email_key).await?;
    let proof = code::check(&mut conn, &app.code_mac, (Purpose::VerifyEmail, typed), user.as_ref(), now).await?;
    conn.transaction(async |conn| {
        let user_id = proof.user_id;
        accounts::lock(conn, user_id).await?.ok_or(WRONG_CODE)?;
        proof.spend(conn).await?;
        accounts::verify_email(conn, user_id, now).await?;
        audit::record(app, conn, Entry::of(user_id.0, "email_verified").from(visitor)).await
    })
    .await
}
