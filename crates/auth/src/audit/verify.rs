//! `maru-auth audit verify`: whether the chain is whole.

use chassis::problem::{Outcome, Problem};

use super::chain::{GENESIS, Link, after};
use crate::app::App;

/// Entries read at once.
const PAGE: i64 = 1_000;

/// What a whole chain looks like.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// How many entries it has.
    pub entries: i64,
    /// The hash of the last one, hexadecimal. Keep it somewhere else: an end that was cut off shows by it alone.
    pub head: String,
}

/// Walks the chain from its beginning.
///
/// # Errors
/// Names the first entry that is not as it was written.
pub async fn verify(app: &App) -> Outcome<Whole> {
    let mut conn = app.ground.pg.conn().await?;
    let (mut seq, mut hash) = (0, GENESIS.to_vec());
    loop {
        let page = after(&mut conn, seq, PAGE).await?;
        if page.is_empty() {
            return Ok(Whole { entries: seq, head: hex::encode(hash) });
        }
        for link in page {
            check(&link, seq, &hash).map_err(|fault| {
                Problem::unexpected(format!("the audit chain is broken at entry {}: {fault}", link.seq))
            })?;
            (seq, hash) = (link.seq, link.hash);
        }
    }
}

fn check(link: &Link, before: i64, hash_before: &[u8]) -> Result<(), &'static str> {
    if link.seq != before + 1 {
        return Err("an entry before it is missing");
    }
    if link.prev_hash != hash_before {
        return Err("it does not follow the entry before it");
    }
    if link.personal.as_ref().is_some_and(|personal| Link::digest_of(personal) != link.personal_digest) {
        return Err("its personal part was changed");
    }
    if link.expected_hash() != link.hash {
        return Err("it was changed");
    }
    Ok(())
}
