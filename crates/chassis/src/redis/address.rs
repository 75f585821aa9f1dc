//! Where Redis is: one server, or some nodes of a cluster, which know the others.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, aio::PubSub, cluster::ClusterClientBuilder,
};
use tokio::time::timeout;

use super::{ACQUIRE_TIMEOUT, Wire};

/// How the address of a cluster begins.
const CLUSTER: &str = "redis+cluster://";
/// What an address must look like.
const FORM: &str = "is neither of the form redis://[:password@]host:port[/db] \
                    nor redis+cluster://[:password@]host:port,host:port,...";
/// Further tries of a command whose key has moved to another node, or whose node was lost. Two suffice for a slot that
/// moved; what is not there after three is asked for in vain until somebody else serves it.
const RETRIES: u32 = 3;
/// Pauses between them, milliseconds: all tries fit into the time of one answer.
const RETRY_PAUSES: (u64, u64) = (10, 100);
/// Longest to wait for one node of a cluster. All are connected to twice, those that are named and those that are learnt
/// from them, and one that is away must not keep the others from being there in time.
const NODE_TIMEOUT: Duration = Duration::from_millis(900);
/// Longest a request waits for a connection to a cluster: as long as one takes whose first named node is away.
const CLUSTER_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where Redis is; clones share it.
#[derive(Clone)]
pub(super) enum Address {
    Server(Client),
    Cluster(Arc<Nodes>),
}

/// The nodes that are named; the others are learnt from them.
pub(super) struct Nodes {
    named: Vec<Client>,
    /// Which one is asked next for what any of them can do.
    next: AtomicUsize,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// Returns what is wrong with it, without any part of it: it may hold a password.
    pub(super) fn read(url: &str) -> Result<Self, &'static str> {
        let open = |url: &str| Client::open(url).map_err(|_its_text_may_hold_the_password| FORM);
        let Some(rest) = url.strip_prefix(CLUSTER) else { return open(url).map(Self::Server) };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let named: Vec<_> =
            hosts.split(',').map(|host| open(&format!("redis://{user}{host}{path}"))).collect::<Result<_, _>>()?;
        if named.iter().any(|node| node.get_connection_info().redis_settings().db() != 0) {
            return Err("names a database, of which a cluster has only the one with the number 0");
        }
        // Not always the first: what hears notices would all sit at one node.
        let next = usize::try_from(RandomState::new().hash_one(0) % 1_024).unwrap_or_default();
        Ok(Self::Cluster(Arc::new(Nodes { named, next: AtomicUsize::new(next) })))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns how long a request waits for a connection.
    pub(super) fn acquire_timeout(&self) -> Duration {
        if self.is_cluster() { CLUSTER_ACQUIRE_TIMEOUT } else { ACQUIRE_TIMEOUT }
    }

    /// Connects; an answer may take as long as `patience`.
    pub(super) async fn connect(&self, patience: Duration) -> Result<Wire, RedisError> {
        match self {
            Self::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(ACQUIRE_TIMEOUT))
                    .set_response_timeout(Some(patience));
                Ok(Wire::Server(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            Self::Cluster(nodes) => {
                let (shortest, longest) = RETRY_PAUSES;
                let named = nodes.named.iter().map(|node| node.get_connection_info().clone());
                let client = ClusterClientBuilder::new(named)
                    .connection_timeout(NODE_TIMEOUT)
                    .response_timeout(patience)
                    .retries(RETRIES)
                    .min_retry_wait(shortest)
                    .max_retry_wait(longest)
                    .build()?;
                Ok(Wire::Cluster(client.get_async_connection().await?))
            }
        }
    }

    /// Subscribes to a channel. In a cluster any node will do, because what is published at one is told to all; nodes take
    /// turns, so that one which is away is not asked for ever.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<PubSub, RedisError> {
        match self {
            Self::Server(client) => subscribe_at(client, channel).await,
            Self::Cluster(nodes) => nodes.subscribe(channel).await,
        }
    }
}

impl Nodes {
    async fn subscribe(&self, channel: &str) -> Result<PubSub, RedisError> {
        let mut outcome = Err(RedisError::from((ErrorKind::Io, "no node of the cluster answers")));
        let (first, all) = (self.next.fetch_add(1, Ordering::Relaxed), self.named.len());
        for node in self.named.iter().cycle().skip(first % all.max(1)).take(all) {
            match timeout(NODE_TIMEOUT, subscribe_at(node, channel)).await {
                Ok(Ok(subscribed)) => return Ok(subscribed),
                Ok(Err(error)) => outcome = Err(error),
                Err(_too_late) => {}
            }
        }
        outcome
    }
}

async fn subscribe_at(client: &Client, channel: &str) -> Result<PubSub, RedisError> {
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.subscribe(channel).await?;
    Ok(pubsub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(url: &str) -> Vec<String> {
        let Ok(Address::Cluster(nodes)) = Address::read(url) else { panic!("no cluster: {url}") };
        let shown = |node: &Client| {
            let info = node.get_connection_info();
            let (user, password) = (info.redis_settings().username(), info.redis_settings().password());
            format!("{} {} {}", info.addr(), user.unwrap_or("-"), password.unwrap_or("-"))
        };
        nodes.named.iter().map(shown).collect()
    }

    #[test]
    fn a_cluster_is_named_by_some_of_its_nodes() {
        assert_eq!(nodes("redis+cluster://a:7001,b:7002,c"), ["a:7001 - -", "b:7002 - -", "c:6379 - -"]);
        assert_eq!(nodes("redis+cluster://:p%40@[::1]:7001,b:7002/0"), ["::1:7001 - p@", "b:7002 - p@"]);
        assert_eq!(nodes("redis+cluster://kim:p@redis:6379/"), ["redis:6379 kim p"]);
        assert!(matches!(Address::read("redis://:p@a:6379/3"), Ok(Address::Server(_))));
    }

    #[test]
    fn an_address_that_cannot_be_is_refused_without_being_repeated() {
        let wrong = ["redis+cluster://", "redis+cluster://a:1,,b:2", "redis+cluster://:secret@a:x", "redis://a:1,b:2"];
        for url in wrong {
            assert_eq!(Address::read(url).err(), Some(FORM), "{url}");
        }
        let refused = Address::read("redis+cluster://a:1,b:2/3").err().unwrap();
        assert!(refused.contains("only the one with the number 0"), "{refused}");
    }
}
