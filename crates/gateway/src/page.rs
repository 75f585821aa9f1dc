//! What the gateway answers by itself.

use actix_web::{HttpRequest, HttpResponse};
use chassis::problem::Outcome;

use crate::{docs::Docs, health::ServicesHealth, openapi::MergedApi, route, start_page};

/// The pages and what they are made from.
pub struct Pages {
    /// `/health`.
    pub health: ServicesHealth,
    /// `/openapi.json`.
    pub api: MergedApi,
    /// `/docs`.
    pub docs: Docs,
}

impl Pages {
    /// Answers with a page.
    ///
    /// # Errors
    /// 404 for a file that Swagger UI does not have.
    pub async fn answer(&self, page: route::Page, request: &HttpRequest) -> Outcome<HttpResponse> {
        match page {
            route::Page::Start => Ok(start_page::answer()),
            route::Page::Health => Ok(self.health.answer().await),
            route::Page::OpenApi => Ok(self.api.answer().await),
            route::Page::Docs => self.docs.answer(request.path()),
        }
    }
}
