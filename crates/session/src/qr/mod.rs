//! The QR code of a session: the link by which an audience comes in, as a picture.
//!
//! A picture holds `{PUBLIC_BASE_URL}/join/{code}` and nothing else, and the address comes from the configuration, never
//! from a request. Owners see it as a data URL in their sessions, and take it along as PNG or SVG. A session never
//! changes its code, so pictures are drawn once and remembered.

pub mod png;
pub mod svg;

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    problem::{Outcome, Problem},
    qr::Drawing,
    recent::Recent,
};

/// Data URLs remembered by a process: 10 MB. One has about 2,400 bytes, and drawing it takes 0.26 ms.
const REMEMBERED: usize = 4_096;
/// Pixels of a module in a session's own picture.
const PIXELS: u32 = 10;
/// How long an owner's browser may keep a picture, seconds.
const KEEP_SECONDS: u32 = 86_400;

/// Mounts the routes of pictures.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/api/v1/sessions/{id}/qr.png").get(png::png))
        .service(web::resource("/api/v1/sessions/{id}/qr.svg").get(svg::svg));
}

/// Draws the join links of sessions.
#[derive(Debug)]
pub struct Pictures {
    base_url: String,
    urls: Mutex<Recent<Code, Arc<str>>>,
}

/// A code's letters, as a key.
type Code = [u8; 6];

impl Pictures {
    /// Draws links that begin with `base_url`.
    pub fn new(base_url: &str) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), urls: Mutex::new(Recent::new(REMEMBERED)) }
    }

    /// Returns the link by which people come in.
    pub fn link(&self, code: &str) -> String {
        format!("{}/join/{code}", self.base_url)
    }

    /// Returns a code's picture as a data URL; nothing when the configured address is too long for any QR code.
    pub fn data_url(&self, code: &str) -> Option<String> {
        let key = Code::try_from(code.as_bytes()).ok();
        if let Some(known) = key.and_then(|key| self.urls().get(&key)) {
            return Some(known.to_string());
        }
        let drawing = self.draw(code).ok()?;
        let picture = drawing.png(drawing.modules() * PIXELS).ok()?;
        let url = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(picture));
        if let Some(key) = key {
            self.urls().put(key, url.as_str().into());
        }
        Some(url)
    }

    fn draw(&self, code: &str) -> Outcome<Drawing> {
        Drawing::new(&self.link(code)).map_err(Problem::unexpected)
    }

    fn urls(&self) -> std::sync::MutexGuard<'_, Recent<Code, Arc<str>>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with a picture, or with nothing when the browser has this one.
fn answer(req: &HttpRequest, media_type: &'static str, picture: Vec<u8>) -> HttpResponse {
    let etag = format!("\"{}\"", hex::encode(digest(&SHA256, &picture).as_ref().get(..16).unwrap_or_default()));
    let known = req.headers().get_all(header::IF_NONE_MATCH).filter_map(|line| line.to_str().ok());
    let is_known = known
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, format!("private, max-age={KEEP_SECONDS}")));
    if is_known { response.finish() } else { response.content_type(media_type).body(picture) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_one_slash_whatever_the_configured_address_ends_with() {
        for base in ["https://maru.example", "https://maru.example/"] {
            assert_eq!(Pictures::new(base).link("AB23CD"), "https://maru.example/join/AB23CD");
        }
    }

    #[test]
    fn a_picture_is_the_same_the_second_time_and_anothers_is_another() {
        let pictures = Pictures::new("https://maru.example");
        let first = pictures.data_url("AB23CD").unwrap();
        assert_eq!(pictures.data_url("AB23CD").unwrap(), first);
        assert_ne!(pictures.data_url("AB23CE").unwrap(), first);
        assert!(first.starts_with("data:image/png;base64,iVBOR"), "{first}");
        assert!(first.len() < 3_000, "{}", first.len());
    }

    #[test]
    fn an_address_too_long_for_any_code_makes_no_picture() {
        assert_eq!(Pictures::new(&format!("https://{}", "a".repeat(4_000))).data_url("AB23CD"), None);
    }
}
