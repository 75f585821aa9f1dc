//! The admission log: who was let in, in order, each entry sealed by the one before.
//!
//! Whoever holds the line's lease writes it, behind the admissions and never in their way. The row of the line is locked
//! meanwhile and knows the last change that is in the log, so a writer that died, was replaced or comes late neither
//! leaves a gap nor writes anybody twice.

use std::fmt::Write as _;

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{EventId, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::script::Admission;

/// What the first entry of a log is sealed by.
pub const BEGINNING: [u8; 32] = [0; 32];
/// Entries that are checked at once.
const PAGE: i64 = 10_000;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Entry {
    /// From 1, without a gap.
    #[diesel(sql_type = BigInt)]
    pub index: i64,
    /// Which line.
    #[diesel(sql_type = Integer)]
    pub generation: i32,
    /// Which memory of it.
    #[diesel(sql_type = Integer)]
    pub incarnation: i32,
    /// The number in line.
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    /// Who: [`user_hash`].
    #[diesel(sql_type = Binary)]
    pub user_hash: Vec<u8>,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub admitted_at: DateTime<Utc>,
    /// Whether the place was given back.
    #[diesel(sql_type = Bool)]
    pub restored: bool,
    /// The seal of the entry before.
    #[diesel(sql_type = Binary)]
    pub prev_hash: Vec<u8>,
    /// The seal of this entry.
    #[diesel(sql_type = Binary)]
    pub hash: Vec<u8>,
}

/// Why a log is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An entry is missing, or one too many.
    Gap(i64),
    /// An entry was altered, or the one before it.
    Broken(i64),
    /// Somebody was let in before somebody who stood in front of them.
    OutOfOrder(i64),
}

/// Returns what stands for a person in the log of an event: they can compute it, and nobody can turn it round.
pub fn user_hash(event_id: EventId, user_id: UserId) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"maru queue person")
        .chain_update(event_id.0.as_bytes())
        .chain_update(user_id.0.as_bytes())
        .finalize()
        .into()
}

impl Entry {
    /// Returns the seal that belongs to what the entry says: SHA-256 of `maru queue entry`, the seal before, and one line
    /// of event, index, generation, incarnation, number, person in hex, milliseconds since 1970, and 1 when restored.
    pub fn seal(&self, event_id: EventId) -> [u8; 32] {
        let mut line = String::new();
        // Writing to a String cannot fail.
        _ = write!(
            line,
            "{event_id} {} {} {} {} {} {} {}",
            self.index,
            self.generation,
            self.incarnation,
            self.seq,
            hex::encode(&self.user_hash),
            self.admitted_at.timestamp_millis(),
            u8::from(self.restored)
        );
        Sha256::new()
            .chain_update(b"maru queue entry")
            .chain_update(&self.prev_hash)
            .chain_update(line.as_bytes())
            .finalize()
            .into()
    }
}

/// Checks entries that follow one another: no gap, every seal right, and nobody let in before somebody in front of them.
#[derive(Debug, Default)]
struct Checker {
    /// Index and seal of the last entry.
    before: Option<(i64, Vec<u8>)>,
    /// Generation and number of the last who was not let in out of turn.
    highest: Option<(i32, i64)>,
}

impl Checker {
    fn take(&mut self, event_id: EventId, entry: &Entry) -> Result<(), Flaw> {
        let (index, prev_hash) = match &self.before {
            Some((index, hash)) => (index + 1, hash.as_slice()),
            None if entry.index == 1 => (1, BEGINNING.as_slice()),
            None => (entry.index, entry.prev_hash.as_slice()),
        };
        if entry.index != index {
            return Err(Flaw::Gap(index));
        }
        if entry.prev_hash != prev_hash || entry.hash != entry.seal(event_id) {
            return Err(Flaw::Broken(index));
        }
        if !entry.restored {
            let place = (entry.generation, entry.seq);
            if self.highest.is_some_and(|highest| place <= highest) {
                return Err(Flaw::OutOfOrder(index));
            }
            self.highest = Some(place);
        }
        self.before = Some((entry.index, entry.hash.clone()));
        Ok(())
    }
}

/// Checks entries that follow one another.
///
/// # Errors
/// Returns the first flaw.
pub fn verify(event_id: EventId, entries: &[Entry]) -> Result<(), Flaw> {
    let mut checker = Checker::default();
    entries.iter().try_for_each(|entry| checker.take(event_id, entry))
}

/// Counts the logs with a flaw, and those that end elsewhere than their waiting room says.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_broken(conn: &mut AsyncPgConnection) -> Outcome<i64> {
    let ends: Vec<Ending> =
        sql_query("SELECT event_id, log_index, log_hash FROM waiting_rooms ORDER BY event_id").load(conn).await?;
    let mut broken = 0;
    for end in ends {
        broken += i64::from(!is_whole(conn, &end).await?);
    }
    Ok(broken)
}

