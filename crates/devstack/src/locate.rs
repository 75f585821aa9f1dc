//! Finding PostgreSQL and Redis on this machine.
//!
//! Debian keeps PostgreSQL's programs outside the search path, Homebrew keeps each version in a directory of its own;
//! all known places are looked at. Several versions may be there: data stays with the version that made it, and new
//! data gets the newest.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{process::output_of, settings};

/// The oldest PostgreSQL that works: `CREATE DATABASE ... STRATEGY` and the statistics used by tests came with it.
pub(crate) const OLDEST_POSTGRES: u32 = 15;

/// The oldest Redis that works.
pub(crate) const OLDEST_REDIS: u32 = 6;

/// Directories whose children may hold PostgreSQL versions, each with the path from there to the programs.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
];

/// Directories outside the usual search path in which Redis may be.
const ALSO: [&str; 5] =
    ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/homebrew/opt/redis/bin", "/usr/local/opt/redis/bin"];

/// PostgreSQL's programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostgresPrograms {
    /// The directory with `postgres` and `initdb`.
    pub(crate) directory: PathBuf,
    /// The major version.
    pub(crate) major: u32,
}

/// Redis' server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisProgram {
    /// The program.
    pub(crate) file: PathBuf,
    /// The major version.
    pub(crate) major: u32,
}

/// Every PostgreSQL on this machine, newest first, also those that are too old. A given directory is the only one
/// looked at.
pub(crate) fn postgres(given: Option<&Path>) -> Vec<PostgresPrograms> {
    let mut places = match given {
        Some(directory) => vec![directory.to_path_buf()],
        None => settings::search_path(),
    };
    if given.is_none() {
        places.extend(VERSIONED.iter().flat_map(|(parent, prefix, rest)| versioned(parent, prefix, rest)));
    }
    let mut found: Vec<PostgresPrograms> = Vec::new();
    for place in places {
        // Through the links: initdb looks for its files beside its real place.
        let Ok(postgres) = place.join("postgres").canonicalize() else { continue };
        let Some(directory) = postgres.parent() else { continue };
        let known = found.iter().any(|programs| programs.directory == directory);
        if known || !is_executable(&postgres) || !is_executable(&directory.join("initdb")) {
            continue;
        }
        if let Some(major) = output_of(&postgres, &["--version"]).as_deref().and_then(postgres_major) {
            found.push(PostgresPrograms { directory: directory.to_path_buf(), major });
        }
    }
    found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
    found
}

/// The Redis server of this machine; Valkey is one too.
pub(crate) fn redis() -> Option<RedisProgram> {
    let mut places = settings::search_path();
    places.extend(ALSO.iter().map(PathBuf::from));
    let files = ["redis-server", "valkey-server"].iter().flat_map(|name| places.iter().map(move |at| at.join(name)));
    let found = files.filter(|file| is_executable(file)).filter_map(|file| {
        let major = redis_major(&output_of(&file, &["--version"])?)?;
        Some(RedisProgram { file, major })
    });
    found.max_by_key(|program| program.major)
}

/// A program in the search path.
pub(crate) fn in_search_path(name: &str) -> Option<PathBuf> {
    settings::search_path().into_iter().map(|directory| directory.join(name)).find(|file| is_executable(file))
}

/// Whether the file exists and may be executed.
pub(crate) fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn versioned(parent: &str, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(rest))
        .filter(|path| path.is_dir())
        .collect()
}

/// The major version in "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"; "18beta1" is 18.
fn postgres_major(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL) ")?.1)
}

/// The major version in "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64".
fn redis_major(text: &str) -> Option<u32> {
    leading_number(text.split_once(" v=")?.1)
}

/// The digits at the beginning.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_say() {
        assert_eq!(postgres_major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(postgres_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(postgres_major("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(postgres_major("something else"), None);
        assert_eq!(redis_major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"), Some(7));
        assert_eq!(redis_major("Valkey server v=8.1.1 sha=0"), Some(8));
        assert_eq!(redis_major(""), None);
    }

    #[test]
    fn a_given_directory_is_the_only_one_looked_at() {
        assert_eq!(postgres(Some(Path::new("/nowhere"))), []);
    }
}
