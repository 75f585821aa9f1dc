//! Everything is lost but the backup, the bucket's copy and the secrets.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::{Method, Url};
use serde_json::json;
use testkit::eventually;

use crate::{
    life::Life,
    person::{PASSWORD, Person},
    stack::{RECOVERY, Stack, text},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_backed_up_is_all_there_after_everything_was_lost() {
    let mut stack = Stack::up_as(&[], &[]);
    let organizer = stack.demo_person("organizer").await;
    let mut kim = Life::live(stack.gateway(), &organizer, "kim@example.com").await;
    let leaving = Person::register(stack.gateway(), "leaving@example.com").await;
    leaving.post("/memo", json!({ "content": "곧 떠나요" })).await.ok(201);

    let vault = Vault::new(&stack);
    let saved = run(&stack, "backup.sh", &vault.dumps());
    assert!(saved.status.success(), "{}", text(&saved));
    // As the documents say: the files after the dumps, the secrets somewhere else.
    copy(&stack.data().join("s3"), &vault.0);
    copy(&stack.data().join("secrets.json"), &vault.0);
    assert_refused(&run(&stack, "backup.sh", &vault.dumps()), "is there already");
    let told = assert_refused(&run(&stack, "restore.sh", &vault.dumps()), "nothing was changed");
    assert!(told.contains("stop the services first") && told.contains("maru_memo is not empty"), "{told}");
    Person::register(stack.gateway(), "late@example.com").await;
    let erase = json!({ "password": PASSWORD });
    leaving.try_send(Method::DELETE, "/user/me", Some(erase)).await.unwrap().ok(202);

    stack.must(&["reset", "--yes"]);
    assert!(!stack.data().join("secrets.json").exists() && !stack.data().join("s3").exists());
    std::fs::create_dir_all(stack.data()).unwrap();
    copy(&vault.0.join("s3"), stack.data());
    copy(&vault.0.join("secrets.json"), stack.data());

    stack.start(&["--parts-only"], &[]);
    a_dump_that_was_changed_is_refused(&stack, &vault);
    let restored = run(&stack, "restore.sh", &vault.dumps());
    assert!(restored.status.success(), "{}", text(&restored));
    assert_refused(&run(&stack, "restore.sh", &vault.dumps()), "is not empty");
    stack.must(&["down"]);

    stack.start(&[], &[]);
    let receipt = erase_again(&stack, &leaving).await;
    kim.is_all_there(stack.gateway()).await;
    kim.go_in(&stack.demo_person("organizer").await).await;
    kim.go_on(stack.gateway()).await;
    // Who came after the backup is not in it, so the address is free.
    Person::register(stack.gateway(), "late@example.com").await;
    let erased = async || kim.person.at(stack.gateway()).get(&receipt).await.ok(200).json["finished_at"].is_string();
    eventually(RECOVERY, erased).await;
    stack.assert_sound();
}

/// Who was erased after the backup is there again, until an operator repeats it; returns where to ask how far that is.
async fn erase_again(stack: &Stack, leaving: &Person) -> String {
    let back = Person::login(stack.gateway(), "leaving@example.com", PASSWORD).await;
    assert_eq!(back.id, leaving.id);
    let told = stack.must(&["auth", "erase", "--user", &leaving.id]);
    let receipt = told.lines().find_map(|line| line.strip_prefix(leaving.id.as_str())).expect("a receipt");
    eventually(RECOVERY, || async { back.get("/user/me").await.status == 401 }).await;
    format!("/auth/erasures/{}", receipt.trim())
}

/// Nothing is restored of a backup in which one dump is not what it was.
fn a_dump_that_was_changed_is_refused(stack: &Stack, vault: &Vault) {
    let dump = vault.dumps().join("maru_memo.dump");
    let sound = std::fs::read(&dump).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&dump, changed).unwrap();
    assert_refused(&run(stack, "restore.sh", &vault.dumps()), "is not what was written there");
    std::fs::write(&dump, sound).unwrap();
}

/// Where a backup is kept, gone at the end of the test.
struct Vault(PathBuf);

impl Vault {
    fn new(stack: &Stack) -> Self {
        let place = stack.data().with_extension("vault");
        std::fs::create_dir_all(&place).unwrap();
        Self(place)
    }

    fn dumps(&self) -> PathBuf {
        self.0.join("dumps")
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs one of the scripts as an operator does, towards the stack's PostgreSQL.
fn run(stack: &Stack, script: &str, directory: &Path) -> Output {
    let url = Url::parse(stack.status["database_urls"]["auth"].as_str().unwrap()).unwrap();
    let mut command = Command::new("sh");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(script)).arg(directory);
    command
        .env("PATH", search_path())
        .env("PGHOST", url.host_str().unwrap())
        .env("PGPORT", url.port().unwrap().to_string());
    command.env("PGUSER", url.username()).env("PGPASSWORD", url.password().unwrap());
    command.output().unwrap()
}

/// The search path, and behind it where systems keep PostgreSQL's client programs outside of it.
fn search_path() -> std::ffi::OsString {
    let mut places: Vec<PathBuf> = testkit::settings::optional("PG_BIN").map(PathBuf::from).into_iter().collect();
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    for (parent, rest) in [("/usr/lib/postgresql", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr/local/opt", "bin")] {
        let mut versions: Vec<_> = std::fs::read_dir(parent).into_iter().flatten().flatten().collect();
        versions.retain(|entry| entry.path().join(rest).join("pg_dump").is_file());
        versions.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
        places.extend(versions.iter().map(|entry| entry.path().join(rest)));
    }
    env::join_paths(places).unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, why: &str) -> String {
    let told = text(output);
    assert!(!output.status.success() && told.contains(why), "{told}");
    told
}

/// Copies a file or a directory into another directory, with owners and rights.
fn copy(from: &Path, into: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, into]).status().unwrap();
    assert!(copied.success(), "{}", from.display());
}
