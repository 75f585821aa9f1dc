//! One of everything that somebody can have.

use reqwest::Method;
use serde_json::{Value, json};

use super::sales::STAGE_TYPE;
use crate::person::{PASSWORD, PICTURE, Person};

/// Somebody's things, by their ids.
#[derive(Clone)]
pub(super) struct Things {
    pub(super) email: String,
    pub(super) user: String,
    pub(super) session: String,
    /// Its code.
    pub(super) code: String,
    /// A guest in it.
    pub(super) participant: String,
    /// Another session, which may go.
    pub(super) passing: String,
    /// A focus session.
    pub(super) focus: String,
    pub(super) conversation: String,
    /// Something that was said in it, and answered.
    pub(super) step: String,
    /// Another conversation, which may go.
    pub(super) passing_conversation: String,
    pub(super) memo: String,
    /// Uploaded, and not yet completed.
    pub(super) attachment: String,
    /// A seat, held.
    pub(super) reservation: String,
    /// The demo organizer's event that nobody else buys for.
    pub(super) stage: String,
    pub(super) stage_type: String,
    /// Another one, which may go.
    pub(super) passing_stage: String,
    /// Tickets of it, held, and a payment that is prepared for them.
    pub(super) order: String,
    pub(super) amount: i64,
    pub(super) payment: String,
    /// Another login than the one that is used.
    pub(super) login: String,
    /// Everybody's: on sale, with seats.
    pub(super) event: String,
    pub(super) ticket_type: String,
    pub(super) seat: String,
    /// What the owner wrote, and nobody else.
    pub(super) said: String,
}

/// The days of every memo.
pub(super) const DAYS: &str = "tz=UTC&start_date=2026-06-01&end_date=2027-05-31";

impl Things {
    /// Makes one of everything for somebody who was just registered, with events of `organizer` to go to.
    pub(super) async fn of(person: &Person, email: &str, organizer: &Person) -> Self {
        let said = format!("written by {email} and nobody else");
        let (session, code) = open_session(person, &said).await;
        let path = format!("/api/v1/sessions/code/{code}/join");
        let joined = person.signed_out().post(&path, json!({ "display_name": email })).await.ok(201);
        let passing = person.post("/api/v1/sessions", json!({ "title": said })).await.ok(201).text("/id");
        let wish = json!({ "subject": said, "duration": 25 });
        let focus = person.post("/session", wish).await.ok(201).text("/id");
        let conversation = person.post("/emotion/sessions", json!({ "topic": said })).await.ok(201).text("/session_id");
        let talk = json!({ "session_id": conversation, "user_input": said });
        let step = person.post("/emotion/steps/generate", talk).await.ok(200).text("/step_id");
        let passing_conversation = person.post("/emotion/sessions", json!({})).await.ok(201).text("/session_id");
        let memo = person.post("/memo", json!({ "content": said, "tags": [email] })).await.ok(201).text("/id");
        let attachment = upload(person, &memo).await;
        let (event, seats) = event_with_seats(person).await;
        let types = person.get(&format!("/api/v1/tickets/event/{event}")).await.ok(200);
        let wish = json!({ "eventId": event, "seatIds": [seats.first().expect("a seat")] });
        let reservation = person.post("/api/v1/seats/reserve", wish).await.ok(201).text("/reservation/id");
        let (stage, stage_type) = put_on(organizer).await;
        let items = json!([{ "ticketTypeId": stage_type, "quantity": 1 }]);
        let order = person.post("/api/v1/reservations", json!({ "eventId": stage, "items": items })).await.ok(201);
        let amount = order.json["reservation"]["totalAmount"].as_i64().expect("an amount");
        let order = order.text("/reservation/id");
        let payment =
            person.post("/api/v1/payments/prepare", json!({ "reservationId": order, "amount": amount })).await.ok(200);
        let (passing_stage, _) = put_on(organizer).await;
        let login = second_login(person, email).await;
        Self {
            email: email.to_owned(),
            user: person.id.clone(),
            session,
            code,
            participant: joined.text("/participant/id"),
            passing,
            focus,
            conversation,
            step,
            passing_conversation,
            memo,
            attachment,
            reservation,
            stage,
            stage_type,
            passing_stage,
            order,
            amount,
            payment: payment.text("/orderId"),
            login,
            event,
            ticket_type: first_id(&types.json).expect("a ticket type"),
            seat: seats.last().expect("a seat").clone(),
            said,
        }
    }

