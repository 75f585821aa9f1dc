//! `POST /login`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::{
    account::EmailAddress,
    fault::{Fault, Kind, Violations},
    ids::UserId,
    locale::Text,
    principal::Role,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{TokensView, access_cookie, begin, user_agent};
use crate::{account::store, app::App};

/// Wrong address or wrong password: the same answer, in the same time, for both.
pub const WRONG_CREDENTIALS: Fault = Fault::new(
    Kind::Unauthenticated,
    "wrong_credentials",
    "이메일 또는 비밀번호가 올바르지 않습니다.",
    "The e-mail address or the password is wrong.",
);
const WELCOME: Text = Text::new("로그인되었습니다.", "You are logged in.");

/// Somebody who says who they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// E-mail address, in any case.
    email: String,
    /// The account's password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A login: the tokens, and whose they are.
#[derive(Serialize, ToSchema)]
pub struct LoginView {
    #[serde(flatten)]
    tokens: TokensView,
    user: LoginUserView,
    /// For people.
    message: &'static str,
}

/// The account of a login; its id stands under every name the documents' clients read.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginUserView {
    id: Uuid,
    user_id: Uuid,
    #[serde(rename = "userId")]
    user_id_camel: Uuid,
    name: String,
    email: String,
    role: Role,
}

/// Checks a password and begins a login; browsers get the token as a cookie too.
#[utoipa::path(
    post, path = "/login", tag = "logins", request_body = LoginRequest,
    responses(
        (status = 200, body = LoginView),
        (status = 401, description = "`wrong_credentials`", body = ProblemView)
    )
)]
pub async fn login(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    req: HttpRequest,
    body: Json<LoginRequest>,
) -> Outcome<HttpResponse> {
    let LoginRequest { email, password } = body.into_inner();
    let user = prove(&app, &email, password).await?;
    let mut conn = app.ground.pg.conn().await?;
    let tokens = begin(&app, &mut conn, UserId(user.id), user.role(), user_agent(&req)).await?;
    let cookie = access_cookie(&app.config, Some(&tokens.access_token));
    let role = user.role();
    let user = LoginUserView {
        id: user.id,
        user_id: user.id,
        user_id_camel: user.id,
        name: user.name,
        email: user.email,
        role,
    };
    Ok(HttpResponse::Ok().cookie(cookie).json(LoginView { tokens, user, message: WELCOME.in_locale(language.0) }))
}

/// Returns the account a password belongs to. The connection goes back before the hash is computed: it takes a while.
async fn prove(app: &App, email: &str, password: SecretString) -> Outcome<store::User> {
    // What cannot be an address is looked for under a key that nobody has, so that its answer takes as long.
    let key = EmailAddress::parse(email, &mut Violations::new()).map_or_else(String::new, |address| address.key());
    let found = {
        let mut conn = app.ground.pg.conn().await?;
        store::find_by_email(&mut conn, &key).await?
    };
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    let proved = app.passwords.matches(password, hash).await?;
    found.filter(|_| proved).ok_or_else(|| WRONG_CREDENTIALS.into())
}
