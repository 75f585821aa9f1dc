//! Memos and their files.

use domain::principal::Service;

use super::{
    Access::{self, Person},
    Methods, Route, UPLOAD,
};

const fn on(methods: Methods, pattern: &'static str, access: Access) -> Route {
    Route::new(methods, pattern, Service::Memo, access)
}

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const PUT: Methods = Methods::PUT;
const DELETE: Methods = Methods::DELETE;

/// Ten recordings of 100 MB each and the form around them; the service judges each file.
const FORM_BODY: u64 = 1_001 * 1024 * 1024;

pub(super) const ROUTES: &[Route] = &[
    on(POST, "/memo", Person).body(FORM_BODY).patience(UPLOAD),
    on(GET, "/memo/list", Person),
    on(GET, "/memo/daily", Person),
    on(GET, "/memo/tags", Person),
    on(GET, "/memo/stats", Person),
    on(GET.and(DELETE), "/memo/{id}", Person),
    on(PUT, "/memo/{id}", Person).body(FORM_BODY).patience(UPLOAD),
    on(POST, "/memo/{id}/restore", Person),
    on(GET, "/memo/{id}/revisions", Person),
    on(POST, "/memo/{id}/attachments", Person),
    on(GET.and(DELETE), "/memo/{id}/attachments/{aid}", Person),
    on(POST, "/memo/{id}/attachments/{aid}/complete", Person),
];
