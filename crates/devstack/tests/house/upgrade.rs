//! The programs of an older release on the schema of this one. `make upgrade-check` builds them and runs this.

use std::path::Path;

use crate::{attacks::say, life::Life, stack::Stack};

/// Two of each: with two directories of programs the first replica of each is old and the second new.
const TWO_OF_EACH: &str = "--replicas=auth=2,session=2,ticketing=2,emotion=2,memo=2";

/// Variables that the older release calls otherwise, each with the key of the house it has: whoever upgrades gives both names
/// until the old one is gone. Emptied when there is a release that knows the new ones.
const RENAMED: [(&str, &str); 2] =
    [("S3_ACCESS_KEY_ID", "s3_access_key_id"), ("S3_SECRET_ACCESS_KEY", "s3_secret_access_key")];

/// Lives on the mixed stack; enough that every kind of request meets both releases.
const PEOPLE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the programs of an older release: make upgrade-check"]
async fn an_older_release_works_on_this_schema_alone_and_beside_this_one() {
    let old = testkit::settings::required("MARU_UPGRADE_FROM");
    let new = Path::new(env!("CARGO_BIN_EXE_maru-dev")).parent().unwrap().display().to_string();
    let mut stack = Stack::new();
    let names = old_names(&mut stack);
    let up = |stack: &mut Stack, arguments: &[&str], programs: &str| {
        let mut environment = vec![("MARU_PROGRAMS", programs)];
        environment.extend(names.iter().map(|(name, value)| (*name, value.as_str())));
        stack.start(arguments, &environment);
    };

    // The migrations are this release's, everything that serves is the older one's: so it is after the first step of an
    // upgrade, and again after an upgrade was taken back.
    up(&mut stack, &[], &old);
    assert_run_from(&stack, &[&old]);
    let organizer = stack.demo_person("organizer").await;
    let mut lives = vec![Life::live(stack.gateway(), &organizer, "first@example.com").await];
    all_are_there(&stack, &mut lives).await;
    stack.must(&["down"]);
    say("the older release served alone on the newer schema");

    // In the midst of it: of each service one replica is old and one is new, and the old gateway asks both.
    up(&mut stack, &[TWO_OF_EACH], &format!("{old}:{new}"));
    assert_run_from(&stack, &[&old, &new]);
    for person in 0..PEOPLE {
        let email = format!("amid-{person}@example.com");
        let mut life = Life::live(stack.gateway(), &stack.demo_person("organizer").await, &email).await;
        life.is_all_there(stack.gateway()).await;
        lives.push(life);
    }
    all_are_there(&stack, &mut lives).await;
    stack.must(&["down"]);
    say("both releases served beside each other");

    // Afterwards: what the older one wrote is this one's now.
    stack.start(&[TWO_OF_EACH], &[]);
    assert_run_from(&stack, &[&new, &new]);
    all_are_there(&stack, &mut lives).await;
    let organizer = stack.demo_person("organizer").await;
    for life in &lives {
        life.go_in(&organizer).await;
        life.go_on(stack.gateway()).await;
    }
    stack.assert_sound();
    say("this release found everything that the older one had written");
}

/// Has the keys of the house made, and gives those that the older release has another name for.
fn old_names(stack: &mut Stack) -> Vec<(&'static str, String)> {
    stack.start(&["--parts-only"], &[]);
    stack.must(&["down"]);
    let keys = stack.secrets();
    RENAMED.map(|(name, key)| (name, keys[key].as_str().unwrap().to_owned())).to_vec()
}

/// Fails unless the replicas of each service run from these directories, in this order, and the gateway from the first.
fn assert_run_from(stack: &Stack, directories: &[&str]) {
    let expected = |name: &str, at: &str| Path::new(at).join(format!("maru-{name}")).canonicalize().unwrap();
    for name in ["auth", "session", "ticketing", "emotion", "memo", "gateway"] {
        let pids = stack.status["pids"][name].as_array().unwrap().iter();
        let run: Vec<_> = pids.map(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()).collect();
        let wanted: Vec<_> = directories.iter().map(|at| expected(name, at)).take(run.len()).collect();
        assert_eq!(run, wanted);
    }
}

async fn all_are_there(stack: &Stack, lives: &mut [Life]) {
    for life in lives {
        life.is_all_there(stack.gateway()).await;
    }
}
