//! Every route of `maru-emotion`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{conversation, flow, person, prompt, protocol, socket, step, summary};

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(conversation::routes)
        .configure(step::routes)
        .configure(socket::routes)
        .configure(person::routes)
        .configure(prompt::routes)
        .configure(summary::routes)
        .configure(flow::routes)
        .configure(protocol::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru emotion", description = "Conversations with a companion that streams its replies"),
    paths(
        conversation::create::create,
        conversation::show::show,
        conversation::delete::delete,
        conversation::end::end,
        conversation::list::list_own,
        conversation::list::list,
        summary::show::show,
        summary::memo::save,
        flow::show,
        protocol::show,
        prompt::show,
        prompt::set,
        prompt::unset,
        step::generate::generate,
        step::list::list,
        step::stop::stop,
        step::stream::stream,
        socket::open
    ),
    components(schemas(socket::said::ClientFrame, socket::frames::ServerFrame<'static>, socket::frames::TypedFrame<'static>, domain::ids::UserId)),
    tags(
        (name = "conversations", description = "What somebody talks about with the companion"),
        (name = "summary", description = "What a conversation came to"),
        (name = "prompt", description = "How somebody would like to be answered"),
        (name = "steps", description = "The turns of a conversation, and replies as they are written")
    )
)]
pub struct Api;
