//! `POST /register`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    account::{EmailAddress, PasswordOwner, check_password, parse_name},
    fault::Violations,
    ids::UserId,
    locale::Locale,
    principal::Role,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{self, NewUser};
use crate::{
    app::App,
    login::{self, TokensView},
};

/// Longest phone number, with separators (E.164 has 15 digits).
const PHONE_MAX: usize = 24;

/// Somebody who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// Display name, 1-100 characters.
    name: String,
    /// E-mail address; one account each.
    email: String,
    /// 8-128 characters, any; neither a common password nor the address or the name.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// Phone number.
    phone: Option<String>,
}

/// A new account, logged in.
#[derive(Serialize, ToSchema)]
pub struct RegisteredView {
    /// The account.
    user_id: Uuid,
    /// The same, under the name some clients read.
    id: Uuid,
    /// Display name.
    name: String,
    /// E-mail address, as it was written.
    email: String,
    /// What it may do.
    role: Role,
    #[serde(flatten)]
    tokens: TokensView,
}

struct Registration {
    name: String,
    email: EmailAddress,
    password: SecretString,
    phone: Option<String>,
}

impl TryFrom<RegisterRequest> for Registration {
    type Error = Violations;

    fn try_from(request: RegisterRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let name = parse_name(&request.name, &mut violations);
        let email = EmailAddress::parse(&request.email, &mut violations);
        let owner = PasswordOwner { email: &request.email, name: &request.name };
        check_password(request.password.expose_secret(), owner, "/password", &mut violations);
        let phone = request.phone.map(|phone| phone.trim().to_owned()).filter(|phone| !phone.is_empty());
        violations.require(
            phone
                .as_ref()
                .is_none_or(|p| p.len() <= PHONE_MAX && p.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c))),
            "/phone",
            "not_a_phone_number",
            "전화번호를 확인해 주세요.",
            "This is not a phone number.",
        );
        match (name, email, violations.into_result()) {
            (Some(name), Some(email), Ok(())) => Ok(Self { name, email, password: request.password, phone }),
            (_, _, Err(violations)) => Err(violations),
            // Both parsers record a violation whenever they return nothing.
            _ => Err(Violations::new()),
        }
    }
}

/// Makes an account and logs it in.
///
/// Two requests with the same address make one account: the second gets `email_taken`.
#[utoipa::path(
    post, path = "/register", tag = "accounts", request_body = RegisterRequest,
    responses(
        (status = 201, body = RegisteredView),
        (status = 409, description = "`email_taken`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn register(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    req: HttpRequest,
    body: Json<RegisterRequest>,
) -> Outcome<HttpResponse> {
    let registration = Registration::try_from(body.into_inner())?;
    let view = create(&app, registration, language.0, login::user_agent(&req)).await?;
    Ok(HttpResponse::Created().json(view))
}

async fn create(
    app: &App,
    registration: Registration,
    locale: Locale,
    user_agent: Option<String>,
) -> Outcome<RegisteredView> {
    let Registration { name, email, password, phone } = registration;
    let password_hash = app.passwords.hash(password).await?;
    let new = NewUser {
        id: app.ground.clock.uuid(),
        name,
        email_key: email.key(),
        email: email.as_str().to_owned(),
        phone,
        password_hash: Some(password_hash),
        role: Role::User.name(),
        locale: locale.code(),
        created_at: app.ground.clock.now(),
    };
    let mut conn = app.ground.pg.conn().await?;
    let (user, tokens) = conn
        .transaction(async |conn| {
            let user = store::insert(conn, &new).await?;
            let tokens = login::begin(app, conn, UserId(user.id), user.role(), user_agent).await?;
            Outcome::Ok((user, tokens))
        })
        .await?;
    let role = user.role();
    Ok(RegisteredView { user_id: user.id, id: user.id, name: user.name, email: user.email, role, tokens })
}
