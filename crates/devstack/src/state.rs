//! What runs, as a document.
//!
//! `state.json` is written when everything is ready and again whenever a child gets another process. `maru-dev status`,
//! `tokens` and scripts read it. It holds passwords of the local stack, so only its owner can read it.

use std::{collections::BTreeMap, path::PathBuf};

use domain::demo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fault::Fault,
    files,
    lock::{self, Holder},
    ports::Ports,
    settings::{ObjectStore, Settings},
};

/// The running stack.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// `MARU_ENV` of the services.
    pub(crate) environment: String,
    /// The address people use.
    pub(crate) gateway_url: String,
    /// Every gateway's address; the first is the one people use.
    #[serde(default)]
    pub(crate) gateway_urls: Vec<String>,
    /// Every gateway's probes and metrics, in the same order.
    #[serde(default)]
    pub(crate) gateway_admin_urls: Vec<String>,
    /// Every replica's address, by service.
    pub(crate) services: BTreeMap<String, Vec<String>>,
    /// Every service's database.
    pub(crate) database_urls: BTreeMap<String, String>,
    /// The standby of PostgreSQL, where there is one.
    #[serde(default)]
    pub(crate) postgres_standby_url: Option<String>,
    /// Redis.
    pub(crate) redis_url: String,
    /// Object storage.
    pub(crate) s3: ObjectStore,
    /// Who can sign in; empty outside development.
    pub(crate) demo_logins: Vec<DemoLogin>,
    /// Whether the emotion service answers without a model.
    pub(crate) offline_llm: bool,
    /// The base address of the model that follows scripts, when there is one.
    #[serde(default)]
    pub(crate) scripted_llm_url: Option<String>,
    /// The processes.
    pub(crate) pids: Pids,
    /// Log files.
    pub(crate) logs: PathBuf,
}

/// A demo account as a person needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DemoLogin {
    email: String,
    password: String,
    role: Value,
}

/// The processes of the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pids {
    /// `maru-dev` itself, with the object storage in it.
    pub(crate) maru_dev: u32,
    /// PostgreSQL, unless the caller brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<u32>,
    /// Its standby, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres_standby: Option<u32>,
    /// Redis, unless the caller brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<u32>,
    /// The nodes of Redis, where it is a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) redis_nodes: Vec<u32>,
    /// The gateway and the services, by name, one per replica.
    #[serde(flatten)]
    pub(crate) services: BTreeMap<String, Vec<u32>>,
}

impl State {
    /// Writes the document.
    pub(crate) fn write(&self, settings: &Settings) -> Result<(), Fault> {
        files::replace_json(&path(settings), self)
    }

    /// The demo logins of this environment.
    pub(crate) fn demo_logins_of(settings: &Settings) -> Vec<DemoLogin> {
        let accounts = settings.is_development().then_some(demo::ACCOUNTS);
        let login = |account: demo::Account| DemoLogin {
            email: account.email.to_owned(),
            password: demo::PASSWORD.to_owned(),
            role: json!(account.role),
        };
        accounts.into_iter().flatten().map(login).collect()
    }
}

impl DemoLogin {
    /// The password, which is the same for everybody and no secret.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Address and role, for the table.
    pub(crate) fn shown(&self) -> (&str, &str) {
        (&self.email, self.role.as_str().unwrap_or_default())
    }
}

/// The ports of the last start.
pub(crate) fn ports(settings: &Settings) -> Ports {
    Ports::remembered_in(settings.data.join("ports.json"))
}

/// The document, whether or not what it speaks of still runs.
pub(crate) fn read(settings: &Settings) -> Option<State> {
    files::read_json(&path(settings))
}

/// The document of a stack that runs.
pub(crate) fn of_running(settings: &Settings) -> Result<State, Fault> {
    match (lock::holder(&settings.run()), read(settings)) {
        (Holder::Nobody, _) => Err(Fault::new("Maru is not running", "start it with `make run` or `maru-dev up`")),
        (Holder::Running(_), None) => {
            Err(Fault::new("Maru is still starting", "wait a moment, or see where `maru-dev up` runs"))
        }
        (Holder::Running(_), Some(state)) => Ok(state),
    }
}

/// Removes the document.
pub(crate) fn remove(settings: &Settings) {
    let _ = std::fs::remove_file(path(settings));
}

fn path(settings: &Settings) -> PathBuf {
    settings.data.join("state.json")
}
