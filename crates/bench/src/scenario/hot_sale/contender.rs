//! Who takes orders, and how each is measured.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Options,
    orders::{self, Named, Sample},
};
use crate::{
    cpu,
    figures::float,
    load::{self, Pace},
    own_database::OwnDatabase,
    peer::{Package, Peer},
    people::{self, Audience, Keys},
    pgbench::Pgbench,
    platform::Platform,
    process::Processes,
    ticketing_process::{Server, Surroundings, start_gateway, start_ticketing},
    trouble::Trouble,
    wrk::cpu_per_request,
};

const NODE: Package = Package {
    name: "hot-sale",
    manifest: include_str!("../../../peers/hot-sale/package.json"),
    main: include_str!("../../../peers/hot-sale/server.mjs"),
};
/// Orders that are placed before the clock runs.
const WARM_UP: Duration = Duration::from_millis(400);
/// Orders of one call of the batch function.
const BATCH: f64 = 64.0;

/// Who takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contender {
    /// The batch function by pgbench with so many connections.
    Batches(u32),
    /// Node.js, a transaction for each order, with so many connections to the database.
    NodeTransaction(u32),
    /// Node.js with Maru's combiner and SQL.
    NodeCombiner,
    /// The ticketing service.
    Straight,
    /// The same when every order is of another buyer: a token to verify for each.
    NewBuyers,
    /// The ticketing service through the gateway.
    Gateway,
}

impl Contender {
    pub(super) const POOLS: [Self; 3] = [Self::NodeTransaction(2), Self::NodeTransaction(4), Self::NodeTransaction(8)];
    pub(super) const ALL: [Self; 9] = [
        Self::Batches(1),
        Self::Batches(2),
        Self::NodeTransaction(2),
        Self::NodeTransaction(4),
        Self::NodeTransaction(8),
        Self::NodeCombiner,
        Self::Straight,
        Self::NewBuyers,
        Self::Gateway,
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Batches(clients) => format!("pgbench, 64 orders a call, {clients} conn."),
            Self::NodeTransaction(pool) => format!("Fastify, a transaction each, pool {pool}"),
            Self::NodeCombiner => "Fastify, Maru's combiner and SQL".to_owned(),
            Self::Straight => "Maru".to_owned(),
            Self::NewBuyers => "Maru, each order a new buyer".to_owned(),
            Self::Gateway => "Maru through the gateway".to_owned(),
        }
    }
}

/// Everything that runs.
pub(super) struct Stage {
    raw: OwnDatabase,
    node: OwnDatabase,
    maru: OwnDatabase,
    keys: Keys,
    buyers: Arc<[String]>,
    node_pools: Vec<(u32, Server)>,
    node_combiner: Server,
    ticketing: Server,
    gateway: Server,
    postgres: Option<u32>,
    seconds: u64,
    connections: u32,
    orders_per_buyer: u64,
}

impl Stage {
    /// Makes the databases and starts the servers.
    pub(super) async fn set(platform: &Platform, options: &Options, processes: &Processes) -> Result<Self, Trouble> {
        let [raw, node, maru] = [
            OwnDatabase::create(platform, "raw").await?,
            OwnDatabase::create(platform, "node").await?,
            OwnDatabase::create(platform, "maru").await?,
        ];
        let room = if options.waiting_room { "'auto', 1000000" } else { "'off', 1000" };
        for database in [&raw, &node, &maru] {
            database.run(&orders::seed(room)).await?;
        }
        let start_node = async |mode: &str, pool: u32| {
            let variables = [("DATABASE_URL", node.url.clone()), ("MODE", mode.to_owned()), ("POOL", pool.to_string())];
            let peer = Peer::start(NODE, &variables, processes).await?;
            Ok::<_, Trouble>(Server::at(peer.pid, peer.port))
        };
        let mut node_pools = Vec::new();
        for contender in Contender::POOLS {
            if let Contender::NodeTransaction(pool) = contender {
                node_pools.push((pool, start_node("transaction", pool).await?));
            }
        }
        let node_combiner = start_node("combiner", 2).await?;
        let keys = Keys::generate()?;
        let around =
            Surroundings { database_url: &maru.url, redis_url: &platform.redis_url, log_level: &options.log_level };
        let ticketing = start_ticketing("ticketing", &keys, around, processes).await?;
        let gateway = start_gateway(&keys, ticketing, &platform.redis_url, &options.log_level, processes).await?;
        // As many as there may be orders: there is a contender for whom each order is another one's.
        let buyers = orders::buyers_for(options.most * (options.seconds + 1), 1);
        Ok(Self {
            buyers: people::people(usize::try_from(buyers).unwrap_or(usize::MAX))?,
            postgres: platform.pids_of("postgres").first().copied(),
            seconds: options.seconds,
            connections: options.connections,
            orders_per_buyer: options.orders_per_buyer,
            raw,
            node,
            maru,
            keys,
            node_pools,
            node_combiner,
            ticketing,
            gateway,
        })
    }

