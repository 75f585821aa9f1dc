//! `GET /openapi.json`: the documents of all services as one.
//!
//! Services name their schemas and operations for themselves. Where two names mean two things, the later one gets its
//! service's name in front; operations always do. Only what the gateway lets through is shown.

use std::time::Duration;

use actix_web::{HttpResponse, http::header};
use bytes::Bytes;
use domain::principal::Service;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use crate::route::Router;

/// Longest wait for one service's document.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a complete document is good.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How long one is good that lacks a service.
const INCOMPLETE_GOOD_FOR: Duration = Duration::from_secs(2);
/// Names the services whose documents are missing.
const MISSING: &str = "x-maru-missing";
const SCHEMA_REF: &str = "#/components/schemas/";

/// Merges the services' documents.
pub struct MergedApi {
    services: Vec<(Service, Vec<Url>)>,
    http: reqwest::Client,
    own: Value,
    router: Router,
    last: Mutex<Option<Answer>>,
}

#[derive(Clone)]
struct Answer {
    at: Instant,
    document: Bytes,
    missing: String,
}

impl MergedApi {
    /// Asks each service at its addresses and adds the gateway's own document.
    pub fn new(services: Vec<(Service, Vec<Url>)>, http: reqwest::Client, own: &utoipa::openapi::OpenApi) -> Self {
        let own = serde_json::to_value(own).unwrap_or_default();
        Self { services, http, own, router: Router::new(), last: Mutex::new(None) }
    }

    /// Answers `GET /openapi.json`.
    pub async fn answer(&self) -> HttpResponse {
        let Answer { document, missing, .. } = self.current().await;
        let mut response = HttpResponse::Ok();
        response.content_type("application/json").insert_header((header::CACHE_CONTROL, "no-cache"));
        if !missing.is_empty() {
            response.insert_header((MISSING, missing));
        }
        response.body(document)
    }

    async fn current(&self) -> Answer {
        let mut last = self.last.lock().await;
        if let Some(answer) = &*last {
            let good_for = if answer.missing.is_empty() { GOOD_FOR } else { INCOMPLETE_GOOD_FOR };
            if answer.at.elapsed() < good_for {
                return answer.clone();
            }
        }
        let asked = self.services.iter().map(|(service, urls)| async move { (*service, self.ask(urls).await) });
        let mut merged = self.own.clone();
        let mut missing = Vec::new();
        for (service, document) in join_all(asked).await {
            match document {
                Some(document) => merge(&mut merged, document, service, &self.router),
                None => missing.push(service.name()),
            }
        }
        let document = serde_json::to_vec(&merged).unwrap_or_default().into();
        let answer = Answer { at: Instant::now(), document, missing: missing.join(", ") };
        *last = Some(answer.clone());
        answer
    }

    async fn ask(&self, urls: &[Url]) -> Option<Value> {
        for url in urls {
            let mut url = url.clone();
            url.set_path("/openapi.json");
            let Ok(answer) = self.http.get(url).timeout(ASK_TIMEOUT).send().await else { continue };
            if answer.status().is_success()
                && let Ok(document) = answer.json().await
            {
                return Some(document);
            }
        }
        None
    }
}

/// Adds a service's document to the merged one.
fn merge(merged: &mut Value, mut document: Value, service: Service, router: &Router) {
    rename_colliding_schemas(merged, &mut document, service);
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|path, item| is_let_through(router, path, item));
        paths.values_mut().for_each(|item| name_operations(item, service));
    }
    for section in ["paths", "components/schemas", "components/securitySchemes", "components/responses"] {
        let theirs = section.split('/').try_fold(&mut document, |at, key| at.get_mut(key));
        let Some(Value::Object(theirs)) = theirs.map(Value::take) else { continue };
        let Some(ours) = section_of(merged, section) else { continue };
        for (name, value) in theirs {
            ours.entry(name).or_insert(value);
        }
    }
    if let Some(Value::Array(tags)) = document.get_mut("tags").map(Value::take)
        && let Some(merged) = merged.as_object_mut()
        && let Value::Array(ours) = merged.entry("tags").or_insert_with(|| json!([]))
    {
        ours.extend(tags);
    }
}

