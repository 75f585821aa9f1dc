//! What happened to accounts, in a chain that shows whether anybody changed it.
//!
//! An entry is written in the transaction that makes it true, so there is none without its cause and no cause without
//! one. A loop moves entries into the chain, one replica at a time: each hash covers the entry before it. What could
//! name a person stands apart and is covered by a salted digest only, so that it can be taken out when the person goes,
//! and the chain still holds. Failed tries are counted in metrics and not here: a stranger must not be able to fill it.

pub mod chain;
pub mod verify;

use aws_lc_rs::rand;
use chassis::problem::{Outcome, Problem};
use diesel::ExpressionMethods;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{app::App, schema::audit_pending, visitor::Visitor};

/// One entry to be.
#[derive(Debug)]
pub struct Entry {
    user_id: Option<Uuid>,
    action: &'static str,
    meta: Map<String, Value>,
    personal: Map<String, Value>,
}

impl Entry {
    /// Says what happened to an account.
    pub fn of(user_id: Uuid, action: &'static str) -> Self {
        Self { user_id: Some(user_id), action, meta: Map::new(), personal: Map::new() }
    }

    /// Adds what names nobody.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.meta.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Adds where it came from.
    #[must_use]
    pub fn from(mut self, visitor: &Visitor) -> Self {
        if let Some(ip) = visitor.ip {
            self.personal.insert("ip".to_owned(), json!(ip.to_string()));
        }
        if let Some(user_agent) = &visitor.user_agent {
            self.personal.insert("user_agent".to_owned(), json!(user_agent));
        }
        self
    }
}

/// Writes an entry in the transaction that `conn` is in.
///
/// # Errors
/// Returns a problem when the row cannot be written; the transaction fails with it.
pub async fn record(app: &App, conn: &mut AsyncPgConnection, entry: Entry) -> Outcome<()> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(Problem::unexpected)?;
    let mut personal = entry.personal;
    // Without it, a digest of a few addresses could be found by trying them all.
    personal.insert("salt".to_owned(), json!(hex::encode(salt)));
    let row = (
        audit_pending::id.eq(app.ground.clock.uuid()),
        audit_pending::at.eq(app.ground.clock.now()),
        audit_pending::action.eq(entry.action),
        audit_pending::user_id.eq(entry.user_id),
        audit_pending::meta.eq(Value::Object(entry.meta)),
        audit_pending::personal.eq(Value::Object(personal)),
    );
    diesel::insert_into(audit_pending::table).values(row).execute(conn).await?;
    Ok(())
}
