//! API documents: what every service's OpenAPI document has in common.

use actix_web::{HttpResponse, web};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi, Ref, ResponseBuilder,
        content::ContentBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::problem::{FieldView, MEDIA_TYPE, ProblemView};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(ProblemView, FieldView)))]
struct Common;

/// Adds the bearer scheme, the problem document and the answer every route may give when something is away.
pub fn complete(mut doc: OpenApi) -> OpenApi {
    doc.merge(Common::openapi());
    let components = doc.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemView"))).build();
    let problem = ResponseBuilder::new().description("A problem document").content(MEDIA_TYPE, content).build();
    for item in doc.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for operation in operations {
            operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem.clone().into());
        }
    }
    doc
}

/// Mounts `/openapi.json`.
pub fn routes(cfg: &mut web::ServiceConfig, api: &OpenApi) {
    let text = api.to_json().unwrap_or_default();
    cfg.service(web::resource("/openapi.json").get(move || {
        let text = text.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(text) }
    }));
}
