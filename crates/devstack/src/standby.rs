//! A hot standby of the private PostgreSQL.
//!
//! It is copied from the primary at each start, so it never stands for yesterday, and streams from there on through a
//! replication slot of its own. It can be read at any time, and promoted: the services' addresses name both servers, and a
//! connection goes to the one that may be written. A standby that was promoted holds what the primary does not, so it is
//! never copied over: the next start stops here and says so.

use std::process::Stdio;

use tokio::process::Command;
use tokio_postgres::Client;

use crate::{
    fault::Fault,
    files,
    parts::{Served, Workshop},
    postgres::{Cluster, USER, fault_of},
    supervise::Watched,
};

/// Name of the child.
pub(crate) const NAME: &str = "postgres-standby";

/// The standby's slot on the primary: without one a standby that was away for a while might find its log deleted.
const SLOT: &str = "maru_standby";

/// The running standby.
pub(crate) struct Standby {
    /// Its address, with the maintenance database.
    pub(crate) url: String,
    /// Its port.
    pub(crate) port: u16,
    /// Its process.
    pub(crate) watched: Watched,
}

/// Stops at a standby that was promoted: what was written there since is nowhere else.
pub(crate) fn refuse_promoted(primary: &Cluster) -> Result<(), Fault> {
    let (standby, primary) = (primary.standby_data(), primary.data());
    if standby.join("PG_VERSION").is_file() && !standby.join("standby.signal").exists() {
        let (standby, primary) = (standby.display(), primary.display());
        return Err(Fault::new(
            format!("the standby in {standby} was promoted, so {primary} is no longer the truth"),
            format!("move {primary} away and {standby} to its place, or begin anew with `maru-dev reset`"),
        ));
    }
    Ok(())
}

/// Forgets the standby of an earlier start: a slot that nobody reads from keeps the log for ever, and whoever waits for a
/// standby that is not there waits as long.
pub(crate) async fn forget(primary: &Client) -> Result<(), Fault> {
    let slot =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active";
    let forget = async {
        primary.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await?;
        primary.execute("SELECT pg_reload_conf()", &[]).await?;
        primary.execute(slot, &[&SLOT]).await
    };
    forget.await.map(drop).map_err(|error| {
        Fault::new(format!("PostgreSQL does not forget an earlier standby ({error})"), "see log/postgres.log")
    })
}

/// Copies the primary and starts the copy as its standby.
pub(crate) async fn start(workshop: &Workshop<'_>, primary: &Cluster, port: u16) -> Result<Standby, Fault> {
    workshop.progress.step("copying PostgreSQL for its standby");
    let standby = primary.standby()?;
    standby.end_orphan().await;
    copy(primary, port, &standby).await?;
    workshop.progress.step("starting the standby of PostgreSQL");
    let Served { url, port, watched, .. } = workshop.serve(&standby).await?;
    Ok(Standby { url, port, watched })
}

/// Makes the copy beside its place and moves it there, so that half of one is never started.
async fn copy(primary: &Cluster, port: u16, standby: &Cluster) -> Result<(), Fault> {
    let attempt = standby.data().with_extension("new");
    files::delete_directory(&attempt)?;
    files::delete_directory(&standby.data())?;
    let mut command = Command::new(primary.program_file("pg_basebackup"));
    command.args(["--host=127.0.0.1", "--no-password", "--checkpoint=fast", "--wal-method=stream"]);
    command.args(["--write-recovery-conf", "--create-slot", "--slot", SLOT, "--username", USER]);
    command.arg(format!("--port={port}")).arg("--pgdata").arg(&attempt);
    standby.prepare_command(&mut command);
    // Not among the arguments, which everybody on this machine can read.
    command.env("PGPASSWORD", primary.password()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| Fault::io("run pg_basebackup", &error))?;
    if !output.status.success() {
        return Err(fault_of("pg_basebackup could not copy the cluster", &output));
    }
    std::fs::rename(&attempt, standby.data()).map_err(|error| Fault::io("place the copy of the cluster", &error))
}