    /// Ends the servers and drops the databases.
    pub(super) async fn clear(self, processes: &Processes) -> Result<(), Trouble> {
        processes.stop_all().await;
        for database in [self.raw, self.node, self.maru] {
            database.drop().await?;
        }
        Ok(())
    }

    /// Measures one, as fast as it can or at a steady rate.
    pub(super) async fn measure(&self, contender: Contender, round: u32, rate: Option<u32>) -> Result<Sample, Trouble> {
        let (database, server) = match contender {
            Contender::Batches(clients) => return self.batches(clients, round).await,
            Contender::NodeTransaction(pool) => {
                let found = self.node_pools.iter().find(|(size, _)| *size == pool);
                (&self.node, found.ok_or_else(|| Trouble::Broken(format!("no pool of {pool}")))?.1)
            }
            Contender::NodeCombiner => (&self.node, self.node_combiner),
            Contender::Straight | Contender::NewBuyers => (&self.maru, self.ticketing),
            Contender::Gateway => (&self.maru, self.gateway),
        };
        let orders_per_buyer = if contender == Contender::NewBuyers { 1 } else { self.orders_per_buyer };
        let most = usize::try_from(orders::buyers_for(self.buyers.len() as u64, orders_per_buyer));
        let buyers = self.buyers.get(..most.unwrap_or(usize::MAX)).unwrap_or(&self.buyers);
        let named = match contender {
            Contender::Gateway => Named::Tokens(self.keys.tokens(Audience::Gateway, buyers)?),
            Contender::Straight | Contender::NewBuyers => Named::Tokens(self.keys.tokens(Audience::Ticketing, buyers)?),
            _ => Named::Ids(self.buyers.clone()),
        };
        let write = || orders::writer(named.clone(), server, orders_per_buyer);
        database.run(orders::FORGET).await?;
        let warm = load::send(server.address, self.connections, Pace::Closed(WARM_UP), 0, write()).await?;
        let gateway_pid = (contender == Contender::Gateway).then_some(server.pid);
        let server_pid = if contender == Contender::Gateway { self.ticketing.pid } else { server.pid };
        let used = || {
            let of = |pid: Option<u32>| pid.and_then(cpu::used_by);
            [of(Some(server_pid)), of(gateway_pid), of(self.postgres)]
        };
        let duration = Duration::from_secs(self.seconds);
        let pace = rate.map_or(Pace::Closed(duration), |rate| Pace::Open(rate, duration));
        let before = database.count(orders::COMMITTED).await?;
        let used_before = used();
        let answered = load::send(server.address, self.connections, pace, warm.next, write()).await?;
        let used_after = used();
        let committed = database.count(orders::COMMITTED).await? - before;
        let cpu = used_before.iter().zip(used_after).map(|(before, after)| {
            let used = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
            used.and_then(|used| cpu_per_request(used, committed))
        });
        let cpu: Vec<_> = cpu.collect();
        let micros = |at: usize| cpu.get(at).copied().flatten();
        let sample = Sample {
            contender,
            round,
            committed,
            per_second: float(committed) / answered.wall.as_secs_f64(),
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            server_micros: micros(0),
            gateway_micros: micros(1),
            postgres_micros: micros(2),
            others: String::new(),
            faults: database.count(orders::UNSOUND).await?,
        };
        Ok(sample.answered(&answered))
    }

    /// Measures the bare function.
    async fn batches(&self, clients: u32, round: u32) -> Result<Sample, Trouble> {
        let pgbench = Pgbench::find(&self.raw.url).await?;
        self.raw.run(orders::FORGET).await?;
        let calls = pgbench.rate(&orders::batch_statement(), orders::HOT, clients, self.seconds).await?;
        let committed = self.raw.count(orders::COMMITTED).await?;
        let per_second = calls * BATCH;
        // A call that grants less than all of its orders would be another measure.
        let is_complete = float(committed) > 0.9 * per_second * float(self.seconds);
        Ok(Sample {
            contender: Contender::Batches(clients),
            round,
            committed,
            per_second,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            server_micros: None,
            gateway_micros: None,
            // Its connections have ended, and nobody counts their time any more.
            postgres_micros: None,
            others: "none".to_owned(),
            faults: self.raw.count(orders::UNSOUND).await? + u64::from(!is_complete),
        })
    }
}
