//! A private Redis: one server, or a cluster.
//!
//! It keeps nothing on disk: what lives in Redis may be lost at any time, by design of the platform. It listens on the
//! loopback address only and cannot be told to write files or load code.

mod cluster;

use std::{fmt::Write as _, time::Duration};

use tokio::try_join;

use crate::{
    account::{self, Account},
    fault::Fault,
    files,
    home::Home,
    locate::RedisProgram,
    parts::{PORT_ATTEMPTS, Workshop, port_was_taken},
    postgres::Purpose,
    probe,
    process::Stop,
    program::{Environment, Program, Stage},
    supervise::Watched,
};

/// Name of the child, where it is one.
pub(crate) const NAME: &str = "redis";

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How often a starting server is asked.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Redis as the services see it.
pub(crate) struct Redis {
    /// Its address.
    pub(crate) url: String,
    /// The address of one that is no cluster, where there is one: a test that stands between a service and Redis can
    /// stand before one server only.
    pub(crate) single_url: Option<String>,
    /// The one server, unless the caller brought it.
    pub(crate) server: Option<Watched>,
    /// The nodes of a cluster.
    pub(crate) nodes: Vec<Watched>,
}

/// What a server is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It is the one server.
    Single,
    /// It is one of a cluster's nodes.
    Node,
}

impl Redis {
    /// One server; the caller's own has no process of ours.
    pub(crate) fn single(url: String, server: Option<Watched>) -> Self {
        Self { single_url: Some(url.clone()), url, server, nodes: Vec::new() }
    }
}

/// Starts what is wanted: one server or a cluster; for tests of the cluster both.
pub(crate) async fn start(workshop: &Workshop<'_>, found: &RedisProgram, home: &Home) -> Result<Redis, Fault> {
    let single = async {
        let (port, server) = serve(workshop, found, home, NAME, Role::Single).await?;
        Ok(Redis::single(format!("redis://127.0.0.1:{port}/0"), Some(server)))
    };
    match (workshop.redis_cluster, workshop.purpose) {
        (false, _) => single.await,
        (true, Purpose::Development) => cluster::start(workshop, found, home).await,
        (true, Purpose::Tests) => {
            let (single, cluster) = try_join!(single, cluster::start(workshop, found, home))?;
            Ok(Redis { single_url: single.single_url, server: single.server, ..cluster })
        }
    }
}

/// The servers that an address names, an address each.
pub(crate) fn servers(url: &str) -> Vec<String> {
    let Some(rest) = url.strip_prefix(cluster::SCHEME) else { return vec![url.to_owned()] };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    hosts.split(',').map(|host| format!("redis://{host}")).collect()
}

/// Starts a server and waits until it answers.
async fn serve(
    workshop: &Workshop<'_>,
    found: &RedisProgram,
    home: &Home,
    name: &str,
    role: Role,
) -> Result<(u16, Watched), Fault> {
    for _ in 0..PORT_ATTEMPTS {
        let port = workshop.with_ports(|ports| match role {
            Role::Single => ports.pick(name),
            Role::Node => ports.pick_pair(name, cluster::BUS_DISTANCE),
        })?;
        let watched = workshop.household.keep(program(found, home, name, port, role)?)?;
        match ready(&watched, port).await {
            Ok(()) => return Ok((port, watched)),
            Err(fault) if port_was_taken(&fault) => {
                workshop.household.dismiss(name).await;
                workshop.with_ports(|ports| ports.forget(name));
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new("Redis found no free port", "end programs that hold many ports, then run this again"))
}

/// The server as a child.
fn program(found: &RedisProgram, home: &Home, name: &str, port: u16, role: Role) -> Result<Program, Fault> {
    // Root's Redis gives up root's rights, like PostgreSQL.
    let home = Home { account: Account::for_children(&["redis", "postgres", "nobody"])?, ..home.clone() };
    let directory = home.room(name)?;
    if role == Role::Node {
        cluster::forget(&directory)?;
    }
    let file = directory.join("redis.conf");
    files::replace(&file, configuration(found.major, port, role).as_bytes())?;
    account::give(&file, home.account)?;
    Ok(Program {
        name: name.to_owned(),
        executable: found.file.clone(),
        arguments: vec![file.display().to_string()],
        environment: Environment::Only(Vec::new()),
        directory,
        account: home.account,
        stop: Stop::Group,
        stage: Stage::Redis,
    })
}

/// Waits until the server answers.
async fn ready(watched: &Watched, port: u16) -> Result<(), Fault> {
    let attempt = async {
        while !probe::redis(port).await {
            watched.check("see the lines above")?;
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    };
    tokio::time::timeout(START_LIMIT, attempt).await.unwrap_or_else(|_| {
        let what = format!("Redis was not ready within {} s", START_LIMIT.as_secs());
        Err(Fault::new(what, "see the lines above and `maru-dev doctor`").with_evidence(watched.recent_lines()))
    })
}

fn configuration(major: u32, port: u16, role: Role) -> String {
    let mut text = format!("bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndaemonize no\nloglevel notice\n");
    if role == Role::Node {
        text.push_str(cluster::CONFIGURATION);
    }
    if major < 7 {
        // From 7 on these cannot be misused unless switched on; before, they let any local user write files as this one.
        for command in ["CONFIG", "MODULE", "DEBUG"] {
            let _ = writeln!(text, "rename-command {command} \"\"");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_redis_loses_its_dangerous_commands() {
        assert!(configuration(6, 1, Role::Single).contains("rename-command CONFIG \"\""));
        assert!(!configuration(7, 1, Role::Single).contains("rename-command"));
        assert!(configuration(7, 21_000, Role::Single).contains("port 21000\n"));
    }

    #[test]
    fn only_a_node_is_one_of_a_cluster() {
        assert!(!configuration(7, 1, Role::Single).contains("cluster"));
        assert!(configuration(7, 1, Role::Node).contains("cluster-enabled yes\n"));
    }

    #[test]
    fn an_address_names_one_server_or_several() {
        assert_eq!(servers("redis://:p@a:1/0"), ["redis://:p@a:1/0"]);
        assert_eq!(servers("redis+cluster://:p@a:1,b:2/0"), ["redis://a:1", "redis://b:2"]);
    }
}
