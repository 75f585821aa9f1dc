//! API documents: what every service's OpenAPI document has in common.

use actix_web::{HttpResponse, web};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        content::ContentBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::problem::{FieldView, MEDIA_TYPE, ProblemView};

/// Where the document describes a problem.
const PROBLEM_SCHEMA: &str = "#/components/schemas/ProblemView";

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(ProblemView, FieldView)))]
struct Common;

/// Adds the bearer scheme, the problem document and the answer every route may give when something is away; gives every
/// documented refusal the media type it has.
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
            operation.responses.responses.values_mut().for_each(name_media_type);
            operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem.clone().into());
        }
    }
    doc
}

/// Documents a problem document as what it is: routes only say that its body is a [`ProblemView`].
fn name_media_type(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = matches!(
        response.content.get("application/json"),
        Some(RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. })) if schema.ref_location == PROBLEM_SCHEMA
    );
    if is_problem && let Some(content) = response.content.swap_remove("application/json") {
        response.content.insert(MEDIA_TYPE.to_owned(), content);
    }
}

/// Mounts `/openapi.json`.
pub fn routes(cfg: &mut web::ServiceConfig, api: &OpenApi) {
    let text = api.to_json().unwrap_or_default();
    cfg.service(web::resource("/openapi.json").get(move || {
        let text = text.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(text) }
    }));
}
