//! How `maru-ticketing` is put together.

use std::{sync::Arc, time::Duration};

use chassis::{
    cli::Program, clock::Clock, idempotency, outbox::Outbox, pg::PgConfig, problem::Outcome, server::Bound,
    service::Foundation, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::{ids::EventId, principal::Service};
use utoipa::OpenApi as _;

use crate::{
    admin::settlement::{self, Settlement},
    admission_ticket::code::Codes,
    command,
    config::TicketingConfig,
    event::{catalogue::Catalogue, watch},
    notice::Notices,
    order::{batch::Order, lane::Lane},
    payment::{self, Payments},
    queue::{self, WaitingRooms},
    realtime, routes,
    seat::{batch::Choice, expiry, shed::Shed},
};

/// The schema of `maru_ticketing`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/ticketing");

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<TicketingConfig>,
    /// What must be told after a commit.
    pub outbox: Outbox,
    /// The way to the other replicas.
    pub notices: Notices,
    /// The way of orders into the database.
    pub orders: Lane<Order>,
    /// The way of holds of numbered seats into the database.
    pub seats: Lane<Choice>,
    /// Where seats are noted that somebody is at.
    pub shed: Arc<Shed>,
    /// Who takes the money.
    pub payments: Payments,
    /// The codes of tickets.
    pub codes: Codes,
    /// What is kept of the catalogue.
    pub catalogue: Catalogue,
    /// Wakes the worker that lets go of the orders of cancelled events.
    pub settlement: Settlement,
    /// The waiting rooms.
    pub queue: WaitingRooms,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: TicketingConfig, clock: Clock) -> Outcome<Bound> {
    let app = App::new(config, clock)?;
    idempotency::prune(&app.ground.lifecycle, app.ground.pg.clone());
    app.notices.relay(&app.ground.lifecycle, app.ground.pg.clone(), &app.outbox);
    watch::start(&app.ground.lifecycle, app.ground.redis.clone(), app.catalogue.clone());
    let pause = Duration::from_millis(app.config.hold_sweep_ms);
    expiry::start(&app.ground.lifecycle, app.ground.pg.clone(), app.outbox.clone(), pause);
    app.orders.start(&app.ground.lifecycle, &app.outbox);
    app.seats.start(&app.ground.lifecycle, &app.outbox);
    queue::start(&app.ground.lifecycle, &app.queue);
    payment::refund::relay(&app);
    payment::reconcile::start(&app, Duration::from_millis(app.config.payments.payment_sweep_ms));
    settlement::start(&app.ground.lifecycle, app.ground.pg.clone(), app.outbox.clone(), app.settlement.clone());
    let sockets = realtime::start(&app)?;
    let data = actix_web::web::Data::new(app.clone());
    app.ground.listen(app.config.port, app.ground.health(), routes::Api::openapi(), move |cfg| {
        cfg.app_data(data.clone()).app_data(sockets.clone()).configure(routes::configure);
    })
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(config: TicketingConfig, clock: Clock) -> Outcome<Self> {
        let outbox = Outbox::new(clock.clone());
        let ground = Foundation::new(Service::Ticketing, config.base.clone(), clock)?;
        let notices = Notices::new(ground.redis.clone());
        let orders = Lane::new(&config.base.pg, "ticketing-orders", config.terms())?;
        let seats = Lane::new(&config.base.pg, "ticketing-seats", config.terms())?;
        let payments = config.payments.payments(config.base.common.environment)?;
        let codes = config.tickets.codes();
        let queue = WaitingRooms::new(&ground, notices.clone(), config.queue.clone(), config.tickets.queue_mac());
        let (config, shed) = (Arc::new(config), Arc::default());
        let (catalogue, settlement) = (Catalogue::new(), Settlement::default());
        Ok(Self { ground, config, outbox, notices, orders, seats, shed, payments, codes, catalogue, settlement, queue })
    }

    /// Lets everybody know of a change of an event that has just been committed: this process at once, the others by the
    /// notice that was written with it.
    pub(crate) fn changed(&self, event_id: EventId) {
        self.catalogue.forget(event_id);
        self.outbox.wake();
    }
}

/// The binary.
#[derive(Debug)]
pub struct Ticketing;

impl Program for Ticketing {
    type Config = TicketingConfig;
    type Command = command::Command;

    const SERVICE: Service = Service::Ticketing;
    const BINARY: &'static str = "maru-ticketing";
    const ABOUT: &'static str = "Events, seats and reservations";

    fn telemetry(config: &TicketingConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &TicketingConfig) -> u16 {
        config.port
    }

    fn database(config: &TicketingConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: TicketingConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: TicketingConfig, command: command::Command) -> Outcome<()> {
        command::run(App::new(config, Clock::system())?, command).await
    }
}
