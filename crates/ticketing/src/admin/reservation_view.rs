//! A reservation as those who run its event see it.

use std::collections::HashMap;

use chassis::problem::Outcome;
use diesel_async::AsyncPgConnection;
use domain::{seat_hold::ReservationStatus, time::Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::reservation_store::{self, ItemRow, ReservationRow};

/// A reservation with its event and what it consists of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ManagedReservationView {
    id: Uuid,
    reservation_number: String,
    /// Whose it is; a random id when that person is gone.
    user_id: Uuid,
    event_id: Uuid,
    event_title: String,
    venue: String,
    event_date: Instant,
    /// KRW.
    total_amount: i64,
    /// `expired` from the instant its time has passed.
    status: ReservationStatus,
    /// `pending`, `completed`, `failed` or `refunded`.
    payment_status: String,
    payment_method: Option<String>,
    expires_at: Instant,
    created_at: Instant,
    items: Vec<ManagedItemView>,
}

/// One seat, or some tickets of a type.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedItemView {
    /// Absent for a seat.
    ticket_type_name: Option<String>,
    quantity: i32,
    /// KRW, as it was when it was ordered.
    unit_price: i64,
    /// KRW.
    subtotal: i64,
    /// Absent for tickets.
    seat_label: Option<String>,
    /// Absent for tickets.
    section: Option<String>,
}

impl From<ItemRow> for ManagedItemView {
    fn from(item: ItemRow) -> Self {
        Self {
            subtotal: i64::from(item.quantity) * item.unit_price,
            ticket_type_name: item.ticket_type_name,
            quantity: item.quantity,
            unit_price: item.unit_price,
            seat_label: item.seat_label,
            section: item.section,
        }
    }
}

impl ManagedReservationView {
    fn new(row: ReservationRow, items: Vec<ManagedItemView>) -> Self {
        Self {
            status: ReservationStatus::at(row.now, &row.status, row.expires_at),
            id: row.id,
            reservation_number: row.reservation_number,
            user_id: row.user_id,
            event_id: row.event_id,
            event_title: row.event_title,
            venue: row.venue,
            event_date: row.event_date.into(),
            total_amount: row.total_amount,
            payment_status: row.payment_status,
            payment_method: row.payment_method,
            expires_at: row.expires_at.into(),
            created_at: row.created_at.into(),
            items,
        }
    }

    /// Reads what some reservations consist of.
    pub(super) async fn complete(conn: &mut AsyncPgConnection, rows: Vec<ReservationRow>) -> Outcome<Vec<Self>> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut items: HashMap<Uuid, Vec<ManagedItemView>> = HashMap::new();
        for item in reservation_store::list_items(conn, &ids).await? {
            items.entry(item.reservation_id).or_default().push(item.into());
        }
        Ok(rows
            .into_iter()
            .map(|row| {
                let own = items.remove(&row.id).unwrap_or_default();
                Self::new(row, own)
            })
            .collect())
    }
}
