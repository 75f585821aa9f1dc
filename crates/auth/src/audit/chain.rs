//! The chain: how a hash is made, and the loop that moves entries in.

use std::time::Duration;

use chassis::{pg::Pg, prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::App,
    schema::{audit_log, audit_pending},
};

/// How often entries are moved in; until then one could be changed unseen.
const EVERY: Duration = Duration::from_secs(1);
/// Entries moved in one transaction.
const BATCH: i64 = 500;
/// The advisory lock that lets one process move at a time; any constant that nothing else in this database uses.
const LOCK: i64 = 0x6175_6469;
/// What the first entry covers in place of one before it.
pub const GENESIS: [u8; 32] = [0; 32];

/// An entry in the chain.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Link {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub action: String,
    pub user_id: Option<Uuid>,
    pub meta: Value,
    pub personal: Option<Value>,
    pub personal_digest: Vec<u8>,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

/// An entry that waits: id, time, action, account, what names nobody, and what may.
type Waiting = (Uuid, DateTime<Utc>, String, Option<Uuid>, Value, Value);

impl Link {
    /// Computes the hash this entry must have. Every part is preceded by its length, so that none can borrow from its
    /// neighbour.
    pub fn expected_hash(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        let user = self.user_id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let parts = [
            self.prev_hash.as_slice(),
            &self.seq.to_be_bytes(),
            &self.at.timestamp_micros().to_be_bytes(),
            self.action.as_bytes(),
            &user,
            self.meta.to_string().as_bytes(),
            &self.personal_digest,
        ]
        .map(<[u8]>::to_vec);
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(&part);
        }
        hasher.finalize().to_vec()
    }

    /// Computes the digest of a personal part.
    pub fn digest_of(personal: &Value) -> Vec<u8> {
        Sha256::digest(personal.to_string().as_bytes()).to_vec()
    }
}

/// Starts the loop that moves entries into the chain.
pub fn start(app: &App) {
    let pg = app.ground.pg.clone();
    app.ground.lifecycle.spawn_loop("audit", move |stop| {
        let pg = pg.clone();
        async move { keep_moving(&pg, &stop).await }
    });
}

async fn keep_moving(pg: &Pg, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match move_some(pg).await {
            Ok(moved) if moved >= usize::try_from(BATCH).unwrap_or_default() => continue,
            Ok(_) => {}
            Err(problem) => tracing::warn!(code = problem.code(), "audit entries wait to be chained"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Moves waiting entries into the chain; returns how many, which is none while another process does it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn move_some(pg: &Pg) -> Outcome<usize> {
    let mut conn = pg.conn().await?;
    conn.transaction(async |conn| {
        if !is_ours(conn).await? {
            return Ok(0);
        }
        // Locked: who takes a person out of them meanwhile waits, and finds them in the chain.
        let next = audit_pending::table.order(audit_pending::id).limit(BATCH).for_update();
        let waiting: Vec<Waiting> = next.load(conn).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let (mut seq, mut prev_hash) = head(conn).await?;
        let mut ids = Vec::with_capacity(waiting.len());
        let mut links = Vec::with_capacity(waiting.len());
        for (id, at, action, user_id, meta, personal) in waiting {
            seq += 1;
            let personal_digest = Link::digest_of(&personal);
            let personal = Some(personal);
            let before = std::mem::take(&mut prev_hash);
            let mut link =
                Link { seq, at, action, user_id, meta, personal, personal_digest, prev_hash: before, hash: Vec::new() };
            link.hash = link.expected_hash();
            prev_hash.clone_from(&link.hash);
            ids.push(id);
            links.push(link);
        }
        append(conn, &links).await?;
        diesel::delete(audit_pending::table.filter(audit_pending::id.eq_any(ids))).execute(conn).await?;
        Outcome::Ok(links.len())
    })
    .await
}

/// Writes entries at the end. One array for each column: a statement that names each value is another one for each number
/// of entries and prepared anew every time, which was a seventh of what a storm of logins costs the database.
async fn append(conn: &mut AsyncPgConnection, links: &[Link]) -> Outcome<()> {
    fn column<'a, T>(links: &'a [Link], part: impl Fn(&'a Link) -> T) -> Vec<T> {
        links.iter().map(part).collect()
    }
    sql_query(
        "INSERT INTO audit_log (seq, at, action, user_id, meta, personal, personal_digest, prev_hash, hash) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind::<Array<BigInt>, _>(column(links, |link| link.seq))
    .bind::<Array<Timestamptz>, _>(column(links, |link| link.at))
    .bind::<Array<Text>, _>(column(links, |link| &link.action))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(links, |link| link.user_id))
    .bind::<Array<Jsonb>, _>(column(links, |link| &link.meta))
    .bind::<Array<Nullable<Jsonb>>, _>(column(links, |link| link.personal.as_ref()))
    .bind::<Array<Binary>, _>(column(links, |link| &link.personal_digest))
    .bind::<Array<Binary>, _>(column(links, |link| &link.prev_hash))
    .bind::<Array<Binary>, _>(column(links, |link| &link.hash))
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

async fn is_ours(conn: &mut AsyncPgConnection) -> Outcome<bool> {
    #[derive(diesel::QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let ask = sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked").bind::<BigInt, _>(LOCK);
    let Locked { locked } = ask.get_result(conn).await?;
    Ok(locked)
}

/// Returns the number and hash of the last entry.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn head(conn: &mut AsyncPgConnection) -> Outcome<(i64, Vec<u8>)> {
    let last = audit_log::table.order(audit_log::seq.desc()).select((audit_log::seq, audit_log::hash));
    Ok(last.first(conn).await.optional()?.unwrap_or_else(|| (0, GENESIS.to_vec())))
}

/// Returns the entries after a number, in order.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn after(conn: &mut AsyncPgConnection, seq: i64, limit: i64) -> Outcome<Vec<Link>> {
    let page = audit_log::table.filter(audit_log::seq.gt(seq)).order(audit_log::seq).limit(limit);
    Ok(page.select(Link::as_select()).load(conn).await?)
}

/// Returns the entries about an account, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn about(conn: &mut AsyncPgConnection, user_id: Uuid, limit: i64) -> Outcome<Vec<Link>> {
    let theirs = audit_log::table.filter(audit_log::user_id.eq(user_id)).order(audit_log::seq.desc()).limit(limit);
    Ok(theirs.select(Link::as_select()).load(conn).await?)
}

/// Takes out what names a person; call in the transaction that ends the account, and late: nothing is moved into the
/// chain from here to its end.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget_person(conn: &mut AsyncPgConnection, user_id: Uuid) -> Outcome<()> {
    // First what waits: entries that are being moved at this moment are in the chain when this returns. Locked in the
    // order in which they are moved: two that lock the same rows in two orders wait for each other for ever.
    let theirs = audit_pending::table.filter(audit_pending::user_id.eq(user_id)).order(audit_pending::id);
    let waiting: Vec<Uuid> = theirs.select(audit_pending::id).for_update().load(conn).await?;
    let waiting = audit_pending::table.filter(audit_pending::id.eq_any(waiting));
    diesel::update(waiting).set(audit_pending::personal.eq(serde_json::json!({}))).execute(conn).await?;
    let theirs = audit_log::table.filter(audit_log::user_id.eq(user_id)).filter(audit_log::personal.is_not_null());
    diesel::update(theirs).set(audit_log::personal.eq(None::<Value>)).execute(conn).await?;
    Ok(())
}
