//! What the master key before this one wrapped is wrapped anew, until that key is not needed any more.

use std::time::Duration;

use chassis::{lifecycle::Lifecycle, pg::Pg, problem::Outcome};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::ids::UserId;

use super::{
    Vault,
    store::{self, WrappedKey},
};

/// Keys that are wrapped in one transaction.
const BATCH: i64 = 200;
/// How often is looked for more: a replica that still runs with the older key may have made some.
const EVERY: Duration = Duration::from_mins(10);

/// Starts the loop that wraps keys anew. Without a previous master key there is nothing it could do.
pub fn rewrap(lifecycle: &Lifecycle, pg: Pg, vault: Vault) {
    if vault.0.previous.is_none() {
        return;
    }
    lifecycle.spawn_every("older_master_key", EVERY, move || {
        let (pg, vault) = (pg.clone(), vault.clone());
        async move {
            match rewrap_all(&pg, &vault).await {
                Ok(Done { broken: 0, wrapped }) => {
                    tracing::info!(wrapped, "every key is wrapped by the current master key");
                }
                Ok(Done { broken, wrapped }) => {
                    tracing::error!(wrapped, broken, "people's keys were altered and cannot be unwrapped");
                }
                Err(problem) => tracing::warn!(code = problem.code(), "people's keys are not wrapped anew yet"),
            }
        }
    });
}

#[derive(Default)]
struct Done {
    wrapped: usize,
    broken: usize,
}

/// Wraps anew what the previous master key wrapped.
async fn rewrap_all(pg: &Pg, vault: &Vault) -> Outcome<Done> {
    let mut all = Done::default();
    loop {
        let mut conn = pg.conn().await?;
        let Done { wrapped, broken } = conn.transaction(async |conn| rewrap_some(conn, vault).await).await?;
        all.wrapped += wrapped;
        if wrapped == 0 {
            return Ok(Done { broken, ..all });
        }
    }
}

async fn rewrap_some(conn: &mut AsyncPgConnection, vault: &Vault) -> Outcome<Done> {
    let mut done = Done::default();
    let Some(previous) = &vault.0.previous else { return Ok(done) };
    let current = &vault.0.current;
    for (owner, key) in store::hold_some_of(conn, previous.id(), BATCH).await? {
        let Ok(raw) = previous.unwrap(UserId(owner), &key.wrapped_key) else {
            done.broken += 1;
            continue;
        };
        let wrapped_key = current.wrap(UserId(owner), &raw)?;
        store::replace(conn, owner, &WrappedKey { wrapped_key, master_key_id: current.id().to_owned() }).await?;
        done.wrapped += 1;
    }
    Ok(done)
}