async fn is_whole(conn: &mut AsyncPgConnection, end: &Ending) -> Outcome<bool> {
    let event_id = EventId(end.event_id);
    let mut checker = Checker { before: Some((0, BEGINNING.to_vec())), highest: None };
    loop {
        let read = checker.before.as_ref().map_or(0, |(index, _)| *index);
        let entries = list(conn, event_id, read, PAGE).await?;
        if entries.is_empty() {
            return Ok(checker.before.is_some_and(|before| before == (end.log_index, end.log_hash.clone())));
        }
        if entries.iter().any(|entry| checker.take(event_id, entry).is_err()) {
            return Ok(false);
        }
    }
}

#[derive(QueryableByName)]
struct Ending {
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = BigInt)]
    log_index: i64,
    #[diesel(sql_type = Binary)]
    log_hash: Vec<u8>,
}

#[derive(QueryableByName)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
struct End {
    #[diesel(sql_type = BigInt)]
    log_index: i64,
    #[diesel(sql_type = Binary)]
    log_hash: Vec<u8>,
    #[diesel(sql_type = Integer)]
    log_incarnation: i32,
    #[diesel(sql_type = BigInt)]
    log_change: i64,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) event_id: EventId,
    pub(super) incarnation: i32,
    pub(super) fence: i64,
}

/// Returns the last change that is in the log of this memory.
pub(super) async fn last_change(conn: &mut AsyncPgConnection, writer: Writer) -> Outcome<i64> {
    let end: Option<End> =
        sql_query("SELECT log_index, log_hash, log_incarnation, log_change FROM waiting_rooms WHERE event_id = $1")
            .bind::<SqlUuid, _>(writer.event_id.0)
            .prepared()
            .get_result(conn)
            .await
            .optional()?;
    Ok(end.filter(|end| end.log_incarnation == writer.incarnation).map_or(0, |end| end.log_change))
}

/// Appends admissions, up to the change `read`, in the transaction that `conn` is in. Returns whether the writer was
/// still the one to write.
pub(super) async fn append(
    conn: &mut AsyncPgConnection,
    writer: Writer,
    admissions: &[Admission],
    read: i64,
) -> Outcome<bool> {
    let end: Option<End> = sql_query(
        "SELECT log_index, log_hash, log_incarnation, log_change FROM waiting_rooms \
         WHERE event_id = $1 AND incarnation = $2 AND fence <= $3 FOR UPDATE",
    )
    .bind::<SqlUuid, _>(writer.event_id.0)
    .bind::<Integer, _>(writer.incarnation)
    .bind::<BigInt, _>(writer.fence)
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    let Some(end) = end else { return Ok(false) };
    let written = if end.log_incarnation == writer.incarnation { end.log_change } else { 0 };
    let new: Vec<_> = admissions.iter().filter(|admission| admission.change > written).collect();
    let entries = chain(writer, &end, &new)?;
    let changes: Vec<_> = new.iter().map(|admission| admission.change).collect();
    insert(conn, writer, &entries, &changes).await?;
    let (index, hash) = entries.last().map_or((end.log_index, end.log_hash), |last| (last.index, last.hash.clone()));
    sql_query(
        "UPDATE waiting_rooms SET log_index = $2, log_hash = $3, log_incarnation = $4, log_change = $5, fence = $6 \
         WHERE event_id = $1",
    )
    .bind::<SqlUuid, _>(writer.event_id.0)
    .bind::<BigInt, _>(index)
    .bind::<Binary, _>(hash)
    .bind::<Integer, _>(writer.incarnation)
    .bind::<BigInt, _>(written.max(read))
    .bind::<BigInt, _>(writer.fence)
    .prepared()
    .execute(conn)
    .await?;
    Ok(true)
}

fn chain(writer: Writer, end: &End, admissions: &[&Admission]) -> Outcome<Vec<Entry>> {
    let (mut index, mut prev_hash) = (end.log_index, end.log_hash.clone());
    let mut entries = Vec::with_capacity(admissions.len());
    for admission in admissions {
        index += 1;
        let admitted_at = DateTime::from_timestamp_millis(admission.at_ms)
            .ok_or_else(|| Problem::unexpected("an admission has an impossible time"))?;
        let mut entry = Entry {
            index,
            generation: admission.generation,
            incarnation: writer.incarnation,
            seq: admission.seq,
            user_hash: user_hash(writer.event_id, admission.user_id).to_vec(),
            admitted_at,
            restored: admission.restored,
            prev_hash,
            hash: Vec::new(),
        };
        let seal = entry.seal(writer.event_id);
        entry.hash = seal.to_vec();
        prev_hash = seal.to_vec();
        entries.push(entry);
    }
    Ok(entries)
}

