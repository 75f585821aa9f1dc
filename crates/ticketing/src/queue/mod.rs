//! The waiting room: who may come in and buy, in strict order.
//!
//! Redis keeps the order, and one script makes every step of it: nobody is let in twice, past somebody else, or beyond
//! the threshold, whichever replica asks. PostgreSQL keeps how each room is run, what numbers were given, and the log of
//! who was let in. When Redis loses its memory, people bring their places back with signed tickets, and newcomers get
//! numbers behind all of them. While Redis is away nobody comes in, and nobody loses a place for it.

pub mod admin;
pub mod audit;
pub mod check;
pub mod config;
pub mod defer;
pub mod gate;
pub mod heartbeat;
pub mod leave;
mod ledger;
pub mod log;
mod presence;
mod room;
mod rooms;
mod script;
pub mod status;
mod store;
mod tick;
pub mod ticket;
pub mod view;

use actix_web::web::{self, ServiceConfig};
use chassis::{lifecycle::Lifecycle, problem::Outcome};
use domain::ids::{EventId, ReservationId, UserId};

pub use rooms::WaitingRooms;

use crate::app::App;

/// Mounts the routes of the waiting room.
pub fn routes(cfg: &mut ServiceConfig) {
    let at = |name: &str| web::resource(format!("/queue/{name}/{{event_id}}"));
    cfg.service(at("check").post(check::check))
        .service(at("status").get(status::show_status))
        .service(at("heartbeat").post(heartbeat::heartbeat))
        .service(at("leave").post(leave::leave))
        .service(at("defer").post(defer::defer))
        .service(at("audit").get(audit::show_audit))
        .service(at("admin/clear").post(admin::clear::clear_room))
        .service(at("admin").get(admin::show::show_room).put(admin::change::change_room));
}

/// Starts what looks after waiting rooms.
pub fn start(lifecycle: &Lifecycle, rooms: &WaitingRooms) {
    tick::start(lifecycle, rooms.clone());
    ledger::start(lifecycle, rooms.clone());
}

/// Gives the place of somebody who has bought to the next, in the background: they have what they came for, and when the
/// place cannot be given on now, time does.
pub fn bought(app: &App, reservation: ReservationId) {
    let here = app.clone();
    app.ground.lifecycle.spawn("queue_bought", async move {
        let given_on = async {
            let owner = store::find_owner(&mut *here.ground.pg.conn().await?, reservation).await?;
            let Some((event_id, user_id)) = owner else { return Ok(()) };
            left(&here, event_id, user_id).await
        };
        if let Err(problem) = given_on.await {
            tracing::warn!(%reservation, code = problem.code(), "a place in a waiting room was not given on");
        }
    });
}

/// Gives the place of somebody inside to the next. Who waits again by now does so for another purchase, and goes on.
///
/// # Errors
/// 503 while Redis is away; time gives the place on then.
pub async fn left(app: &App, event_id: EventId, user_id: UserId) -> Outcome<()> {
    let (room, facts) = app.queue.event(event_id).await?;
    if rooms::is_off(&facts) { Ok(()) } else { app.queue.leave(&room, user_id, script::Leaving::Inside).await }
}
