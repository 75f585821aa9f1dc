//! Nonsense for every operation of the document.

use std::sync::Arc;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    House,
    hostile::{Chance, TEXTS},
    operations::{Entry, Reach, entries},
    things::{Things, method},
};
use crate::{person::Person, stack::text};

/// Tries for each operation.
const TRIES: usize = 30;
/// Operations that are tried at the same time.
const AT_ONCE: usize = 4;
/// What every run begins with; another number is another run.
const SEED: u64 = 49;

pub(super) async fn attack_49_every_reference_of_the_document_leads_somewhere(house: &House) {
    let mut open = vec![&house.api.0];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        if let Some(reference) = value["$ref"].as_str() {
            assert!(house.api.resolve(reference).is_some(), "{reference} is nowhere");
            seen += 1;
        }
        match value {
            Value::Object(object) => open.extend(object.values()),
            Value::Array(array) => open.extend(array),
            _ => {}
        }
    }
    assert!(seen > 50, "only {seen} references were found");
    for operation in house.api.operations() {
        for (status, response) in operation.value["responses"].as_object().expect("responses") {
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                let is_problem = content["schema"]["$ref"] == "#/components/schemas/ProblemView";
                let is_named_so = media == "application/problem+json";
                assert_eq!(is_problem, is_named_so, "{}: {status} is documented as {media}", operation.name);
            }
        }
    }
}

/// Wrong types, huge and negative numbers, empty and long texts, broken text, wrong media types, missing bodies: whatever
/// is sent, it is refused as what it is, and no service is at a loss.
pub(super) async fn attack_49_nonsense_is_refused_and_never_a_fault_of_ours(house: &House) {
    let printed = house.stack.dev(&["tokens", "--count", "2"]);
    let printed = text(&printed);
    let mut leavers = printed.lines().filter_map(|line| line.split_once('\t')).map(|(_, token)| token);
    let mut running = JoinSet::new();
    let (names, documented) = documented_statuses(house);
    for (number, entry) in entries(&house.lees).into_iter().enumerate() {
        let place = names.iter().position(|name| name == entry.name).expect("it is documented");
        let person = match entry.reach {
            Reach::Ends => house.lee.with_token(leavers.next().expect("somebody who may go")),
            _ => house.caller(&entry, &house.lee).clone(),
        };
        let nonsense = Nonsense {
            person,
            lees: house.lees.clone(),
            path: names[place].split(' ').nth(1).expect("a path").to_owned(),
            statuses: documented[place].clone(),
            chance: Chance::new(SEED + u64::try_from(number).expect("a small number")),
            entry,
        };
        if running.len() >= AT_ONCE {
            finished(running.join_next().await);
        }
        running.spawn(nonsense.run());
    }
    while let Some(done) = running.join_next().await {
        finished(Some(done));
    }
}

fn finished(done: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(failed)) = done {
        std::panic::resume_unwind(failed.into_panic());
    }
}

fn documented_statuses(house: &House) -> (Vec<String>, Vec<Arc<[u16]>>) {
    let statuses = |value: &Value| -> Arc<[u16]> {
        let keys = value["responses"].as_object().into_iter().flat_map(|responses| responses.keys());
        keys.filter_map(|status| status.parse().ok()).collect()
    };
    house.api.operations().into_iter().map(|operation| (operation.name.clone(), statuses(operation.value))).unzip()
}

/// Refusals that every operation may answer with, whatever its document lists.
const ALWAYS: [u16; 11] = [400, 401, 404, 405, 408, 413, 414, 415, 422, 429, 431];

/// One operation's share.
struct Nonsense {
    person: Person,
    lees: Things,
    entry: Entry,
    /// With its parameters' names.
    path: String,
    statuses: Arc<[u16]>,
    chance: Chance,
}

impl Nonsense {
    async fn run(mut self) {
        if let Reach::Stream = self.entry.reach {
            // What is accepted has no end.
            return;
        }
        for _ in 0..TRIES {
            let (told, request) = self.next();
            let answer = self.person.send(request).await;
            let told = format!("{} with {told}", self.entry.name);
            answer.sound(&told);
            let is_known = self.statuses.contains(&answer.status) || ALWAYS.contains(&answer.status);
            assert!(is_known && answer.status < 500, "{told}: {} {}", answer.status, answer.json);
        }
    }

    /// Draws the next request, and how to tell of it.
    fn next(&mut self) -> (String, RequestBuilder) {
        let has_body = self.entry.body.is_some();
        match self.chance.below(if has_body { 10 } else { 5 }) {
            0 => self.strange_path(),
            1 => self.strange_query(),
            2 => self.strange_header(),
            3 => self.strange_media_type(),
            4 => self.broken_body(),
            5 => self.another_body(),
            _ => self.strange_field(),
        }
    }

    fn begin(&self, target: &str) -> RequestBuilder {
        self.person.request(method(self.entry.method()), target)
    }

