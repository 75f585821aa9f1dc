//! Markup in what people write.

use serde_json::{Value, json};

use super::{House, things::method};
use crate::person::Person;

/// What a page would run if it took a text for markup.
const MARKUP: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</script><svg/onload=alert(1)>",
    "javascript:alert(document.domain)",
    "'-alert(1)-'{{constructor.constructor('x')()}}",
    "<!--\u{2028}\u{2029}--><b>마루</b> &lt;i&gt; &amp;",
];

/// What somebody writes comes back letter by letter, as JSON and as nothing else: it is for the page to show it as text.
pub(super) async fn attack_43_markup_comes_back_as_the_text_it_is(house: &House) {
    let mallory = Person::register(house.stack.gateway(), "mallory@example.com").await;
    for text in MARKUP {
        let renamed = mallory.send(mallory.request(method("PATCH"), "/user/me").json(&json!({ "name": text }))).await;
        renamed.sound(text);
        assert_eq!(renamed.ok(200).json["name"], text);
        comes_back(&mallory, "/api/v1/sessions", json!({ "title": text, "description": text }), "id").await;
        comes_back(&mallory, "/emotion/sessions", json!({ "topic": text, "emotion_label": text }), "session_id").await;
        let memo = json!({ "content": text, "tags": [text], "category": text, "metadata": { text: text } });
        let memo = comes_back(&mallory, "/memo", memo, "id").await;
        the_file_is_no_page(&mallory, &memo, text).await;
        a_refusal_is_no_page(&mallory, text).await;
    }
    let exported = mallory.get("/user/me/export").await.ok(200);
    exported.sound("the export");
    assert!(exported.json.to_string().contains("onerror=alert(1)"));
    for page in ["/", "/docs/"] {
        let shown = mallory.get(page).await.ok(200);
        let text = String::from_utf8_lossy(&shown.body);
        assert!(!text.contains("alert(1)"), "{page} shows what somebody wrote");
        assert_eq!(shown.headers["x-content-type-options"], "nosniff", "{page}");
    }
}

async fn comes_back(person: &Person, path: &str, written: Value, id: &str) -> String {
    let made = person.post(path, written.clone()).await;
    made.sound(path);
    let made = made.ok(201);
    let id = made.text(&format!("/{id}"));
    let read = person.get(&format!("{path}/{id}")).await.ok(200);
    read.sound(path);
    for (field, value) in written.as_object().expect("fields") {
        assert_eq!((&made.json[field], &read.json[field]), (value, value), "{path}: {field}");
    }
    id
}

/// A file that could be a page is downloaded, whatever it is called and whatever it says it is.
async fn the_file_is_no_page(person: &Person, memo: &str, name: &str) {
    let page = b"<!doctype html><script>alert(1)</script>";
    for content_type in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml"] {
        let name = format!("{}.html", name.replace('/', "_"));
        let wish = json!({ "filename": name, "content_type": content_type, "size": page.len() });
        let slot = person.post(&format!("/memo/{memo}/attachments"), wish).await;
        if matches!(slot.status, 409 | 422) {
            slot.sound(content_type);
            continue;
        }
        let slot = slot.ok(201);
        person.upload(&slot, page).await;
        let file = format!("/memo/{memo}/attachments/{}", slot.text("/attachment_id"));
        person.post(&format!("{file}/complete"), json!({})).await.ok(200);
        let url = person.get(&file).await.ok(200).text("/url");
        let served =
            chassis::client::plain_http_client().expect("a client").get(url).send().await.expect("the storage answers");
        let header = |name: &str| served.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(header("content-disposition").starts_with("attachment;"), "{content_type}: {:?}", served.headers());
        assert_eq!(header("content-type"), "application/octet-stream", "{content_type}");
    }
}

/// What is refused may repeat what was sent, and is a problem document all the same.
async fn a_refusal_is_no_page(person: &Person, text: &str) {
    let unknown_field = person.post("/memo", json!({ "content": "x", text: text })).await;
    unknown_field.sound(text);
    assert_eq!(unknown_field.status, 400, "{}", unknown_field.json);
    let encoded = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    for path in [format!("/memo/{}", encoded.replace("%2F", "_")), format!("/memo/list?tz={encoded}")] {
        let refused = person.get(&path).await;
        refused.sound(&path);
        assert!(refused.status >= 400, "{path}");
    }
}
