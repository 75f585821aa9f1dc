//! Memos as forms with files, as the web client of the original sends them: `POST /memo` and `PUT /memo/{memo_id}` with
//! `multipart/form-data`.
//!
//! Each file passes through this service to the object storage as it comes, a part of it in memory at a time. When the
//! form is whole, one transaction writes the memo and makes it the owner of the files; whatever ends earlier, a limit, a
//! fault or the client's connection, leaves objects that nobody owns, and those are deleted.

mod create;
pub mod document;
mod fields;
mod incoming;
mod staging;
mod update;

use actix_multipart::MultipartError;
use actix_web::{
    guard::{Guard, GuardContext},
    http::header,
    web::{self, ServiceConfig},
};
use chassis::{body::is_timeout, problem::Problem};
use domain::fault::common;

/// Mounts the forms beside the JSON of the same routes: before those, because the first that fits is taken.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(["/memo", "/memo/"]).guard(IsForm).post(create::create))
        .service(web::resource("/memo/{memo_id}").guard(IsForm).put(update::update));
}

/// Lets through what is a form with files.
struct IsForm;

impl Guard for IsForm {
    fn check(&self, ctx: &GuardContext<'_>) -> bool {
        let content_type = ctx.head().headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
    }
}

/// Turns a form that could not be read into its problem.
fn refused(error: MultipartError) -> Problem {
    match error {
        MultipartError::Payload(payload) if is_timeout(&payload) => common::BODY_TIMEOUT.into(),
        // Whoever has left is not told anything.
        other => Problem::from(common::MALFORMED).with("reason", other.to_string()),
    }
}
