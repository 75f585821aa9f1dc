//! Accounts: one per e-mail address, whatever its case. The database's unique key decides who was first.

pub mod me;
pub mod register;
pub mod store;

use actix_web::web::{self, ServiceConfig};
use domain::{principal::Role, time::Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::routes::ALIASES;

/// Mounts the routes of accounts.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/register").post(register::register))
        .service(web::resource("/user/me").get(me::me))
        .service(web::resource("/auth/me").get(me::me));
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
    /// Display name.
    pub name: String,
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
            name: user.name,
            picture: user.picture,
            provider: user.provider,
            role,
            locale: user.locale,
            timezone: user.timezone,
            created_at: user.created_at.into(),
        }
    }
}
