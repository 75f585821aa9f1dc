//! Searching one person's memos, newest first.
//!
//! The index is asked for some candidates first. When those are all, they are read: that finds the page and how many there
//! are in all. When there are more, they stand in recent memos too, so the newest memos are looked at one after the other,
//! and only for what is then left to find the index is asked again. None of it grows with how many memos there are. What
//! is a candidate is read, and [`Sought::matches`] decides.

use std::cmp::Reverse;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
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
/// Candidates that are read at once, a page and some: the longest memos have 400 kB each.
const AT_ONCE: usize = 64;
/// Most candidates of a search that reads all of them.
const CANDIDATES_MAX: i64 = 500;
/// Most bytes of them together: what is folded in a few milliseconds.
const READ_BYTES_MAX: i64 = 1024 * 1024;
/// Most candidates that the index is asked for at once.
const ROWS_MAX: i64 = 1_600;

/// What all statements look through; the keys of the query are `$5`, the key of memos with too many `$6`.
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

/// Some candidates, in no order, with what stands in them when these are all and are not too long together.
const SOME: &str = concat!(
    "WITH candidates AS MATERIALIZED (SELECT id, created_at, content, tags, octet_length(content)::bigint AS bytes ",
    rows!(),
    " AND (search_keys @> $5 OR search_keys @> ARRAY[$6]) LIMIT $10), \
     told AS (SELECT *, count(*) OVER () < $10 AND sum(bytes) OVER () <= $11::bigint AS is_told FROM candidates) \
     SELECT id, created_at, is_told, CASE WHEN is_told THEN content ELSE '' END AS content, \
     CASE WHEN is_told THEN tags ELSE '{}' END AS tags FROM told"
);

/// What a search finds.
pub struct Found {
    /// At most as many as were wanted, the newest first.
    pub memos: Vec<Memo>,
    /// How many there are in all; nothing when that would mean to read too much.
    pub total: Option<i64>,
}

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_told: bool,
    #[diesel(sql_type = Text)]
    content: String,
    #[diesel(sql_type = Array<Text>)]
    tags: Vec<String>,
}

impl Candidate {
    /// Where it stands among all memos.
    const fn place(&self) -> (DateTime<Utc>, Uuid) {
        (self.created_at, self.id)
    }
}

/// A statement with its values, for which more may follow.
type Question<'q> = BoxedSqlQuery<'q, Pg, SqlQuery>;

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
) -> Outcome<Found> {
    let most = usize::try_from(wanted).unwrap_or_default();
    let keys = sought.keys(filter.owner);
    let some = look(SOME, filter, &keys, filter.start(), CANDIDATES_MAX + 1).bind::<BigInt, _>(READ_BYTES_MAX);
    let mut candidates: Vec<Candidate> = some.load(conn).await?;
    if i64::try_from(candidates.len()).unwrap_or(i64::MAX) > CANDIDATES_MAX {
        let memos = look_back(conn, filter, (sought, &keys), after, most).await?;
        return Ok(Found { memos, total: None });
    }
    let is_told = candidates.iter().all(|candidate| candidate.is_told);
    candidates.retain(|found| !is_told || sought.matches(&Searchable::of(&found.content, &found.tags)));
    let total = is_told.then_some(i64::try_from(candidates.len()).unwrap_or(i64::MAX));
    candidates.sort_unstable_by_key(|candidate| Reverse(candidate.place()));
    let from = candidates.partition_point(|candidate| candidate.place() >= (after.created_at, after.id));
    let left: Vec<Uuid> = candidates.iter().skip(from).map(|candidate| candidate.id).collect();
    let mut memos = Vec::new();
    if is_told {
        memos = store::load(conn, filter.owner, left.get(..most).unwrap_or(&left)).await?;
    } else {
        read(conn, filter, sought, &left, most, &mut memos).await?;
    }
    Ok(Found { memos, total })
}

/// Looks through the newest memos, and then through all candidates.
async fn look_back(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    (sought, keys): (&Sought, &[i32]),
    after: Place,
    most: usize,
) -> Outcome<Vec<Memo>> {
    let mut found = Vec::new();
    let (mut after, mut statement, mut rows) = (after, NEWEST, RECENT);
    loop {
        let seen: Vec<Seen> = look(statement, filter, keys, after, rows).load(conn).await?;
        let candidates: Vec<Uuid> = seen.iter().filter(|seen| seen.is_candidate).map(|seen| seen.id).collect();
        read(conn, filter, sought, &candidates, most, &mut found).await?;
        let is_last = i64::try_from(seen.len()).unwrap_or_default() < rows;
        match seen.last() {
            Some(last) if !is_last && found.len() < most => {
                after = Place { created_at: last.created_at, id: last.id };
                // As many again as were looked at: where few candidates are what is sought, the index is asked seldom.
                (statement, rows) =
                    (CANDIDATES, if statement == NEWEST { RECENT / 4 } else { (rows * 2).min(ROWS_MAX) });
            }
            _ => return Ok(found),
        }
    }
}

/// Asks for rows after a place.
fn look<'q>(statement: &'q str, filter: &'q Filter, keys: &'q [i32], after: Place, rows: i64) -> Question<'q> {
    // Not kept prepared: a plan for anybody's words fits neither the words that all memos hold nor those that none does.
    sql_query(statement)
        .into_boxed()
        .bind::<SqlUuid, _>(filter.owner.0)
        .bind::<Timestamptz, _>(filter.from)
        .bind::<Timestamptz, _>(after.created_at)
        .bind::<SqlUuid, _>(after.id)
        .bind::<Array<Integer>, _>(keys)
        .bind::<Integer, _>(too_varied(filter.owner))
        .bind::<Nullable<Text>, _>(filter.tag.as_deref())
        .bind::<Nullable<SqlUuid>, _>(filter.session)
        .bind::<Nullable<Bool>, _>(filter.archived)
        .bind::<BigInt, _>(rows)
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
