//! What may be said about an event.

use chrono::{DateTime, Utc};
use domain::{
    catalogue::{ADDRESS_MAX, NAME_MAX, URL_MAX, parse_description, parse_line, parse_optional_line},
    fault::Violations,
};
use url::Url;
use uuid::Uuid;

/// An event as it is to be, apart from its id and its organizer.
#[derive(Clone, Debug)]
pub(super) struct EventFields {
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) artist_name: Option<String>,
    pub(super) venue: String,
    pub(super) address: Option<String>,
    pub(super) event_date: DateTime<Utc>,
    pub(super) sale_start_date: DateTime<Utc>,
    pub(super) sale_end_date: DateTime<Utc>,
    pub(super) poster_image_url: Option<String>,
    pub(super) seat_layout_id: Option<Uuid>,
}

impl EventFields {
    /// Refuses a sale that ends before it begins, or begins when the event does.
    pub(super) fn check_dates(&self, violations: &mut Violations) {
        violations.require(
            self.sale_start_date < self.sale_end_date,
            "/saleEndDate",
            "before_start",
            "판매 종료는 판매 시작보다 뒤여야 합니다.",
            "The sale must end after it begins.",
        );
        violations.require(
            self.sale_start_date < self.event_date,
            "/saleStartDate",
            "after_event",
            "판매 시작은 공연 시각보다 앞서야 합니다.",
            "The sale must begin before the event.",
        );
    }
}

/// Reads a title or a venue.
pub(super) fn name(text: &str, pointer: &str, violations: &mut Violations) -> Option<String> {
    parse_line(text, pointer, NAME_MAX, violations)
}

/// Reads an artist's name.
pub(super) fn artist(text: &str, violations: &mut Violations) -> Option<String> {
    parse_optional_line(text, "/artistName", NAME_MAX, violations)
}

/// Reads an address.
pub(super) fn address(text: &str, violations: &mut Violations) -> Option<String> {
    parse_optional_line(text, "/address", ADDRESS_MAX, violations)
}

/// Reads a description.
pub(super) fn description(text: &str, violations: &mut Violations) -> Option<String> {
    parse_description(text, "/description", violations)
}

/// Reads where a picture is. Browsers of everybody who looks at the event go there, so it is a plain web address and
/// nothing that runs, reads or carries a password.
pub(super) fn poster(text: &str, violations: &mut Violations) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
    });
    violations.require(
        url.is_some() && text.chars().count() <= URL_MAX,
        "/posterImageUrl",
        "not_a_web_address",
        "http 또는 https 주소여야 합니다.",
        "Must be an http or https address.",
    );
    // As it was understood, and not as it was written: every reader sees the same address.
    url.map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_web_address_and_nothing_else() {
        let read = |text: &str| {
            let mut violations = Violations::new();
            let url = poster(text, &mut violations);
            violations.into_result().map(|()| url).ok()
        };
        assert_eq!(read("https://cdn.example.com/a b.png"), Some(Some("https://cdn.example.com/a%20b.png".to_owned())));
        assert_eq!(read(" "), Some(None));
        for text in [
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "file:///etc/passwd",
            "ftp://a/b",
            "//cdn.example.com/a.png",
            "https://user:pass@example.com/a.png",
            "http://",
            "a.png",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("https://a.example/{}", "a".repeat(2_000))), None);
    }
}
