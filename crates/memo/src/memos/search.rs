//! Searching one person's memos, newest first.
//!
//! A word that stands in many memos stands in recent ones, and a word that does not is rare: so the newest memos are
//! looked at one after the other, and only for what is left to find the index is asked for all candidates. Neither grows
//! with how many memos there are. What is a candidate is then read, and [`Sought::matches`] decides.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    pg::Pg,
    sql_query,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::memo::search::{Searchable, Sought, too_varied};
use uuid::Uuid;

use super::{
    cursor::Place,
    store::{self, Filter, Memo},
};

/// How many of the newest memos are looked at before the index is asked.
const RECENT: i64 = 400;
/// Candidates that are read at once: the longest memos have 400 kB each.
const AT_ONCE: usize = 50;
/// Most candidates that are read to be counted.
const COUNTED: i64 = 500;
/// Most bytes of them together: what is folded in a few milliseconds.
const COUNTED_BYTES: i64 = 1024 * 1024;

/// What both statements look through; the keys of the query are `$5`, the key of memos with too many `$6`.
macro_rules! rows {
    () => {
        "FROM memos WHERE user_id = $1 AND deleted_at IS NULL AND created_at >= $2 AND (created_at, id) < ($3, $4) \
         AND ($7::text IS NULL OR tags @> ARRAY[$7]) AND ($8::uuid IS NULL OR session_id = $8) \
         AND ($9::boolean IS NULL OR is_archived = $9)"
    };
}

/// The newest memos, and which of them are candidates.
const NEWEST: &str = concat!(
    "SELECT id, created_at, coalesce(search_keys @> $5 OR search_keys @> ARRAY[$6], false) AS is_candidate ",
    rows!(),
    " ORDER BY created_at DESC, id DESC LIMIT $10"
);
/// All candidates through the index, whatever their order, and then the newest of them.
const CANDIDATES: &str = concat!(
    "WITH candidates AS MATERIALIZED (SELECT id, created_at ",
    rows!(),
    " AND (search_keys @> $5 OR search_keys @> ARRAY[$6])) \
     SELECT id, created_at, true AS is_candidate FROM candidates ORDER BY created_at DESC, id DESC LIMIT $10"
);

/// Some candidates, in no order, and how long they are.
const SOME: &str = concat!(
    "SELECT id, octet_length(content)::bigint AS bytes ",
    rows!(),
    " AND (search_keys @> $5 OR search_keys @> ARRAY[$6]) LIMIT $10"
);

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_candidate: bool,
}

/// Finds at most `wanted` memos after a place, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn search(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    sought: &Sought,
    after: Place,
    wanted: i64,
) -> Outcome<Vec<Memo>> {
    let most = usize::try_from(wanted).unwrap_or_default();
    let keys = sought.keys(filter.owner);
    let mut found = Vec::new();
    let (mut after, mut statement, mut rows) = (after, NEWEST, RECENT);
    loop {
        let seen: Vec<Seen> = look(conn, statement, filter, &keys, after, rows).await?;
        let candidates: Vec<Uuid> = seen.iter().filter(|seen| seen.is_candidate).map(|seen| seen.id).collect();
        read(conn, filter, sought, &candidates, most, &mut found).await?;
        let is_last = i64::try_from(seen.len()).unwrap_or_default() < rows;
        match seen.last() {
            Some(last) if !is_last && found.len() < most => {
                after = Place { created_at: last.created_at, id: last.id };
                // A page's worth, and a few for candidates that are none after all.
                (statement, rows) = (CANDIDATES, wanted + 10);
            }
            _ => return Ok(found),
        }
    }
}

/// Counts what a search finds in all; nothing when that would mean to read too much.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, filter: &Filter, sought: &Sought) -> Outcome<Option<i64>> {
    let keys = sought.keys(filter.owner);
    let candidates: Vec<Candidate> = look(conn, SOME, filter, &keys, filter.start(), COUNTED + 1).await?;
    let is_much = i64::try_from(candidates.len()).unwrap_or(i64::MAX) > COUNTED
        || candidates.iter().map(|candidate| candidate.bytes).sum::<i64>() > COUNTED_BYTES;
    if is_much {
        return Ok(None);
    }
    let ids: Vec<Uuid> = candidates.into_iter().map(|candidate| candidate.id).collect();
    let texts = store::texts(conn, filter.owner, &ids).await?;
    let found = texts.iter().filter(|(content, tags)| sought.matches(&Searchable::of(content, tags)));
    Ok(i64::try_from(found.count()).ok())
}

async fn look<Row>(
    conn: &mut AsyncPgConnection,
    statement: &str,
    filter: &Filter,
    keys: &[i32],
    after: Place,
    rows: i64,
) -> Outcome<Vec<Row>>
where
    Row: QueryableByName<Pg> + Send + 'static,
{
    let query = sql_query(statement)
        .bind::<SqlUuid, _>(filter.owner.0)
        .bind::<Timestamptz, _>(filter.from)
        .bind::<Timestamptz, _>(after.created_at)
        .bind::<SqlUuid, _>(after.id)
        .bind::<Array<Integer>, _>(keys)
        .bind::<Integer, _>(too_varied(filter.owner))
        .bind::<Nullable<Text>, _>(filter.tag.as_deref())
        .bind::<Nullable<SqlUuid>, _>(filter.session)
        .bind::<Nullable<Bool>, _>(filter.archived)
        .bind::<BigInt, _>(rows);
    // Not kept prepared: a plan for anybody's words fits neither the words that all memos hold nor those that none does.
    Ok(query.load(conn).await?)
}

/// Reads candidates and adds those that match, until there are enough.
async fn read(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    sought: &Sought,
    candidates: &[Uuid],
    most: usize,
    found: &mut Vec<Memo>,
) -> Outcome<()> {
    for some in candidates.chunks(AT_ONCE) {
        if found.len() >= most {
            return Ok(());
        }
        let memos = store::load(conn, filter.owner, some).await?;
        let matching = memos.into_iter().filter(|memo| sought.matches(&Searchable::of(&memo.content, &memo.tags)));
        found.extend(matching.take(most - found.len()));
    }
    Ok(())
}
