//! A connection: to the one server, or to every node of a cluster.
//!
//! In a cluster a command goes to the node of its key. A script's keys share one hash tag, and so do those of a
//! transaction; the commands of any other pipeline may have keys of many slots, and are sent to their nodes apart.

use std::collections::HashMap;

use deadpool_redis::redis::{
    Arg, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, Slot},
    cmd,
};
use futures_util::{FutureExt, future::try_join_all};

/// A connection to the one server, or to every node of a cluster; clones share it, and may ask at the same time.
///
/// A cluster's sends a command again whose node was lost before it answered, so that now and then one is done twice.
#[derive(Clone)]
pub enum Wire {
    /// To the one server.
    Server(MultiplexedConnection),
    /// To every node of a cluster.
    Cluster(ClusterConnection),
}

impl Wire {
    /// Returns whether every key has a node that serves it. Each node is asked: one that comes back refuses its keys for
    /// two seconds while the others find all well.
    pub(super) async fn is_whole(&mut self) -> Result<bool, RedisError> {
        let Self::Cluster(conn) = self else { return Ok(true) };
        let mut question = cmd("CLUSTER");
        question.arg("INFO");
        let everybody = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answers = HashMap::<String, String>::from_redis_value(conn.route_command(question, everybody).await?)?;
        Ok(!answers.is_empty() && answers.values().all(|state| state.contains("cluster_state:ok")))
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(conn) => conn.req_packed_command(command),
            Self::Cluster(conn) => conn.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(conn) => conn.req_packed_commands(commands, offset, count),
            Self::Cluster(conn) => match apart(commands) {
                Some(parts) => ask_apart(conn, parts, count).boxed(),
                None => conn.req_packed_commands(commands, offset, count),
            },
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(conn) => conn.get_db(),
            Self::Cluster(conn) => conn.get_db(),
        }
    }
}

/// Those commands of a pipeline that go together, and the place of each in the whole.
#[derive(Default)]
struct Part {
    commands: Pipeline,
    places: Vec<usize>,
}

/// Takes a pipeline apart by the slots of its keys; nothing when it has one slot, or must stay whole.
fn apart(commands: &Pipeline) -> Option<Vec<Part>> {
    if commands.is_transaction() {
        return None;
    }
    let slots: Vec<_> = commands.cmd_iter().map(|command| key(command).map(Slot::for_key)).collect();
    if slots.iter().all(|slot| Some(slot) == slots.first()) {
        return None;
    }
    let mut parts: HashMap<_, Part> = HashMap::new();
    for (place, (command, slot)) in commands.cmd_iter().zip(slots).enumerate() {
        let part = parts.entry(slot).or_default();
        part.commands.add_command(command.clone());
        part.places.push(place);
    }
    Some(parts.into_values().collect())
}

/// The key that decides where a command goes: the first word behind its name, or behind a script and the number of keys.
fn key(command: &Cmd) -> Option<&[u8]> {
    let word = |place| match command.args_iter().nth(place) {
        Some(Arg::Simple(word)) => Some(word),
        _ => None,
    };
    let is = |name: &str| word(0).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    word(if is("EVAL") || is("EVALSHA") { 3 } else { 1 })
}

async fn ask_apart(conn: &ClusterConnection, parts: Vec<Part>, count: usize) -> Result<Vec<Value>, RedisError> {
    let asked = parts.iter().map(|part| {
        let mut conn = conn.clone();
        async move { conn.req_packed_commands(&part.commands, 0, part.places.len()).await }
    });
    let answers = try_join_all(asked).await?;
    let mut whole = vec![Value::Nil; count];
    for (part, answers) in parts.iter().zip(answers) {
        for (place, answer) in part.places.iter().zip(answers) {
            if let Some(at) = whole.get_mut(*place) {
                *at = answer;
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::pipe;

    use super::*;

    fn places(commands: &Pipeline) -> Option<Vec<Vec<usize>>> {
        let mut places: Vec<_> = apart(commands)?.into_iter().map(|part| part.places).collect();
        places.sort();
        Some(places)
    }

    #[test]
    fn a_pipeline_goes_apart_by_slots_and_in_order() {
        let mut commands = pipe();
        commands.cmd("XADD").arg("a").arg("*").cmd("EXPIRE").arg("b").cmd("EXPIRE").arg("a").arg(1);
        commands.cmd("evalsha").arg("script").arg(1).arg("b").cmd("EVAL").arg("return 1").arg(1).arg("{a}:c").arg("b");
        assert_eq!(places(&commands), Some(vec![vec![0, 2, 4], vec![1, 3]]));
    }

    #[test]
    fn what_has_one_slot_or_must_stay_whole_does() {
        let mut commands = pipe();
        assert_eq!(places(&commands), None);
        commands.cmd("SET").arg("{a}:1").arg(1).cmd("SET").arg("{a}:2").arg(1);
        assert_eq!(places(&commands), None);
        commands.cmd("SET").arg("b").arg(1);
        assert!(places(&commands).is_some());
        commands.atomic();
        assert_eq!(places(&commands), None);
    }
}
