//! Layouts of halls that events can take place in. An event gets its own copy of the seats when it is made, so a layout
//! never changes and belongs to nobody.

pub mod create;
pub mod list;
pub mod sections;
mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of layouts.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/seats/layouts").get(list::list_layouts))
        .service(web::resource("/admin/layouts").post(create::create_layout));
}
