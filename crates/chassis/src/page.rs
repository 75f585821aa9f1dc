//! Lists as bare arrays: the total and the way to the next page stand in headers.

use actix_web::{HttpRequest, HttpResponse, http::header};
use serde::Serialize;
use url::form_urlencoded;

/// Answers with one page; `next` is the path and query of the one after it.
pub fn answer(items: &impl Serialize, total: i64, next: Option<String>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("x-total-count", total.to_string()));
    if let Some(next) = next {
        answer.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    answer.json(items)
}

/// Returns a request's own path and query with another value of a parameter.
pub fn at(req: &HttpRequest, parameter: &str, value: &str) -> String {
    let asked = form_urlencoded::parse(req.query_string().as_bytes()).filter(|(name, _)| name != parameter);
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).append_pair(parameter, value).finish();
    format!("{}?{query}", req.path())
}