    fn with_body(&self, target: &str) -> RequestBuilder {
        match &self.entry.body {
            Some(body) => self.begin(target).json(body),
            None => self.begin(target),
        }
    }

    fn strange_path(&mut self) -> (String, RequestBuilder) {
        let (path, ids) = (self.path.clone(), [&self.lees.user, &self.lees.memo, &self.lees.said].map(Clone::clone));
        let filled: Vec<String> = path
            .split('/')
            .map(|segment| if segment.starts_with('{') { self.strange_segment(&ids) } else { segment.to_owned() })
            .collect();
        let target = filled.join("/");
        (format!("the path {target}"), self.with_body(&target))
    }

    fn strange_segment(&mut self, ids: &[String]) -> String {
        match self.chance.below(4) {
            0 => encode(self.chance.one_of::<String>(ids)),
            1 => "%ff%fe".to_owned(),
            2 => "9".repeat(self.chance.below(300)),
            _ => encode(self.chance.one_of::<&str>(&TEXTS)),
        }
    }

    fn strange_query(&mut self) -> (String, RequestBuilder) {
        let known =
            ["limit", "cursor", "offset", "page", "sort", "order", "q", "tz", "start_date", "end_date", "status", "x"];
        let name = *self.chance.one_of(&known);
        let value = self.strange_segment(&[self.lees.user.clone(), "2026-02-30".to_owned(), "0".to_owned()]);
        let joint = if self.entry.target.contains('?') { '&' } else { '?' };
        let target = format!("{}{joint}{name}={value}", self.entry.target);
        (format!("the query {name}={value}"), self.with_body(&target))
    }

    fn strange_header(&mut self) -> (String, RequestBuilder) {
        let known = [
            "idempotency-key",
            "if-match",
            "if-none-match",
            "accept",
            "accept-language",
            "range",
            "last-event-id",
            "traceparent",
            "x-request-id",
            "cookie",
            "origin",
            "expect",
            "x-participant-token",
            "upgrade",
        ];
        let name = *self.chance.one_of(&known);
        let text = *self.chance.one_of(&TEXTS);
        let printable: String = text.chars().filter(|c| !c.is_control()).collect();
        let request = self.with_body(&self.entry.target.clone()).header(name, printable.as_bytes());
        (format!("the header {name}: {printable}"), request)
    }

    fn strange_media_type(&mut self) -> (String, RequestBuilder) {
        let known = [
            "text/plain",
            "application/xml",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "*/*",
            "json",
            "",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/octet-stream",
        ];
        let media = *self.chance.one_of(&known);
        let body = self.entry.body.as_ref().map_or_else(|| "a=b".to_owned(), Value::to_string);
        let request = self.begin(&self.entry.target).header("content-type", media).body(body);
        (format!("the media type {media:?}"), request)
    }

    fn broken_body(&mut self) -> (String, RequestBuilder) {
        let whole = self.entry.body.as_ref().map_or_else(|| "{}".to_owned(), Value::to_string).into_bytes();
        let body = match self.chance.below(7) {
            0 => Vec::new(),
            1 => whole[..self.chance.below(whole.len())].to_vec(),
            2 => [&whole[..], b"}"].concat(),
            3 => [b"\xef\xbb\xbf", &whole[..]].concat(),
            4 => [&whole[..whole.len() - 1], b",\"\xff\xfe\":1}"].concat(),
            5 => br#"{"a":"\ud800"}"#.to_vec(),
            _ => b"{\"a\":1e999999}".to_vec(),
        };
        let told = format!("the body {:?}", String::from_utf8_lossy(&body));
        (told, self.begin(&self.entry.target).header("content-type", "application/json").body(body))
    }

    fn another_body(&mut self) -> (String, RequestBuilder) {
        let body = self.strange_value();
        (format!("the body {}", shortened(&body)), self.begin(&self.entry.target).json(&body))
    }

    fn strange_field(&mut self) -> (String, RequestBuilder) {
        let mut body = self.entry.body.clone().unwrap_or_default();
        let fields: Vec<String> = body.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
        let value = self.strange_value();
        if let (Some(fields_of_body), false) = (body.as_object_mut(), fields.is_empty()) {
            let field = self.chance.one_of(&fields).clone();
            match self.chance.below(8) {
                0 => _ = fields_of_body.remove(&field),
                _ => _ = fields_of_body.insert(field, value),
            }
        }
        (format!("the body {}", shortened(&body)), self.begin(&self.entry.target).json(&body))
    }

    fn strange_value(&mut self) -> Value {
        match self.chance.below(13) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(i64::MAX),
            4 => json!(i64::MIN),
            5 => json!(1e300),
            6 => json!(0.5),
            7 => json!([]),
            8 => json!({}),
            9 => json!([{ "a": [1, "b", null] }]),
            10 => json!("가".repeat(1 + self.chance.below(20_000))),
            11 => json!("+262142-12-31T23:59:59Z"),
            _ => json!(*self.chance.one_of(&TEXTS)),
        }
    }
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}
