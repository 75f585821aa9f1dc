//! `GET /.well-known/jwks.json`.

use actix_web::{HttpResponse, http::header, web::Data};
use chassis::{principal::Anyone, problem::Outcome};

use crate::app::App;

/// Publishes the public keys of internal tokens.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "logins",
    responses((status = 200, description = "A JSON Web Key Set"))
)]
pub async fn jwks(app: Data<App>, _caller: Anyone) -> Outcome<HttpResponse> {
    Ok(HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(app.ground.verifier.published().to_owned()))
}
