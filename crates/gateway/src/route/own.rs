//! What the gateway answers by itself.

use domain::principal::Service;

use super::{Access::Public, Kind, Methods, Route};

/// A page of the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/`.
    Start,
    /// `/health`.
    Health,
    /// `/openapi.json`.
    OpenApi,
    /// `/docs`.
    Docs,
}

const fn page(pattern: &'static str, page: Page) -> Route {
    Route::new(Methods::GET, pattern, Service::Gateway, Public).kind(Kind::Page(page))
}

pub(super) const ROUTES: &[Route] = &[
    page("/", Page::Start),
    page("/health", Page::Health),
    page("/openapi.json", Page::OpenApi),
    page("/docs", Page::Docs),
    page("/docs/*", Page::Docs),
];
