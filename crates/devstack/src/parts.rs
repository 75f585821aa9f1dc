//! What the services stand on: PostgreSQL, Redis and object storage.
//!
//! All three start at the same time. A part that the caller brought is only named, not started.

use std::{
    io::ErrorKind,
    sync::{Mutex, PoisonError},
};

use tokio::try_join;
use tokio_postgres::Client;

use crate::{
    databases,
    fault::Fault,
    home::{self, Home},
    locate::{PostgresPrograms, RedisProgram},
    object_store::{self, Guard},
    packages::{self, Needs},
    ports::Ports,
    postgres::{self, Cluster, Purpose},
    progress::Progress,
    redis::{self, Redis},
    secrets::Secrets,
    settings::{ObjectStore, Settings},
    standby::{self, Standby},
    supervise::{Household, Watched},
};

/// The platform's one bucket.
const BUCKET: &str = "maru";

/// How often a port that someone else took in the meantime is replaced by another one.
pub(crate) const PORT_ATTEMPTS: usize = 3;

/// What the parts are started with.
pub(crate) struct Workshop<'a> {
    /// What the caller decided.
    pub(crate) settings: &'a Settings,
    /// Who keeps the children.
    pub(crate) household: &'a Household,
    /// Where ports come from.
    pub(crate) ports: &'a Mutex<Ports>,
    /// Keys of the object storage.
    pub(crate) secrets: &'a Secrets,
    /// The progress line.
    pub(crate) progress: &'a Progress,
    /// Kept or thrown away.
    pub(crate) purpose: Purpose,
    /// Whether PostgreSQL has a standby.
    pub(crate) standby: bool,
    /// Whether Redis is a cluster.
    pub(crate) redis_cluster: bool,
}

/// A server of PostgreSQL that lets us in.
pub(crate) struct Served {
    /// Its address, with the maintenance database.
    pub(crate) url: String,
    /// Its port.
    pub(crate) port: u16,
    /// Its process.
    pub(crate) watched: Watched,
    /// A connection to it.
    pub(crate) client: Client,
}

/// PostgreSQL as the services see it.
struct Database {
    server: String,
    /// Unless the caller brought it.
    postgres: Option<Watched>,
    standby: Option<Standby>,
}

/// The running parts.
pub(crate) struct Parts {
    /// The PostgreSQL server, with its maintenance database.
    pub(crate) server: String,
    /// PostgreSQL, unless the caller brought it.
    pub(crate) postgres: Option<Watched>,
    /// Its standby, where one is wanted.
    pub(crate) standby: Option<Standby>,
    /// Redis.
    pub(crate) redis: Redis,
    /// Object storage.
    pub(crate) store: ObjectStore,
    /// Keeps the embedded object storage running.
    _store_guard: Option<Guard>,
}

