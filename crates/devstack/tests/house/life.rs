//! What somebody leaves in every room, and whether it is all there.
//!
//! Only what every release has: this is the contract that an older and a newer one have in common.

use serde_json::{Value, json};

use crate::person::{Answer, PASSWORD, PICTURE, Person};

const SAID: &str = "요즘 잠을 잘 못 자요";
const WRITTEN: &str = "마루에서 본 하늘";

/// Somebody's traces.
pub(crate) struct Life {
    email: String,
    /// As they were signed in then.
    pub(crate) person: Person,
    session: String,
    /// Where the session's clock was at the last look, milliseconds.
    elapsed: i64,
    order: String,
    /// What is read at the door.
    code: String,
    conversation: String,
    reply: String,
    memo: String,
}

impl Life {
    /// Registers somebody and has them use every service.
    pub(crate) async fn live(gateway: &str, organizer: &Person, email: &str) -> Self {
        let person = Person::register(gateway, email).await;
        let (session, elapsed) = time_a_talk(&person).await;
        let (order, code) = buy_a_ticket(&person, organizer).await;
        let (conversation, reply) = talk(&person).await;
        let memo = write_a_memo(&person).await;
        Self { email: email.to_owned(), person, session, elapsed, order, code, conversation, reply, memo }
    }

    /// Logs in as on the first day, and finds everything again; so does the app that never signed out.
    pub(crate) async fn is_all_there(&mut self, gateway: &str) {
        let person = Person::login(gateway, &self.email, PASSWORD).await;
        let signed_in = self.person.at(gateway);
        assert_eq!(signed_in.get("/user/me").await.ok(200).text("/email"), self.email);
        assert_eq!(person.id, signed_in.id);

        let session = format!("/api/v1/sessions/{}", self.session);
        assert_eq!(person.get(&session).await.ok(200).text("/title"), "마루 발표");
        let timer = person.get(&format!("{session}/timer")).await.ok(200);
        assert_eq!(timer.json["status"], "running", "{}", timer.json);
        let elapsed = timer.json["elapsed_ms"].as_i64().unwrap();
        assert!(elapsed >= self.elapsed, "{} after {}", timer.json, self.elapsed);
        self.elapsed = elapsed;

        let ticket = ticket(&person, &self.order).await;
        assert_eq!((ticket["status"].as_str(), ticket["code"].as_str()), (Some("valid"), Some(self.code.as_str())));

        let steps = person.get(&format!("/emotion/steps/{}", self.conversation)).await.ok(200);
        assert_eq!((steps.text("/0/user_input"), steps.text("/0/gpt_response")), (SAID.to_owned(), self.reply.clone()));

        let memo = person.get(&format!("/memo/{}", self.memo)).await.ok(200);
        assert_eq!(memo.text("/content"), WRITTEN);
        assert_eq!(person.download(&memo.text("/attachments/0/url")).await, PICTURE);
    }

    /// Goes in with the ticket: once, and not twice.
    pub(crate) async fn go_in(&self, organizer: &Person) {
        let code = json!({ "code": self.code });
        organizer.post("/api/v1/admin/checkin", code.clone()).await.ok(200);
        let again = organizer.post("/api/v1/admin/checkin", code).await.ok(409);
        assert_eq!(again.json["code"], "already_checked_in", "{}", again.json);
    }

    /// Goes on: what was there can be changed, and there can be more of it.
    pub(crate) async fn go_on(&self, gateway: &str) {
        let person = self.person.at(gateway);
        person.post(&format!("/api/v1/sessions/{}/timer/pause", self.session), json!({})).await.ok(200);
        person.post(&format!("/api/v1/sessions/{}/timer/resume", self.session), json!({})).await.ok(200);
        let words = json!({ "session_id": self.conversation, "user_input": "오늘은 조금 나아요" });
        person.post("/emotion/steps/generate", words).await.ok(200);
        write_a_memo(&person).await;
    }
}

async fn time_a_talk(person: &Person) -> (String, i64) {
    let session =
        person.post("/api/v1/sessions", json!({ "title": "마루 발표", "type": "presentation" })).await.ok(201);
    let id = session.text("/id");
    person.post(&format!("/api/v1/sessions/{id}/timer/setup"), json!({ "duration_minutes": 120 })).await.ok(200);
    let timer = person.post(&format!("/api/v1/sessions/{id}/timer/start"), json!({})).await.ok(200);
    (id, timer.json["elapsed_ms"].as_i64().unwrap_or_default())
}

async fn buy_a_ticket(person: &Person, organizer: &Person) -> (String, String) {
    let event = json!({
        "title": "작은 무대", "venue": "마루홀", "eventDate": "2090-12-25T18:00",
        "saleStartDate": "2020-01-01T00:00", "saleEndDate": "2090-12-25T17:00",
        "ticketTypes": [{ "name": "입장권", "price": 15_000, "totalQuantity": 5 }],
    });
    let event = organizer.post("/api/v1/admin/events", event).await.ok(201);
    let items = json!([{ "ticketTypeId": event.text("/ticketTypes/0/id"), "quantity": 1 }]);
    let order = json!({ "eventId": event.text("/event/id"), "items": items });
    let order = person.post("/api/v1/reservations", order).await.ok(201).text("/reservation/id");
    let payment = json!({ "reservationId": order, "amount": 15_000 });
    let payment = person.post("/api/v1/payments/prepare", payment).await.ok(200).text("/orderId");
    let key = format!("consent-{}", order.replace('-', ""));
    let consent = json!({ "paymentKey": key, "orderId": payment, "amount": 15_000 });
    person.post("/api/v1/payments/confirm", consent).await.ok(200);
    let code = ticket(person, &order).await["code"].as_str().expect("a code").to_owned();
    (order, code)
}

async fn ticket(person: &Person, order: &str) -> Value {
    let tickets = person.get(&format!("/api/v1/reservations/{order}/tickets")).await.ok(200);
    tickets.json["tickets"][0].clone()
}

async fn talk(person: &Person) -> (String, String) {
    let conversation = person.post("/emotion/sessions", json!({ "topic": "하루" })).await;
    let conversation: Answer = if conversation.status == 200 { conversation } else { conversation.ok(201) };
    let id = conversation.text("/session_id");
    person.post("/emotion/steps/generate", json!({ "session_id": id, "user_input": SAID })).await.ok(200);
    let steps = person.get(&format!("/emotion/steps/{id}")).await.ok(200);
    let reply = steps.text("/0/gpt_response");
    assert!(!reply.is_empty(), "{}", steps.json);
    (id, reply)
}

async fn write_a_memo(person: &Person) -> String {
    let memo = person.post("/memo", json!({ "content": WRITTEN, "tags": ["하늘"] })).await.ok(201).text("/id");
    let wish = json!({ "filename": "하늘.png", "content_type": "image/png", "size": PICTURE.len() });
    let slot = person.post(&format!("/memo/{memo}/attachments"), wish).await.ok(201);
    person.upload(&slot, PICTURE).await;
    let complete = format!("/memo/{memo}/attachments/{}/complete", slot.text("/attachment_id"));
    person.post(&complete, json!({})).await.ok(200);
    memo
}
