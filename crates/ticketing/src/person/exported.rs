//! How what belongs to a person's orders is shown to them.

use domain::time::Instant;
use serde::Serialize;
use uuid::Uuid;

use super::belongings::{OrderedItem, Payment, Ticket, WaitingPlace};

/// Some tickets of a type.
#[derive(Serialize)]
pub(super) struct ExportedItem {
    ticket_type_id: Uuid,
    ticket_type_name: Option<String>,
    quantity: i32,
    /// KRW, as it was when they were ordered.
    unit_price: i64,
}

/// Money for a reservation.
#[derive(Serialize)]
pub(super) struct ExportedPayment {
    id: Uuid,
    order_id: String,
    method: String,
    /// KRW.
    amount: i64,
    status: String,
    created_at: Instant,
    captured_at: Option<Instant>,
    refunded_at: Option<Instant>,
}

/// What one person comes in with.
#[derive(Serialize)]
pub(super) struct ExportedTicket {
    id: Uuid,
    seat_id: Option<Uuid>,
    ticket_type_id: Option<Uuid>,
    used_at: Option<Instant>,
}

/// A place in the line for tickets that come back.
#[derive(Serialize)]
pub(super) struct ExportedPlace {
    event_id: Uuid,
    ticket_type_id: Uuid,
    quantity: i32,
    created_at: Instant,
}

impl From<OrderedItem> for ExportedItem {
    fn from(item: OrderedItem) -> Self {
        Self {
            ticket_type_id: item.ticket_type_id,
            ticket_type_name: item.ticket_type_name,
            quantity: item.quantity,
            unit_price: item.unit_price,
        }
    }
}

impl From<Payment> for ExportedPayment {
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.id,
            order_id: payment.order_id,
            method: payment.method,
            amount: payment.amount,
            status: payment.status,
            created_at: payment.created_at.into(),
            captured_at: payment.captured_at.map(Instant),
            refunded_at: payment.refunded_at.map(Instant),
        }
    }
}

impl From<Ticket> for ExportedTicket {
    fn from(ticket: Ticket) -> Self {
        Self {
            id: ticket.id,
            seat_id: ticket.seat_id,
            ticket_type_id: ticket.ticket_type_id,
            used_at: ticket.used_at.map(Instant),
        }
    }
}

impl From<WaitingPlace> for ExportedPlace {
    fn from(place: WaitingPlace) -> Self {
        Self {
            event_id: place.event_id,
            ticket_type_id: place.ticket_type_id,
            quantity: place.quantity,
            created_at: place.created_at.into(),
        }
    }
}
