//! A message as it was sent, and as a mail program shows it.

use mailparse::{MailHeaderMap, ParsedMail};

/// A message and its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whom the envelope names as the sender.
    pub from: String,
    /// Everybody the envelope names as a recipient.
    pub to: Vec<String>,
    /// Headers and body as they came, without the dots that only the transport needs.
    pub data: Vec<u8>,
}

impl Mail {
    pub(super) fn is_to(&self, address: &str) -> bool {
        self.to.iter().any(|to| to.eq_ignore_ascii_case(address))
    }

    fn parsed(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.data).expect("a message that can be read")
    }

    /// Returns a header's decoded value, empty when it is not there.
    pub fn header(&self, name: &str) -> String {
        self.parsed().headers.get_first_value(name).unwrap_or_default()
    }

    /// Returns the decoded subject.
    pub fn subject(&self) -> String {
        self.header("Subject")
    }

    /// Returns the decoded plain text, empty when there is none; its lines end with `\n`.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// Returns the decoded HTML, empty when there is none; its lines end with `\n`.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    fn part(&self, kind: &str) -> String {
        let parsed = self.parsed();
        let found = parsed.parts().find(|part| part.ctype.mimetype.eq_ignore_ascii_case(kind));
        let body = found.map(|part| part.get_body().expect("a body that can be decoded")).unwrap_or_default();
        body.replace("\r\n", "\n")
    }
}
