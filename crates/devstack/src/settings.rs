//! What the caller's environment asks for.
//!
//! The environment is read here and nowhere else, once. A part that the caller has already (`DATABASE_URL`,
//! `REDIS_URL`, `S3_ENDPOINT` with its keys) is used as it is and never started, stopped or deleted.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{fault::Fault, ports::GatewayPort};

/// The environment in which demo data and development tokens exist.
pub(crate) const DEVELOPMENT: &str = "development";

/// An S3-compatible object store and the keys to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectStore {
    /// Base URL, path style.
    pub(crate) endpoint: String,
    /// The one bucket of the platform.
    pub(crate) bucket: String,
    /// Region that requests are signed for.
    pub(crate) region: String,
    /// Key id.
    pub(crate) access_key_id: String,
    /// Key.
    pub(crate) secret_access_key: String,
}

/// Everything that the caller decides.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Where everything that outlives a run is kept.
    pub(crate) data: PathBuf,
    /// This executable. Asked for at the start: a build may replace the file later.
    pub(crate) program: PathBuf,
    /// Where the programs that serve lie, when they are not those beside this one: the first replica of each service runs
    /// from the first directory, the second from the second, and so on in turn.
    pub(crate) programs: Vec<PathBuf>,
    /// `MARU_ENV` of the services.
    pub(crate) environment: String,
    /// The one address that people use.
    pub(crate) gateway_port: GatewayPort,
    /// Where to look for PostgreSQL first.
    pub(crate) pg_bin: Option<PathBuf>,
    /// A PostgreSQL server of the caller.
    pub(crate) database_url: Option<String>,
    /// A Redis of the caller.
    pub(crate) redis_url: Option<String>,
    /// An object store of the caller.
    pub(crate) object_store: Option<ObjectStore>,
    /// An object store with a bucket that the tests may do with as they please.
    pub(crate) test_object_store: Option<ObjectStore>,
    /// Whether the emotion service answers without a model.
    pub(crate) offline_llm: bool,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self, Fault> {
        let program = env::current_exe().map_err(|error| Fault::io("find this program's own file", &error))?;
        let here = env::current_dir().map_err(|error| Fault::io("read the current directory", &error))?;
        let root = checkout_above(&here).or_else(|| checkout_above(&program)).unwrap_or_else(|| here.clone());
        let data = variable("MARU_DATA_DIR").map_or_else(|| root.join(".data"), |path| here.join(path));
        Ok(Self {
            data,
            root,
            program,
            programs: variable("MARU_PROGRAMS").iter().flat_map(env::split_paths).map(|path| here.join(path)).collect(),
            environment: variable("MARU_ENV").unwrap_or_else(|| DEVELOPMENT.to_owned()),
            gateway_port: GatewayPort::parse(variable("MARU_PORT").as_deref())?,
            pg_bin: variable("PG_BIN").map(PathBuf::from),
            database_url: variable("DATABASE_URL"),
            redis_url: variable("REDIS_URL"),
            object_store: object_store("", &|key| variable(key))?,
            test_object_store: object_store("MARU_TEST_", &|key| variable(key))?,
            offline_llm: variable("OPENAI_API_KEY").or_else(|| variable("OPENAI_API_KEY_FILE")).is_none(),
        })
    }

    /// Log files of the children.
    pub(crate) fn logs(&self) -> PathBuf {
        self.data.join("log")
    }

    /// Where letters are put instead of being sent.
    pub(crate) fn mail(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// Records of what runs.
    pub(crate) fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// Whether demo data and development tokens may exist.
    pub(crate) fn is_development(&self) -> bool {
        self.environment == DEVELOPMENT
    }
}

/// A variable of the environment; an empty one counts as absent, as it does for the services.
#[expect(clippy::disallowed_methods, reason = "the one place where this program reads its environment")]
pub(crate) fn variable(key: &str) -> Option<String> {
    env::var(key).ok().filter(|value| !value.trim().is_empty())
}

/// `PATH` as it is.
pub(crate) fn search_path_variable() -> OsString {
    env::var_os("PATH").unwrap_or_default()
}

/// The directories of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    env::split_paths(&search_path_variable()).collect()
}

fn checkout_above(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|candidate| candidate.join("crates/devstack/Cargo.toml").is_file()).map(Path::to_path_buf)
}

fn object_store(prefix: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<Option<ObjectStore>, Fault> {
    let read = |key: &str| read(&format!("{prefix}{key}"));
    let Some(endpoint) = read("S3_ENDPOINT") else { return Ok(None) };
    let keys = ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"];
    let [Some(bucket), Some(access_key_id), Some(secret_access_key)] = keys.map(read) else {
        let missing = keys.into_iter().filter(|key| read(key).is_none()).map(|key| format!("{prefix}{key}"));
        return Err(Fault::new(
            format!("{prefix}S3_ENDPOINT is set but {} is not", missing.collect::<Vec<_>>().join(", ")),
            format!("set it too, or unset {prefix}S3_ENDPOINT to use the built-in object storage"),
        ));
    };
    let region = read("S3_REGION").unwrap_or_else(|| "auto".to_owned());
    Ok(Some(ObjectStore { endpoint, bucket, region, access_key_id, secret_access_key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_object_store_needs_its_bucket_and_keys() {
        let given = |key: &str| key.ends_with("S3_ENDPOINT") || key.ends_with("S3_BUCKET");
        for prefix in ["", "MARU_TEST_"] {
            let store = object_store(prefix, &|key| given(key).then(|| "x".to_owned()));
            let fault = store.err().expect("the keys are missing");
            let missing = format!("{prefix}S3_ACCESS_KEY, {prefix}S3_SECRET_KEY");
            assert_eq!(fault.what(), format!("{prefix}S3_ENDPOINT is set but {missing} is not"));
        }
        assert!(object_store("", &|_| None).is_ok_and(|store| store.is_none()));
        let ours = object_store("MARU_TEST_", &|key| key.starts_with("S3_").then(|| "x".to_owned()));
        assert!(ours.is_ok_and(|store| store.is_none()), "the caller's own is never the tests'");
    }

    #[test]
    fn the_checkout_is_found_from_any_place_inside_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(checkout_above(&here.join("src/nowhere")), here.ancestors().nth(2).map(Path::to_path_buf));
        assert_eq!(checkout_above(Path::new("/")), None);
    }
}
