//! Accounts: one per e-mail address, whatever its case. The database's unique key decides who was first.

pub mod card;
pub mod me;
pub mod register;
pub mod store;
pub mod update;

use actix_web::web::{self, ServiceConfig};
use domain::{fault::Violations, principal::Role, time::Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{person, routes::ALIASES};

/// Longest phone number, with separators (E.164 has 15 digits).
const PHONE_MAX: usize = 24;

/// Mounts the routes of accounts.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/register").post(register::register))
        .service(web::resource("/user/me").get(me::me).patch(update::update).delete(person::erase::erase))
        .service(web::resource("/auth/me").get(me::me))
        .service(web::resource("/internal/users/{id}/card").get(card::card));
    for prefix in ALIASES {
        cfg.service(web::resource(format!("{prefix}/register")).post(register::register))
            .service(web::resource(format!("{prefix}/me")).get(me::me));
    }
}

/// An account as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    /// The account.
    pub id: Uuid,
    /// The same, under the name some clients read.
    pub user_id: Uuid,
    /// E-mail address, as it was written.
    pub email: String,
    /// Whether it was proved that mail reaches its owner.
    pub email_verified: bool,
    /// Display name.
    pub name: String,
    /// Phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Address of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// How the account logs in: `password` or `google`.
    pub provider: String,
    /// What it may do.
    pub role: Role,
    /// Language of mails.
    pub locale: String,
    /// IANA time zone.
    pub timezone: String,
    /// When it was made.
    pub created_at: Instant,
}

impl From<store::User> for AccountView {
    fn from(user: store::User) -> Self {
        let role = user.role();
        Self {
            id: user.id,
            user_id: user.id,
            email: user.email,
            email_verified: user.email_verified_at.is_some(),
            name: user.name,
            phone: user.phone,
            picture: user.picture,
            provider: user.provider,
            role,
            locale: user.locale,
            timezone: user.timezone,
            created_at: user.created_at.into(),
        }
    }
}

/// Reads a phone number; an empty one is none.
fn parse_phone(text: &str, violations: &mut Violations) -> Option<String> {
    let phone = text.trim();
    violations.require(
        phone.len() <= PHONE_MAX && phone.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c)),
        "/phone",
        "not_a_phone_number",
        "전화번호를 확인해 주세요.",
        "This is not a phone number.",
    );
    (!phone.is_empty()).then(|| phone.to_owned())
}