/// Returns a section of the merged document, making it when there is none.
fn section_of<'m>(merged: &'m mut Value, section: &str) -> Option<&'m mut Map<String, Value>> {
    let step = |at: &'m mut Value, key| Some(at.as_object_mut()?.entry(key).or_insert_with(|| json!({})));
    section.split('/').try_fold(merged, step)?.as_object_mut()
}

fn is_let_through(router: &Router, path: &str, item: &mut Value) -> bool {
    let Some(entry) = router.find(path) else { return false };
    if let Some(operations) = item.as_object_mut() {
        operations.retain(|method, _| {
            let is_method =
                matches!(method.as_str(), "get" | "post" | "put" | "patch" | "delete" | "head" | "options" | "trace");
            !is_method || entry.route(&method.to_uppercase()).is_some()
        });
    }
    true
}

fn name_operations(item: &mut Value, service: Service) {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(Value::String(id)) = operation.get_mut("operationId") {
            *id = format!("{service}_{id}");
        }
    }
}

fn rename_colliding_schemas(merged: &Value, document: &mut Value, service: Service) {
    let pointer = "/components/schemas";
    let (Some(ours), Some(theirs)) = (merged.pointer(pointer), document.pointer(pointer).and_then(Value::as_object))
    else {
        return;
    };
    let collides = |(name, schema): &(&String, &Value)| ours.get(name).is_some_and(|known| known != *schema);
    let colliding: Vec<String> = theirs.iter().filter(collides).map(|(name, _)| name.clone()).collect();
    for name in colliding {
        let new_name = format!("{service}.{name}");
        if let Some(schemas) = document.pointer_mut(pointer).and_then(Value::as_object_mut)
            && let Some(schema) = schemas.remove(&name)
        {
            schemas.insert(new_name.clone(), schema);
        }
        refer(document, &format!("{SCHEMA_REF}{name}"), &format!("{SCHEMA_REF}{new_name}"));
    }
}

/// Changes every reference to `from` into one to `to`.
fn refer(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && reference == from
            {
                to.clone_into(reference);
            }
            object.values_mut().for_each(|value| refer(value, from, to));
        }
        Value::Array(array) => array.iter_mut().for_each(|value| refer(value, from, to)),
        _ => {}
    }
}

/// Documents `GET /openapi.json`.
#[utoipa::path(get, path = "/openapi.json", tag = "gateway", responses((status = 200, description = "This document")))]
pub fn openapi() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, field: &str) -> Value {
        let content = json!({ "schema": { "$ref": "#/components/schemas/View" } });
        json!({
            "paths": { path: { "get": { "operationId": "get", "responses": { "200": { "content": content } } } } },
            "components": { "schemas": { "View": { "properties": { field: {} } } } },
            "tags": [{ "name": field }],
        })
    }

    #[test]
    fn two_meanings_of_a_name_stay_apart() {
        let (router, mut merged) = (Router::new(), json!({ "openapi": "3.1.0" }));
        merge(&mut merged, document("/session/{id}", "a"), Service::Session, &router);
        merge(&mut merged, document("/memo/{id}", "b"), Service::Memo, &router);
        let schemas = &merged["components"]["schemas"];
        assert!(schemas["View"]["properties"]["a"].is_object() && schemas["memo.View"]["properties"]["b"].is_object());
        let operation = &merged["paths"]["/memo/{id}"]["get"];
        assert_eq!(operation["operationId"], "memo_get");
        assert_eq!(operation["responses"]["200"]["content"]["schema"]["$ref"], "#/components/schemas/memo.View");
        assert_eq!(merged["paths"]["/session/{id}"]["get"]["operationId"], "session_get");
        assert_eq!(merged["tags"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_let_through_is_not_shown() {
        let (router, mut merged) = (Router::new(), json!({}));
        merge(&mut merged, document("/internal/revocations", "a"), Service::Auth, &router);
        merge(&mut merged, document("/login", "a"), Service::Auth, &router);
        assert!(merged["paths"]["/internal/revocations"].is_null());
        assert_eq!(merged["paths"]["/login"], json!({}));
    }
}
