//! How full the pools are, told as gauges.

use std::time::Duration;

use crate::{lifecycle::Lifecycle, pg::Pg, redis::Redis};

/// How often the pools are looked at. A look is a lock that nobody holds for long.
const EVERY: Duration = Duration::from_secs(1);

/// Returns a count as gauges take it.
#[expect(clippy::cast_precision_loss, reason = "counts of things in memory are far below 2^52")]
pub fn count(of: usize) -> f64 {
    of as f64
}

/// Starts the loop that tells how many connections are in use, and how many callers wait for one.
pub(crate) fn watch(lifecycle: &Lifecycle, pg: Pg, redis: Redis) {
    lifecycle.spawn_every("pool_gauges", EVERY, move || {
        tell("postgresql", pg.pool.status());
        tell("redis", redis.status());
        std::future::ready(())
    });
}

fn tell(pool: &'static str, status: deadpool::Status) {
    metrics::gauge!("pool_connections_max", "pool" => pool).set(count(status.max_size));
    metrics::gauge!("pool_connections_open", "pool" => pool).set(count(status.size));
    metrics::gauge!("pool_connections_in_use", "pool" => pool).set(count(status.size.saturating_sub(status.available)));
    metrics::gauge!("pool_callers_waiting", "pool" => pool).set(count(status.waiting));
}