impl Workshop<'_> {
    /// Starts the parts. `home` makes the directory for what is started here, if anything is.
    pub(crate) async fn start(&self, home: impl FnOnce() -> Result<Home, Fault>) -> Result<Parts, Fault> {
        let settings = self.settings;
        let needs = Needs {
            postgres: settings.database_url.is_none(),
            pg_bin: settings.pg_bin.as_deref(),
            redis: settings.redis_url.is_none(),
        };
        let found = packages::provide(needs, &settings.logs(), self.progress).await?;
        // Only now: installing PostgreSQL makes the user that owns the home.
        let home = if needs.postgres || needs.redis { Some(home()?) } else { None };
        let (Database { server, postgres, standby }, redis, (store, guard)) = try_join!(
            self.postgres(&found.postgres, home.as_ref()),
            self.redis(found.redis.as_ref(), home.as_ref()),
            self.object_store(home.as_ref()),
        )?;
        Ok(Parts { server, postgres, standby, redis, store, _store_guard: guard })
    }

    async fn postgres(&self, found: &[PostgresPrograms], home: Option<&Home>) -> Result<Database, Fault> {
        if let Some(server) = &self.settings.database_url {
            if self.standby {
                return Err(Fault::new("the standby needs the built-in PostgreSQL", "unset DATABASE_URL"));
            }
            databases::create_on(server).await?;
            return Ok(Database { server: server.clone(), postgres: None, standby: None });
        }
        let Some(home) = home else { return Err(defect("PostgreSQL has no home")) };
        self.progress.step("starting PostgreSQL");
        let cluster = Cluster::prepare(found, home, self.purpose, self.standby).await?;
        standby::refuse_promoted(&cluster)?;
        let Served { url, port, watched, client } = self.serve(&cluster).await?;
        // Tests make databases of their own, and nobody comes back to theirs.
        if self.purpose == Purpose::Development {
            home::note_port(self.settings, port)?;
            standby::forget(&client).await?;
            databases::create(&client).await?;
        }
        if !self.standby {
            return Ok(Database { server: url, postgres: Some(watched), standby: None });
        }
        let standby = standby::start(self, &cluster, port).await?;
        let server = cluster.url_with_standby(port, standby.port);
        Ok(Database { server, postgres: Some(watched), standby: Some(standby) })
    }

    /// Starts a server of PostgreSQL and waits until it lets us in.
    pub(crate) async fn serve(&self, cluster: &Cluster) -> Result<Served, Fault> {
        let mut port = self.with_ports(|ports| ports.pick(cluster.name))?;
        for _ in 0..PORT_ATTEMPTS {
            let watched = self.household.keep(cluster.program(port))?;
            let url = cluster.url(port);
            match postgres::ready(&watched, &url).await {
                Ok(client) => return Ok(Served { url, port, watched, client }),
                Err(fault) if port_was_taken(&fault) => {
                    self.household.dismiss(cluster.name).await;
                    port = self.with_ports(|ports| ports.pick_another(cluster.name))?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::new("PostgreSQL found no free port", "end programs that hold many ports, then run this again"))
    }

    async fn redis(&self, found: Option<&RedisProgram>, home: Option<&Home>) -> Result<Redis, Fault> {
        if let Some(url) = &self.settings.redis_url {
            if self.redis_cluster {
                return Err(Fault::new("the cluster needs the built-in Redis", "unset REDIS_URL"));
            }
            return Ok(Redis::single(url.clone(), None));
        }
        let (Some(found), Some(home)) = (found, home) else { return Err(defect("Redis has no home")) };
        redis::start(self, found, home).await
    }

    /// Objects of development lie in the data directory: this process writes them, as its own user.
    async fn object_store(&self, home: Option<&Home>) -> Result<(ObjectStore, Option<Guard>), Fault> {
        if let Some(store) = &self.settings.object_store {
            return Ok((store.clone(), None));
        }
        let root = match (self.purpose, home) {
            (Purpose::Tests, Some(home)) => home.path.join("s3"),
            _ => self.settings.data.join("s3"),
        };
        let mut port = self.with_ports(|ports| ports.pick("s3"))?;
        let (id, key) = (&self.secrets.s3_access_key_id, &self.secrets.s3_secret_access_key);
        let mut served = object_store::serve_at(port, &root, id, key, BUCKET).await;
        // As with the other parts: between the look and the use somebody else may have taken the port.
        for _ in 1..PORT_ATTEMPTS {
            if !served.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
                break;
            }
            port = self.with_ports(|ports| ports.pick_another("s3"))?;
            served = object_store::serve_at(port, &root, id, key, BUCKET).await;
        }
        let (endpoint, guard) =
            served.map_err(|error| Fault::io(format!("serve objects from {}", root.display()), &error))?;
        let store = ObjectStore {
            endpoint,
            bucket: BUCKET.to_owned(),
            region: object_store::REGION.to_owned(),
            access_key_id: id.clone(),
            secret_access_key: key.clone(),
        };
        Ok((store, Some(guard)))
    }

    /// The ports, for a moment.
    pub(crate) fn with_ports<T>(&self, act: impl FnOnce(&mut Ports) -> T) -> T {
        act(&mut self.ports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a server did not start because somebody else was faster with its port.
pub(crate) fn port_was_taken(fault: &Fault) -> bool {
    fault.evidence().iter().any(|line| line.contains("Address already in use") || line.contains("Address in use"))
}

fn defect(what: &str) -> Fault {
    Fault::new(what, "this is a defect of maru-dev, report it")
}
