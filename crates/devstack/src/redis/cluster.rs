//! Three servers in cluster mode, each with a third of the slots and none with a replica.
//!
//! A node that dies is started again and finds its place by what it noted of the others; its keys are gone, and until it is
//! back theirs are served by nobody, as in any cluster without replicas.

use std::{io::ErrorKind, path::Path, time::Duration};

use tokio::try_join;

use super::{Redis, Role, START_LIMIT, serve};
use crate::{fault::Fault, home::Home, locate::RedisProgram, parts::Workshop, probe, supervise::Watched};

/// How the address of a cluster begins.
pub(super) const SCHEME: &str = "redis+cluster://";

/// How far behind its port a node listens to the others; the same for every version.
pub(super) const BUS_DISTANCE: u16 = 10_000;

/// What makes a server a node. It is told its address, which it would otherwise learn from the others, and late.
pub(super) const CONFIGURATION: &str =
    "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-announce-ip 127.0.0.1\n";

/// What a node notes of the others.
const NOTES: &str = "nodes.conf";

/// The slots of a cluster.
const SLOTS: u16 = 16_384;

/// How often nodes are asked whether they are one cluster yet. A new one takes two seconds to say so.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How much of an answer must be read to know whether it is one: `+OK` and the end of the line.
const OK: (&str, u64) = ("+OK\r\n", 5);

/// How much of what a node knows of its cluster: more than the first line, which says whether all slots are served.
const STATE: (&str, u64) = ("cluster_state:ok", 64);

/// Starts the nodes and makes a cluster of them.
pub(super) async fn start(workshop: &Workshop<'_>, found: &RedisProgram, home: &Home) -> Result<Redis, Fault> {
    let node = async |name: &str| serve(workshop, found, home, name, Role::Node).await;
    let nodes = try_join!(node("redis.1"), node("redis.2"), node("redis.3"))?;
    let nodes: [(u16, Watched); 3] = nodes.into();
    let joined = tokio::time::timeout(START_LIMIT, join(nodes.each_ref().map(|(port, _)| *port))).await;
    joined.unwrap_or_else(|_| {
        let what = format!("the nodes of Redis were not one cluster within {} s", START_LIMIT.as_secs());
        let evidence = nodes.iter().flat_map(|(_, watched)| watched.recent_lines()).collect();
        Err(Fault::new(what, "see the lines above and `maru-dev doctor`").with_evidence(evidence))
    })?;
    let hosts = nodes.each_ref().map(|(port, _)| format!("127.0.0.1:{port}"));
    Ok(Redis {
        url: format!("{SCHEME}{}", hosts.join(",")),
        single_url: None,
        server: None,
        nodes: nodes.into_iter().map(|(_, watched)| watched).collect(),
    })
}

/// Has a node forget those of the last start: their ports may be others'.
pub(super) fn forget(directory: &Path) -> Result<(), Fault> {
    let file = directory.join(NOTES);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Fault::io(format!("delete {}", file.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Shares the slots out and introduces the nodes to each other.
async fn join(ports: [u16; 3]) -> Result<(), Fault> {
    for (place, port) in (0..).zip(ports) {
        let slots: Vec<_> = (0..SLOTS).filter(|slot| share(*slot) == place).map(|slot| slot.to_string()).collect();
        tell(port, &format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await?;
        // Each its own, or they would have to agree on who is first.
        tell(port, &format!("CLUSTER SET-CONFIG-EPOCH {}", place + 1)).await?;
    }
    let [one, two, three] = ports;
    for (port, other) in [(one, two), (one, three), (two, three)] {
        tell(port, &format!("CLUSTER MEET 127.0.0.1 {other}")).await?;
    }
    for port in ports {
        let (wanted, length) = STATE;
        while !probe::redis_answers(port, "CLUSTER INFO", length).await.is_some_and(|state| state.contains(wanted)) {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    Ok(())
}

/// Whose a slot is: a third each, in one piece.
fn share(slot: u16) -> u16 {
    slot / SLOTS.div_ceil(3)
}

async fn tell(port: u16, command: &str) -> Result<(), Fault> {
    let (wanted, length) = OK;
    if probe::redis_answers(port, command, length).await.is_some_and(|answer| answer == wanted) {
        return Ok(());
    }
    let what: String = command.chars().take(24).collect();
    Err(Fault::new(format!("Redis at port {port} refuses `{what}`"), "this is a defect of maru-dev, report it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_a_third_of_the_slots() {
        let of = |node| (0..SLOTS).filter(|slot| share(*slot) == node).count();
        assert_eq!([0, 1, 2, 3].map(of), [5_462, 5_462, 5_460, 0]);
    }
}
