//! Who logs in.

use serde_json::{Map, Value, json};

/// Somebody who has an account with the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's own name for the person, which never changes.
    pub sub: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is the person's.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// Address of a picture.
    pub picture: Option<String>,
    /// The domain of the organisation that manages the account.
    pub hd: Option<String>,
}

impl Identity {
    /// Describes a person with a verified address, a name, and an organisation behind neither.
    pub fn new(sub: &str, email: &str) -> Self {
        Self {
            sub: sub.to_owned(),
            email: Some(email.to_owned()),
            email_verified: true,
            name: Some("김구글".to_owned()),
            picture: Some("https://pictures.example.com/1.png".to_owned()),
            hd: None,
        }
    }

    /// Returns what a token says about the person.
    pub(super) fn claims(&self) -> Map<String, Value> {
        let all = json!({
            "sub": self.sub,
            "email": self.email,
            "email_verified": self.email.as_ref().map(|_| self.email_verified),
            "name": self.name,
            "picture": self.picture,
            "hd": self.hd,
        });
        match all {
            Value::Object(all) => all.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        }
    }
}
