//! A running service with events to sell, and a look behind its back.

use std::time::{Duration, Instant};

use chassis::{peers::Urls, pg::Pg};
use deadpool_redis::redis;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use domain::{
    ids::{EventId, Id, SeatId},
    principal::Service,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp, TestClient};
use ticketing::{
    admission_ticket::config::TicketConfig,
    app::MIGRATIONS,
    config::TicketingConfig,
    notice::{FIELD, Notice, STREAM},
    queue::config::QueueConfig,
    realtime::RealtimeConfig,
    seat::{
        layout::{LayoutConfig, Section},
        store,
    },
    verify,
};
use uuid::Uuid;

use crate::{line::SOON, payments};

/// Where seats are reserved.
pub(crate) const RESERVE: &str = "/api/v1/seats/reserve";
/// A sale that began an hour ago and ends tomorrow.
pub(crate) const ON_SALE: [&str; 3] = ["-1 hour", "1 day", "2 days"];

/// A service, its database and its callers.
pub(crate) struct House {
    pub(crate) stage: Stage,
    pub(crate) app: TestApp,
    pub(crate) pg: Pg,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Sets the stage for a house.
pub(crate) async fn stage() -> Stage {
    Stage::new(Service::Ticketing, MIGRATIONS).await
}

/// Asks again while the answer is 503: a service may be too busy to say, or still hold connections to a Redis that is gone.
pub(crate) async fn insistently(ask: impl AsyncFn() -> Answer) -> Answer {
    let until = Instant::now() + SOON;
    loop {
        let answer = ask().await;
        if answer.status != 503 || Instant::now() > until {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl House {
    /// Opens a service whose sweeper never comes round, so that only buyers move seats.
    pub(crate) async fn open() -> Self {
        Self::with(|_config| {}).await
    }

    /// Opens a service with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut TicketingConfig)) -> Self {
        Self::on(stage().await, change)
    }

    /// Opens a house on a stage, with other settings.
    pub(crate) fn on(stage: Stage, change: impl FnOnce(&mut TicketingConfig)) -> Self {
        let mut config = config(&stage);
        change(&mut config);
        let app = stage.serve(ticketing::build(config, stage.clock.clone()).unwrap());
        let pg = stage.pg();
        Self { stage, app, pg }
    }

    /// Starts another replica on the same database.
    pub(crate) fn replica(&self) -> TestApp {
        self.stage.serve(ticketing::build(config(&self.stage), self.stage.clock.clone()).unwrap())
    }

    /// Starts another replica on the same database, with other settings.
    pub(crate) fn replica_with(&self, change: impl FnOnce(&mut TicketingConfig)) -> TestApp {
        let mut config = config(&self.stage);
        change(&mut config);
        self.stage.serve(ticketing::build(config, self.stage.clock.clone()).unwrap())
    }

    /// Changes the database behind the service's back.
    pub(crate) async fn sql(&self, statements: &str) {
        self.pg.conn().await.unwrap().batch_execute(statements).await.unwrap();
    }

    /// Says whether the database refuses a statement.
    pub(crate) async fn refuses(&self, statement: &str) -> bool {
        self.pg.conn().await.unwrap().batch_execute(statement).await.is_err()
    }

    /// Reads one number, `SELECT ... AS number`.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let mut conn = self.pg.conn().await.unwrap();
        sql_query(query).get_result::<Number>(&mut conn).await.unwrap().number
    }

    /// Ends the connections to the database of a part of the service, as soon as it has some.
    pub(crate) async fn cut_connections(&self, application: &str) {
        let cut = format!(
            "SELECT count(pg_terminate_backend(pid)) AS number FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = '{application}'"
        );
        testkit::eventually(Duration::from_secs(10), || async { self.number(&cut).await >= 1 }).await;
    }

    /// Waits until somebody's statement is stopped by a lock that this connection holds.
    pub(crate) async fn somebody_waits_behind(&self, holder: &mut AsyncPgConnection) {
        let holder = sql_query("SELECT pg_backend_pid()::bigint AS number").get_result::<Number>(holder).await;
        let waiting = format!(
            "SELECT count(*) AS number FROM pg_stat_activity WHERE {}::int = ANY(pg_blocking_pids(pid))",
            holder.unwrap().number
        );
        testkit::eventually(Duration::from_secs(10), || async { self.number(&waiting).await == 1 }).await;
    }

    /// Makes an event; its sale opens, closes, and it takes place that long from now.
    pub(crate) async fn event(&self, title: &str, [opens, closes, takes_place]: [&str; 3]) -> EventId {
        let event = self.stage.clock.id::<EventId>();
        self.sql(&format!(
            "INSERT INTO events (id, organizer_id, title, artist_name, venue, address, event_date, sale_start_date, \
             sale_end_date) VALUES ('{event}', '{event}', '{title}', '마루 콰르텟', '마루홀', '서울 종로구', \
             now() + interval '{takes_place}', now() + interval '{opens}', now() + interval '{closes}')"
        ))
        .await;
        event
    }

    /// Gives an event one section of seats and returns them in order.
    pub(crate) async fn seats(&self, event: EventId, seats_per_row: i32) -> Vec<SeatId> {
        let section = Section { name: "A".to_owned(), rows: 1, seats_per_row, price: 50_000, start_row: 1 };
        let layout = LayoutConfig { sections: vec![section] };
        let config = serde_json::to_string(&layout).unwrap();
        self.sql(&format!(
            "INSERT INTO seat_layouts (id, name, total_seats, layout_config) \
             VALUES ('{event}', 'hall', {seats_per_row}, '{config}'); \
             UPDATE events SET seat_layout_id = id WHERE id = '{event}'"
        ))
        .await;
        let mut conn = self.pg.conn().await.unwrap();
        store::insert_missing(&mut conn, event, &layout.places(), || self.stage.clock.id()).await.unwrap();
        let seats = store::list(&mut conn, event).await.unwrap();
        seats.into_iter().map(|seat| SeatId(seat.id)).collect()
    }

    /// Makes an event on sale with that many seats.
    pub(crate) async fn seated_event(&self, seats: i32) -> (EventId, Vec<SeatId>) {
        let event = self.event("달빛 재즈", ON_SALE).await;
        (event, self.seats(event, seats).await)
    }

    /// Gives an event a ticket type.
    pub(crate) async fn ticket_type(&self, event: EventId, name: &str, price: i64, total: i32) -> Uuid {
        let id = self.stage.clock.uuid();
        self.sql(&format!(
            "INSERT INTO ticket_types (id, event_id, name, price, total_quantity) \
             VALUES ('{id}', '{event}', '{name}', {price}, {total})"
        ))
        .await;
        id
    }

    /// Lets the time of every hold pass, as the database sees it.
    pub(crate) async fn let_holds_end(&self) {
        self.sql(
            "UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second' WHERE status = 'pending'; \
             UPDATE seats s SET held_until = r.expires_at FROM reservations r \
             WHERE s.status = 'locked' AND r.id = s.reservation_id",
        )
        .await;
    }

    /// Fails the test unless all stock, seats, holds, limits and payments agree with each other.
    pub(crate) async fn assert_sound(&self) {
        let mut conn = self.pg.conn().await.unwrap();
        let findings = verify::check(&mut conn, 10).await.unwrap();
        let broken: Vec<_> = findings.into_iter().filter(|finding| finding.count != 0).collect();
        assert_eq!(broken, []);
    }

    /// Returns what was told to all replicas so far.
    pub(crate) async fn heard(&self) -> Vec<Notice> {
        let redis = self.stage.redis();
        let range = redis::cmd("XRANGE").arg(redis.key(STREAM)).arg("-").arg("+").to_owned();
        let entries: Vec<(String, Vec<(String, String)>)> = redis.run(&range).await.unwrap();
        let fields = entries.into_iter().flat_map(|(_, fields)| fields).filter(|(name, _)| name == FIELD);
        fields.map(|(_, text)| serde_json::from_str(&text).unwrap()).collect()
    }
}

/// A configuration for a stage: the sweeper looks once, at the start, and then not within any test's time.
pub(crate) fn config(stage: &Stage) -> TicketingConfig {
    TicketingConfig {
        base: stage.base_config(),
        port: 0,
        hold_ttl: Duration::from_mins(5),
        hold_sweep_ms: 3_600_000,
        max_seats_per_reservation: 4,
        max_tickets_per_reservation: 10,
        max_per_user_event: 10,
        payments: payments::config(None),
        tickets: TicketConfig { ticket_secret: SecretString::from("t".repeat(48)), ticket_secret_previous: None },
        timezone: chrono_tz::Asia::Seoul,
        queue: QueueConfig {
            queue_tick_ms: 50,
            queue_ttl: Duration::from_mins(5),
            queue_claim_ttl: Duration::from_mins(1),
            queue_recovery: Duration::from_millis(300),
        },
        realtime: RealtimeConfig {
            signing: stage.signing_config(),
            auth_urls: Urls(vec!["http://127.0.0.1:1".parse().unwrap()]),
            socket_ping_interval: Duration::from_secs(25),
            socket_ping_timeout: Duration::from_secs(20),
        },
    }
}

/// Writes the body of a reservation.
pub(crate) fn wish(event: EventId, seats: &[SeatId]) -> Value {
    json!({"eventId": event, "seatIds": seats})
}

/// Reserves seats.
pub(crate) async fn reserve(buyer: &TestClient, event: EventId, seats: &[SeatId]) -> Answer {
    buyer.post(RESERVE, wish(event, seats)).await
}

/// Where tickets are ordered.
pub(crate) const ORDER: &str = "/api/v1/reservations";

/// Writes the body of an order.
pub(crate) fn basket(event: EventId, items: &[(Uuid, i32)]) -> Value {
    let items: Vec<_> = items.iter().map(|(id, quantity)| json!({"ticketTypeId": id, "quantity": quantity})).collect();
    json!({"eventId": event, "items": items})
}

/// Orders tickets.
pub(crate) async fn order(buyer: &TestClient, event: EventId, items: &[(Uuid, i32)]) -> Answer {
    buyer.post(ORDER, basket(event, items)).await
}

/// Reads an id.
pub(crate) fn id<I: Id>(value: &Value) -> I {
    I::from_uuid(value.as_str().unwrap().parse().unwrap())
}

/// Fails the test unless `work` locks the two seats in the order of their ids: it must wait for the first without
/// holding the second.
pub(crate) async fn assert_locks_in_order<T>(house: &House, seats: &[SeatId], work: impl Future<Output = T>) -> T {
    let mut ordered = seats.to_vec();
    ordered.sort();
    let mut rival = house.pg.conn().await.unwrap();
    let lock = |seat: SeatId| format!("SELECT FROM seats WHERE id = '{seat}' FOR UPDATE NOWAIT");
    rival.batch_execute(&format!("BEGIN; {}", lock(ordered[0]))).await.unwrap();
    let check = async {
        house.somebody_waits_behind(&mut rival).await;
        rival.batch_execute(&lock(ordered[1])).await.unwrap();
        rival.batch_execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(work, check).0
}
