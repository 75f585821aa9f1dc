//! `GET /api/v1/payments/methods`.

use actix_web::{HttpResponse, web::Data};
use chassis::{edge::Language, principal::Anyone, problem::Outcome};
use domain::payment::PaymentMethod;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// The ways to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct MethodsView {
    /// In the order in which they are offered; empty where nothing can be paid for.
    methods: Vec<MethodView>,
}

/// A way to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct MethodView {
    id: PaymentMethod,
    /// What people call it.
    name: &'static str,
    /// Whether the money is imaginary.
    sandbox: bool,
}

/// Lists the ways to pay.
#[utoipa::path(
    get, path = "/api/v1/payments/methods", tag = "payments", responses((status = 200, body = MethodsView))
)]
pub async fn list_methods(app: Data<App>, _caller: Anyone, language: Language) -> Outcome<HttpResponse> {
    let provider = app.payments.find_active();
    let methods = provider.into_iter().flat_map(|provider| {
        let sandbox = provider.is_sandbox();
        provider.methods().iter().map(move |id| MethodView { id: *id, name: id.label().in_locale(language.0), sandbox })
    });
    Ok(HttpResponse::Ok().json(MethodsView { methods: methods.collect() }))
}
