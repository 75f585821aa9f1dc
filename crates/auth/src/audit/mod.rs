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
use chrono::{DateTime, Utc};
use diesel::Insertable;
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

/// An entry as it waits for the chain.
#[derive(Debug, Insertable)]
#[diesel(table_name = audit_pending, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Waiting {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub action: &'static str,
    pub user_id: Option<Uuid>,
    pub meta: Value,
    pub personal: Value,
}

impl Waiting {
    /// Describes an entry of this moment.
    ///
    /// # Errors
    /// Returns a problem when the machine has no randomness.
    pub fn new(app: &App, entry: Entry) -> Outcome<Self> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(Problem::unexpected)?;
        let mut personal = entry.personal;
        // Without it, a digest of a few addresses could be found by trying them all.
        personal.insert("salt".to_owned(), json!(hex::encode(salt)));
        Ok(Self {
            id: app.ground.clock.uuid(),
            at: app.ground.clock.now(),
            action: entry.action,
            user_id: entry.user_id,
            meta: Value::Object(entry.meta),
            personal: Value::Object(personal),
        })
    }
}

/// Writes an entry in the transaction that `conn` is in.
///
/// # Errors
/// Returns a problem when the row cannot be written; the transaction fails with it.
pub async fn record(app: &App, conn: &mut AsyncPgConnection, entry: Entry) -> Outcome<()> {
    diesel::insert_into(audit_pending::table).values(Waiting::new(app, entry)?).execute(conn).await?;
    Ok(())
}
