//! `POST /login`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use chrono::Duration;
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

use super::{
    begin::{TokensView, begin_with_password},
    cookies, store as logins,
};
use crate::{account::store, app::App, visitor::Visitor};

/// Wrong address or wrong password: the same answer, in the same time, for both.
pub const WRONG_CREDENTIALS: Fault = Fault::new(
    Kind::Unauthenticated,
    "wrong_credentials",
    "이메일 또는 비밀번호가 올바르지 않습니다.",
    "The e-mail address or the password is wrong.",
);
pub(crate) const WELCOME: Text = Text::new("로그인되었습니다.", "You are logged in.");
/// How long a place stays known after a login from it.
const KNOWN_FOR: Duration = Duration::days(90);

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

impl From<&store::User> for LoginUserView {
    fn from(user: &store::User) -> Self {
        Self {
            id: user.id,
            user_id: user.id,
            user_id_camel: user.id,
            name: user.name.clone(),
            email: user.email.clone(),
            role: user.role(),
        }
    }
}

/// Checks a password and begins a login; browsers get the tokens as cookies too.
#[utoipa::path(
    post, path = "/login", tag = "logins", request_body = LoginRequest,
    responses(
        (status = 200, body = LoginView),
        (status = 401, description = "`wrong_credentials`", body = ProblemView),
        (status = 429, description = "`too_many_requests`: too many tries for this account", body = ProblemView)
    )
)]
pub async fn login(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    visitor: Visitor,
    body: Json<LoginRequest>,
) -> Outcome<HttpResponse> {
    let LoginRequest { email, password } = body.into_inner();
    let (user_id, hash) = prove(&app, &email, password, &visitor).await?;
    let mut conn = app.ground.pg.conn().await?;
    let begun = begin_with_password(&app, &mut conn, (user_id, &hash), &visitor).await?;
    let (user, tokens) = begun.ok_or(WRONG_CREDENTIALS)?;
    Ok(answer(&app, tokens, &user, language))
}

/// Answers with a login that has begun.
pub(crate) fn answer(app: &App, tokens: TokensView, user: &store::User, language: Language) -> HttpResponse {
    let [access, refresh] = cookies::of(&app.config, &tokens);
    let view = LoginView { tokens, user: user.into(), message: WELCOME.in_locale(language.0) };
    HttpResponse::Ok().cookie(access).cookie(refresh).json(view)
}

/// Returns the account a password belongs to, and the hash it was checked against. No connection is held while the hash is
/// computed: it takes a while.
async fn prove(app: &App, email: &str, password: SecretString, visitor: &Visitor) -> Outcome<(UserId, String)> {
    // What cannot be an address is looked for under a key that nobody has, so that its answer takes as long.
    let key = EmailAddress::parse(email, &mut Violations::new()).map_or_else(String::new, |address| address.key());
    let place = visitor.place();
    let is_known_here = async || {
        let mut conn = app.ground.pg.conn().await?;
        logins::is_known_place(&mut conn, &key, &place, app.ground.clock.now() - KNOWN_FOR).await
    };
    app.limits.password(&key, &place, is_known_here).await?;
    let found = app.ground.pg.read(async |conn| store::find_by_email(conn, &key).await).await?;
    let known = found.and_then(|user| Some((UserId(user.id), user.password_hash?)));
    let hash = known.as_ref().map(|(_, hash)| hash.clone());
    let proved = app.passwords.matches(password, hash).await?;
    let Some(known) = known.filter(|_| proved) else {
        metrics::counter!("logins_refused_total").increment(1);
        return Err(WRONG_CREDENTIALS.into());
    };
    app.limits.password_was_right(&key, &place).await;
    Ok(known)
}
