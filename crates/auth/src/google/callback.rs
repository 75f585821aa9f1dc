//! `POST /auth/google/callback`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data},
};
use chassis::{
    edge::Language,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};

use super::{
    GOOGLE_LOGIN_NOT_CONFIGURED, link,
    proof::{self, CallbackRequest, Form},
};
use crate::{
    app::App,
    login::login::{LoginView, answer},
    visitor::{Page, Visitor},
};

/// Finishes a login with Google: makes the account, finds it, or links it.
///
/// An address that has an account with a password is linked only when both sides have proved it; otherwise log in with
/// the password, or reset it, first.
#[utoipa::path(
    post, path = "/auth/google/callback", tag = "logins", request_body = CallbackRequest,
    responses(
        (status = 200, body = LoginView),
        (status = 400, description = "`google_code_refused`, `invalid_state`", body = ProblemView),
        (status = 401, description = "`invalid_google_token`", body = ProblemView),
        (status = 403, description = "`csrf_mismatch`, `origin_not_allowed`, `email_not_verified`", body = ProblemView),
        (status = 409, description = "`link_required`", body = ProblemView),
        (status = 502, description = "`google_unreachable`", body = ProblemView),
        (status = 503, description = "`google_login_not_configured`", body = ProblemView)
    )
)]
pub async fn callback(
    app: Data<App>,
    _caller: Anyone,
    language: Language,
    (visitor, page): (Visitor, Page),
    req: HttpRequest,
    body: Bytes,
) -> Outcome<HttpResponse> {
    let google = app.google.as_deref().ok_or(GOOGLE_LOGIN_NOT_CONFIGURED)?;
    // Google's button may send its form from Google's own page.
    if page.origin.as_deref() != Some(google.issuer()) {
        page.refuse_strangers()?;
    }
    let (request, is_form) = proof::read(&req, &body)?;
    let form = Form::try_from(request)?;
    let identity = form.prove(&app, google, &req, is_form).await?;
    let (user, tokens) = link::enter(&app, &identity, language.0, &visitor).await?;
    Ok(answer(&app, tokens, &user, language))
}
