//! Every route of `maru-emotion`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{conversation, person, socket, step};

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(conversation::routes).configure(step::routes).configure(socket::routes).configure(person::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru emotion", description = "Conversations with a companion that streams its replies"),
    paths(
        conversation::create::create,
        conversation::show::show,
        conversation::list::list,
        step::generate::generate,
        step::list::list,
        socket::open
    ),
    components(schemas(socket::frames::ClientFrame, socket::frames::ServerFrame<'static>, domain::ids::UserId)),
    tags(
        (name = "conversations", description = "What somebody talks about with the companion"),
        (name = "steps", description = "The turns of a conversation, and replies as they are written")
    )
)]
pub struct Api;