    /// Returns ids of which nobody has anything.
    pub(super) fn unknown(&self) -> Self {
        let nothing = |last: u8| format!("0190aaaa-bbbb-7ccc-8ddd-0000000000{last:02x}");
        Self {
            email: "nobody@example.com".to_owned(),
            user: nothing(1),
            session: nothing(2),
            code: "999999".to_owned(),
            participant: nothing(8),
            passing: nothing(9),
            focus: nothing(10),
            conversation: nothing(3),
            step: nothing(15),
            passing_conversation: nothing(16),
            memo: nothing(4),
            attachment: nothing(5),
            reservation: nothing(6),
            login: nothing(7),
            stage: nothing(11),
            stage_type: nothing(12),
            passing_stage: nothing(13),
            order: nothing(14),
            payment: "maru_nothing_at_all".to_owned(),
            said: "written by nobody".to_owned(),
            ..self.clone()
        }
    }

    /// Returns by what an answer would give away that somebody has these things.
    pub(super) fn traces(&self) -> [&str; 16] {
        let Self {
            email,
            user,
            session,
            participant,
            passing,
            focus,
            conversation,
            step,
            passing_conversation,
            memo,
            attachment,
            reservation,
            order,
            payment,
            login,
            said,
            ..
        } = self;
        [
            email,
            user,
            session,
            participant,
            passing,
            focus,
            conversation,
            step,
            passing_conversation,
            memo,
            attachment,
            reservation,
            order,
            payment,
            login,
            said,
        ]
    }
}

/// Makes a session that people may join; returns its id and its code.
async fn open_session(person: &Person, title: &str) -> (String, String) {
    let made = person.post("/api/v1/sessions", json!({ "title": title })).await.ok(201);
    let activate = format!("/api/v1/sessions/{}/activate", made.text("/id"));
    person.post(&activate, json!({})).await.ok(200);
    (made.text("/id"), made.text("/session_code"))
}

/// Uploads a picture for a memo, and does not complete it.
async fn upload(person: &Person, memo: &str) -> String {
    let wish = json!({ "filename": "a.png", "content_type": "image/png", "size": PICTURE.len() });
    let slot = person.post(&format!("/memo/{memo}/attachments"), wish).await.ok(201);
    person.upload(&slot, PICTURE).await;
    slot.text("/attachment_id")
}

/// Puts an event on that has one ticket type; returns the ids of both.
async fn put_on(organizer: &Person) -> (String, String) {
    let event = json!({
        "title": "작은 무대", "venue": "마루홀", "eventDate": "2090-12-25T18:00",
        "saleStartDate": "2020-01-01T00:00", "saleEndDate": "2090-12-25T17:00",
        "ticketTypes": [{ "name": STAGE_TYPE, "price": 1_000, "totalQuantity": 50 }],
    });
    let made = organizer.post("/api/v1/admin/events", event).await.ok(201);
    (made.text("/event/id"), made.text("/ticketTypes/0/id"))
}

async fn event_with_seats(person: &Person) -> (String, Vec<String>) {
    let events = person.get("/api/v1/events?status=on_sale").await.ok(200);
    for event in events.json["events"].as_array().expect("events") {
        let id = event["id"].as_str().expect("an id").to_owned();
        let map = person.get(&format!("/api/v1/seats/events/{id}")).await;
        let seats = map.json["seats"].as_array().cloned().unwrap_or_default();
        let free = seats.iter().filter(|seat| seat["status"] == "available").filter_map(|seat| seat["id"].as_str());
        let free: Vec<String> = free.map(str::to_owned).collect();
        if free.len() > 1 {
            return (id, free);
        }
    }
    panic!("no demo event with seats is on sale");
}

fn first_id(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => {
            object.get("id").and_then(Value::as_str).map(str::to_owned).or_else(|| object.values().find_map(first_id))
        }
        Value::Array(array) => array.iter().find_map(first_id),
        _ => None,
    }
}

async fn second_login(person: &Person, email: &str) -> String {
    let other = person.signed_out();
    let answer = other.post("/login", json!({ "email": email, "password": PASSWORD })).await.ok(200);
    login_of(&answer.text("/access_token"))
}

/// Reads the login out of an access token.
pub(super) fn login_of(token: &str) -> String {
    claims(token)["sid"].as_str().expect("a login").to_owned()
}

/// Reads what an access token says, without judging it.
pub(crate) fn claims(token: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("claims")
}

/// Reads a method's name.
pub(super) fn method(name: &str) -> Method {
    name.parse().expect("a method")
}
