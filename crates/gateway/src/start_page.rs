//! `GET /`: what this is and where to go from here, in the visitor's language.

use actix_web::{HttpResponse, http::header};
use domain::locale::Locale;

const STYLE: &str = include_str!("../assets/start.css");
const KOREAN: &str = include_str!("../assets/start.ko.html");
const ENGLISH: &str = include_str!("../assets/start.en.html");
/// Nothing on the page runs, and nothing comes from elsewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/// Answers with the page.
pub fn answer() -> HttpResponse {
    let locale = chassis::context::locale();
    let page = match locale {
        Locale::Ko => KOREAN,
        Locale::En => ENGLISH,
    };
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_LANGUAGE, locale.code()))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::VARY, "Accept-Language"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(page.replace("{{style}}", STYLE))
}
