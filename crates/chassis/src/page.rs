//! Lists as bare arrays: the total and the way to the next page stand in headers.

use actix_web::{HttpResponse, http::header};
use serde::Serialize;

/// Answers with one page; `next` is the path and query of the one after it.
pub fn answer(items: &impl Serialize, total: i64, next: Option<String>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("x-total-count", total.to_string()));
    if let Some(next) = next {
        answer.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    answer.json(items)
}
