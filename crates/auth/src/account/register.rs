//! `POST /register`.

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
    account::{EmailAddress, PasswordOwner, check_password, parse_name},
    fault::Violations,
    locale::Locale,
    principal::Role,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    parse_phone,
    store::{self, NewUser},
};
use crate::{
    app::App,
    audit::{self, Entry},
    login::{
        begin::{Method, TokensView, begin},
        cookies,
    },
    mail::{self, code::Purpose},
    visitor::Visitor,
};

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
        let phone = request.phone.and_then(|phone| parse_phone(&phone, &mut violations));
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
/// Two requests with the same address make one account: the second gets `email_taken`. A code to prove the address is
/// mailed.
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
    visitor: Visitor,
    body: Json<RegisterRequest>,
) -> Outcome<HttpResponse> {
    let registration = Registration::try_from(body.into_inner())?;
    let view = create(&app, registration, language.0, &visitor).await?;
    let [access, refresh] = cookies::of(&app.config, &view.tokens);
    Ok(HttpResponse::Created().cookie(access).cookie(refresh).json(view))
}

async fn create(app: &App, registration: Registration, locale: Locale, visitor: &Visitor) -> Outcome<RegisteredView> {
    let Registration { name, email, password, phone } = registration;
    let password_hash = Some(app.passwords.hash(password).await?);
    let now = app.ground.clock.now();
    let new = NewUser {
        phone,
        password_hash,
        locale: locale.code(),
        ..NewUser::new(app.ground.clock.uuid(), name, email.as_str().to_owned(), now)
    };
    let mut conn = app.ground.pg.conn().await?;
    let (user, tokens) = conn
        .transaction(async |conn| {
            let user = store::insert(conn, &new).await?;
            let tokens = begin(app, conn, &user, Method::Password, visitor).await?;
            audit::record(app, conn, Entry::of(user.id, "registered").from(visitor)).await?;
            mail::send_code(app, conn, &user.email_key, Purpose::VerifyEmail).await?;
            Outcome::Ok((user, tokens))
        })
        .await?;
    app.outbox.wake();
    let role = user.role();
    Ok(RegisteredView { user_id: user.id, id: user.id, name: user.name, email: user.email, role, tokens })
}