async fn insert(conn: &mut AsyncPgConnection, writer: Writer, entries: &[Entry], changes: &[i64]) -> Outcome<()> {
    fn column<T>(entries: &[Entry], pick: impl Fn(&Entry) -> T) -> Vec<T> {
        entries.iter().map(pick).collect()
    }
    if entries.is_empty() {
        return Ok(());
    }
    sql_query(
        "INSERT INTO queue_admissions (event_id, incarnation, index, generation, change, seq, user_hash, admitted_at, \
         restored, prev_hash, hash) SELECT $1, $2, * FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind::<SqlUuid, _>(writer.event_id.0)
    .bind::<Integer, _>(writer.incarnation)
    .bind::<Array<BigInt>, _>(column(entries, |entry| entry.index))
    .bind::<Array<Integer>, _>(column(entries, |entry| entry.generation))
    .bind::<Array<BigInt>, _>(changes)
    .bind::<Array<BigInt>, _>(column(entries, |entry| entry.seq))
    .bind::<Array<Binary>, _>(column(entries, |entry| entry.user_hash.clone()))
    .bind::<Array<Timestamptz>, _>(column(entries, |entry| entry.admitted_at))
    .bind::<Array<Bool>, _>(column(entries, |entry| entry.restored))
    .bind::<Array<Binary>, _>(column(entries, |entry| entry.prev_hash.clone()))
    .bind::<Array<Binary>, _>(column(entries, |entry| entry.hash.clone()))
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Lists entries after an index, oldest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, event_id: EventId, after: i64, limit: i64) -> Outcome<Vec<Entry>> {
    let entries = sql_query(
        "SELECT index, generation, incarnation, seq, user_hash, admitted_at, restored, prev_hash, hash \
         FROM queue_admissions WHERE event_id = $1 AND index > $2 ORDER BY index LIMIT $3",
    );
    let entries = entries.bind::<SqlUuid, _>(event_id.0).bind::<BigInt, _>(after).bind::<BigInt, _>(limit);
    Ok(entries.prepared().load(conn).await?)
}

/// Counts the entries of a log.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<i64> {
    let end: Option<End> =
        sql_query("SELECT log_index, log_hash, log_incarnation, log_change FROM waiting_rooms WHERE event_id = $1")
            .bind::<SqlUuid, _>(event_id.0)
            .prepared()
            .get_result(conn)
            .await
            .optional()?;
    Ok(end.map_or(0, |end| end.log_index))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const EVENT: EventId = EventId(Uuid::from_u128(9));

    fn log(seqs: &[(i64, bool)]) -> Vec<Entry> {
        let writer = Writer { event_id: EVENT, incarnation: 1, fence: 1 };
        let end = End { log_index: 0, log_hash: BEGINNING.to_vec(), log_incarnation: 1, log_change: 0 };
        let admissions: Vec<_> = seqs
            .iter()
            .zip(1..)
            .map(|(&(seq, restored), change)| Admission {
                change,
                user_id: UserId(Uuid::from_u128(seq.unsigned_abs().into())),
                seq,
                at_ms: 1_800_000_000_000 + change,
                restored,
                generation: 1,
            })
            .collect();
        chain(writer, &end, &admissions.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_log_in_order_is_sound_and_one_out_of_order_is_not() {
        assert_eq!(verify(EVENT, &log(&[(1, false), (2, false), (5, false)])), Ok(()));
        assert_eq!(verify(EVENT, &log(&[(5, false), (2, true), (6, false)])), Ok(()));
        assert_eq!(verify(EVENT, &log(&[(5, false), (2, false)])), Err(Flaw::OutOfOrder(2)));
        assert_eq!(verify(EVENT, &log(&[(5, false), (5, false)])), Err(Flaw::OutOfOrder(2)));
        assert_eq!(verify(EventId(Uuid::nil()), &log(&[(1, false)])), Err(Flaw::Broken(1)));
        assert_eq!(verify(EVENT, &[]), Ok(()));
    }

    proptest! {
        #[test]
        fn whatever_is_altered_is_found(at in 0_usize..20, what in 0..7) {
            let seqs: Vec<_> = (1..=20).map(|seq| (seq * 1_024, false)).collect();
            let mut entries = log(&seqs);
            prop_assert_eq!(verify(EVENT, &entries), Ok(()));
            match what {
                0 => entries[at].seq += 1,
                1 => entries[at].user_hash[0] ^= 1,
                2 => entries[at].admitted_at += chrono::TimeDelta::milliseconds(1),
                3 => entries[at].restored = true,
                4 => entries[at].hash[31] ^= 1,
                5 => entries[at].generation += 1,
                // Altered and sealed anew: the next entry does not fit any more.
                _ => {
                    entries[at].user_hash[0] ^= 1;
                    entries[at].hash = entries[at].seal(EVENT).to_vec();
                    if at == 19 { entries[at].prev_hash[0] ^= 1 }
                }
            }
            prop_assert!(verify(EVENT, &entries).is_err());
        }

        #[test]
        fn an_entry_that_is_left_out_leaves_a_gap(at in 1_usize..19) {
            let seqs: Vec<_> = (1..=20).map(|seq| (seq, false)).collect();
            let mut entries = log(&seqs);
            entries.remove(at);
            prop_assert_eq!(verify(EVENT, &entries), Err(Flaw::Gap(i64::try_from(at).unwrap() + 1)));
        }
    }
}
