//! Layouts of halls that events can take place in. An event gets its own copy of the seats when it is made, so a layout
//! never changes and belongs to nobody.

pub mod create;
pub mod list;
pub mod sections;
mod store;

use actix_web::web::{self, ServiceConfig};

use crate::routes::PREFIXES;

/// Mounts the routes of layouts.
pub fn routes(cfg: &mut ServiceConfig) {
    for prefix in PREFIXES {
        cfg.service(web::resource(format!("{prefix}/seats/layouts")).get(list::list_layouts))
            .service(web::resource(format!("{prefix}/admin/layouts")).post(create::create_layout));
    }
}
