//! What a buyer reads of a reservation that is paid for.

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId},
    locale::{Locale, Text as Sentence},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    seat::store::{self as seats, ReservedSeat},
};

const PAID: Sentence = Sentence::new("결제가 완료되었습니다.", "The payment is complete.");

/// A reservation that is paid for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaidView {
    /// Always true.
    success: bool,
    /// For people.
    message: &'static str,
    payment: PaymentView,
    reservation: PaidReservationView,
}

/// What was paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    reservation_id: ReservationId,
    reservation_number: String,
    /// `naver_pay`, `kakao_pay`, `bank_transfer`, `toss_payments`.
    payment_method: Option<String>,
    /// KRW.
    total_amount: i64,
    paid_at: Instant,
    /// Whether the money was imaginary.
    sandbox: bool,
}

/// What was paid for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaidReservationView {
    id: ReservationId,
    reservation_number: String,
    /// KRW.
    total_amount: i64,
    /// `confirmed`, and later perhaps `cancelled`.
    status: String,
    /// `completed`, and later perhaps `refunded`.
    payment_status: String,
    event: PaidEventView,
    seats: Vec<PaidSeatView>,
    items: Vec<PaidItemView>,
}

/// Where and when.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaidEventView {
    id: EventId,
    title: String,
    venue: String,
    event_date: Instant,
}

/// A seat, at the price of that day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaidSeatView {
    seat_id: Uuid,
    seat_label: String,
    section: String,
    row_number: i32,
    seat_number: i32,
    /// KRW.
    price: i64,
}

/// Some tickets of one type, at the price of that day.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaidItemView {
    #[diesel(sql_type = SqlUuid)]
    ticket_type_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    ticket_type_name: Option<String>,
    #[diesel(sql_type = Integer)]
    quantity: i32,
    /// KRW.
    #[diesel(sql_type = BigInt)]
    unit_price: i64,
    /// KRW.
    #[diesel(sql_type = BigInt)]
    subtotal: i64,
}

impl From<ReservedSeat> for PaidSeatView {
    fn from(seat: ReservedSeat) -> Self {
        Self {
            seat_id: seat.id,
            seat_label: seat.seat_label,
            section: seat.section,
            row_number: seat.row_number,
            seat_number: seat.seat_number,
            price: seat.price,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    reservation_number: String,
    #[diesel(sql_type = BigInt)]
    total_amount: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Text)]
    payment_status: String,
    #[diesel(sql_type = Nullable<Text>)]
    payment_method: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    paid_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    provider: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    venue: String,
    #[diesel(sql_type = Timestamptz)]
    event_date: DateTime<Utc>,
}

/// Reads what was paid, and what for.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn paid(app: &App, conn: &mut AsyncPgConnection, id: ReservationId, locale: Locale) -> Outcome<PaidView> {
    let row = find(conn, id).await?;
    let seats = seats::list_reserved(conn, id).await?.into_iter().map(PaidSeatView::from).collect();
    // One that is not configured any more took real money, as far as anybody can tell.
    let provider = row.provider.as_deref().and_then(|name| app.payments.named(name).ok());
    let payment = PaymentView {
        reservation_id: id,
        reservation_number: row.reservation_number.clone(),
        payment_method: row.payment_method,
        total_amount: row.total_amount,
        paid_at: row.paid_at.into(),
        sandbox: provider.is_some_and(|provider| provider.is_sandbox()),
    };
    let reservation = PaidReservationView {
        id,
        reservation_number: row.reservation_number,
        total_amount: row.total_amount,
        status: row.status,
        payment_status: row.payment_status,
        event: PaidEventView {
            id: EventId(row.event_id),
            title: row.title,
            venue: row.venue,
            event_date: row.event_date.into(),
        },
        seats,
        items: list_items(conn, id).await?,
    };
    Ok(PaidView { success: true, message: PAID.in_locale(locale), payment, reservation })
}

/// A reservation without a captured payment cost nothing, or was confirmed by who runs the event.
async fn find(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<Row> {
    let found = sql_query(
        "SELECT r.reservation_number, r.total_amount, r.status, r.payment_status, \
         coalesce(p.method, r.payment_method) AS payment_method, coalesce(p.captured_at, r.updated_at) AS paid_at, \
         p.provider, e.id AS event_id, e.title, e.venue, e.event_date \
         FROM reservations r JOIN events e ON e.id = r.event_id \
         LEFT JOIN payments p ON p.reservation_id = r.id AND p.status = 'captured' WHERE r.id = $1",
    );
    found.bind::<SqlUuid, _>(id.0).prepared().get_result(conn).await.map_err(Problem::from)
}

async fn list_items(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<Vec<PaidItemView>> {
    let items = sql_query(
        "SELECT i.ticket_type_id, t.name AS ticket_type_name, i.quantity, i.unit_price, i.subtotal \
         FROM reservation_items i LEFT JOIN ticket_types t ON t.id = i.ticket_type_id \
         WHERE i.reservation_id = $1 ORDER BY t.price DESC, i.ticket_type_id",
    );
    Ok(items.bind::<SqlUuid, _>(id.0).prepared().load(conn).await?)
}
