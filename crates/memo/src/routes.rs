//! Every route of `maru-memo`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{attachments, memos, person};

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    // Forms before the JSON of the same routes.
    cfg.configure(attachments::routes).configure(memos::routes).configure(person::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru memo", description = "Memos and their files"),
    paths(
        memos::create::create, memos::list::list, memos::read::read, memos::update::update, memos::trash::delete,
        memos::trash::restore, memos::revisions::revisions, memos::daily::daily, memos::tags::tags,
        memos::stats::stats,
        attachments::begin::begin, attachments::complete::complete, attachments::open::open,
        attachments::remove::remove
    ),
    tags((name = "memos", description = "What a person kept"), (name = "attachments", description = "Files of a memo"))
)]
pub struct Api;
