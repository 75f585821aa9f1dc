//! `GET /docs`: Swagger UI over the merged API document, from files inside this binary.

use std::sync::Arc;

use actix_web::{HttpResponse, http::header};
use chassis::problem::{Outcome, Problem};
use domain::fault::common;
use utoipa_swagger_ui::Config;

/// Where the page is.
const ROOT: &str = "/docs";
/// How long a browser may keep a file, seconds; they change with a release only.
const KEEP: &str = "public, max-age=3600";

/// Swagger UI.
pub struct Docs(Arc<Config<'static>>);

impl Docs {
    /// Shows the document at `url`.
    pub fn new(url: &'static str) -> Self {
        Self(Arc::new(Config::from(url).persist_authorization(true).try_it_out_enabled(true)))
    }

    /// Answers with the page or one of its files.
    ///
    /// # Errors
    /// 404 for a file that there is not.
    pub fn answer(&self, path: &str) -> Outcome<HttpResponse> {
        let file = path.strip_prefix(ROOT).unwrap_or_default().trim_matches('/');
        let found = utoipa_swagger_ui::serve(file, self.0.clone())
            .map_err(|error| Problem::unexpected(error.to_string()))?
            .ok_or(common::NOT_FOUND)?;
        let mut response = HttpResponse::Ok();
        response.content_type(found.content_type).insert_header((header::CACHE_CONTROL, KEEP));
        if !(file.is_empty() || file == "index.html") {
            return Ok(response.body(found.bytes.into_owned()));
        }
        // The page names its files relative to itself, and answers with and without a slash at the end.
        let page = String::from_utf8_lossy(&found.bytes)
            .replace("\"./", "\"/docs/")
            .replace("href=\"index.css", "href=\"/docs/index.css");
        Ok(response.body(page))
    }
}
