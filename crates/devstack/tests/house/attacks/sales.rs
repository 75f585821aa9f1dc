//! The operations of the sale, for the table of [operations](super::operations).

use serde_json::json;

use super::{
    operations::{Entry, Reach, object, own, public, shown},
    things::Things,
};

/// What anybody may look at.
pub(super) fn looks(things: &Things) -> Vec<Entry> {
    let Things { event, ticket_type, payment, .. } = things;
    let why = "what is on sale is for everybody to see";
    let said = json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "orderId": payment } });
    vec![
        public("GET /api/v1/events", why),
        shown("GET /api/v1/events/{event_id}", event, why),
        shown("GET /api/v1/seats/events/{event_id}", event, why),
        shown("GET /api/v1/tickets/event/{event_id}", event, why),
        shown("GET /api/v1/tickets/availability/{ticket_type_id}", ticket_type, why),
        public("GET /api/v1/seats/layouts", "halls are no secret"),
        public("GET /api/v1/payments/methods", "asked for before somebody signs in"),
        public("POST /api/v1/payments/webhooks/toss", "nothing that it says is believed").with(said),
    ]
}

/// What somebody reserves, pays for and gives back.
pub(super) fn purchases(things: &Things) -> Vec<Entry> {
    let Things { event, seat, reservation, stage, stage_type, order, amount, payment, .. } = things;
    let items = json!([{ "ticketTypeId": stage_type, "quantity": 1 }]);
    let wait = json!({ "eventId": stage, "ticketTypeId": stage_type, "quantity": 1 });
    let consent = json!({ "paymentKey": format!("consent-{payment}"), "orderId": payment, "amount": amount });
    let id = &[order.as_str()];
    vec![
        own("POST /api/v1/seats/reserve").with(json!({ "eventId": event, "seatIds": [seat] })).works(201),
        own("POST /api/v1/seats/best").with(json!({ "eventId": event, "quantity": 1 })).works(201),
        own("POST /api/v1/reservations").with(json!({ "eventId": stage, "items": items })).works(201),
        object("GET /api/v1/seats/reservation/{reservation_id}", &[reservation]),
        object("GET /api/v1/reservations/{reservation_id}", &[reservation]),
        own("GET /api/v1/reservations/my"),
        own("GET /api/v1/reservations/waiting-list"),
        own("POST /api/v1/reservations/waiting-list").with(wait).works(409),
        of_the_caller("DELETE /api/v1/reservations/waiting-list/{ticket_type_id}", stage_type).works(404),
        object("POST /api/v1/payments/prepare", &[]).with(json!({ "reservationId": order, "amount": amount })),
        object("POST /api/v1/payments/confirm", &[]).with(consent),
        object("POST /api/v1/payments/process", &[])
            .with(json!({ "reservationId": order, "paymentMethod": "toss_payments" })),
        object("GET /api/v1/reservations/{reservation_id}/tickets", id),
        object("POST /api/v1/reservations/{reservation_id}/cancel", id),
    ]
}

/// Somebody's place in line: the event is everybody's, the place is the caller's.
pub(super) fn line(things: &Things) -> Vec<Entry> {
    let Things { event, .. } = things;
    vec![
        of_the_caller("POST /api/v1/queue/check/{event_id}", event).with(json!({})),
        of_the_caller("GET /api/v1/queue/status/{event_id}", event),
        of_the_caller("POST /api/v1/queue/heartbeat/{event_id}", event),
        of_the_caller("POST /api/v1/queue/defer/{event_id}", event).with(json!({ "places": 1 })).works(409),
        of_the_caller("GET /api/v1/queue/audit/{event_id}", event),
        of_the_caller("POST /api/v1/queue/leave/{event_id}", event),
    ]
}

/// What organizers do with their events, each to one that only `things` has bought for.
pub(super) fn organizers(things: &Things) -> Vec<Entry> {
    let Things { stage, stage_type, passing_stage, order, reservation, .. } = things;
    let event = json!({
        "title": "마루 낭독회", "venue": "마루홀", "eventDate": "2090-12-25T18:00",
        "saleStartDate": "2090-01-01T00:00", "saleEndDate": "2090-12-25T17:00",
    });
    let sections = json!([{ "name": "A", "rows": 1, "seatsPerRow": 2, "price": 1_000 }]);
    let taken = json!({ "name": STAGE_TYPE, "price": 1_000, "totalQuantity": 5 });
    let paid = json!({ "status": "confirmed" });
    vec![
        organizer("POST /api/v1/admin/events").with(event).works(201),
        organizer("POST /api/v1/admin/layouts")
            .with(json!({ "name": "작은 방", "layoutConfig": { "sections": sections } }))
            .works(201),
        organizer("GET /api/v1/admin/reservations"),
        organizer("GET /api/v1/admin/dashboard/stats"),
        organizer("POST /api/v1/admin/checkin").with(json!({ "code": order })).works(404),
        run("PATCH /api/v1/admin/reservations/{reservation_id}/status", reservation).with(paid),
        run("PUT /api/v1/admin/events/{event_id}", stage).with(json!({ "description": "두 시간" })),
        run("POST /api/v1/admin/events/{event_id}/tickets", stage).with(taken).works(409),
        run("PUT /api/v1/admin/tickets/{ticket_type_id}", stage_type).with(json!({ "description": "자유석" })),
        run("GET /api/v1/queue/admin/{event_id}", stage),
        run("PUT /api/v1/queue/admin/{event_id}", stage).with(json!({ "mode": "auto" })),
        run("POST /api/v1/queue/admin/clear/{event_id}", stage),
        run("POST /api/v1/admin/events/{event_id}/cancel", stage),
        run("DELETE /api/v1/admin/events/{event_id}", passing_stage),
    ]
}

/// The name of the only ticket type of such an event.
pub(super) const STAGE_TYPE: &str = "입장권";

fn of_the_caller(name: &'static str, id: &str) -> Entry {
    Entry { reach: Reach::Own, ..object(name, &[id]) }
}

fn organizer(name: &'static str) -> Entry {
    Entry { reach: Reach::Organizer { others: None }, ..own(name) }
}

fn run(name: &'static str, id: &str) -> Entry {
    Entry { reach: Reach::Organizer { others: Some(404) }, ..object(name, &[id]) }
}
