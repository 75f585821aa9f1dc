//! The binary's own commands, as `maru-dev` and a deployment call them.

use std::process::{Command, Output};

use domain::principal::Service;
use secrecy::ExposeSecret;
use testkit::Stage;

use crate::SECRET;

fn run(stage: &Stage, environment: &str, arguments: &[&str]) -> Output {
    let base = stage.base_config();
    Command::new(env!("CARGO_BIN_EXE_maru-auth"))
        .args(arguments)
        .env_clear()
        .env("MARU_ENV", environment)
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", base.pg.database_url.expose_secret())
        .env("REDIS_URL", base.redis.redis_url.expose_secret())
        .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
        .env("INTERNAL_SIGNING_KEY", stage.signing_config().internal_signing_key.expose_secret())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_for_load_drivers_exist_in_development_only() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let printed = run(&stage, "development", &["tokens", "--count", "3"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    let ids: Vec<_> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    assert_eq!(ids.len(), 3, "{text}{}", String::from_utf8_lossy(&printed.stderr));

    let refused = run(&stage, "production", &["tokens", "--count", "3"]);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("development"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_twice_makes_the_demo_accounts_once() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    for _ in 0..2 {
        let seeded = run(&stage, "development", &["seed"]);
        assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    }
    let conn = stage.pg().conn().await.unwrap();
    for account in domain::demo::ACCOUNTS {
        let user = auth::account::store::find_by_email(&conn, account.email).await.unwrap().unwrap();
        assert_eq!((user.id, user.role()), (account.id, account.role));
    }
}

#[test]
fn every_fault_of_the_configuration_is_named_at_once() {
    let refused = Command::new(env!("CARGO_BIN_EXE_maru-auth"))
        .arg("check-config")
        .env_clear()
        .env("JWT_SECRET", "short-and-visible")
        .env("PORT", "eighty")
        .output()
        .unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64), "{text}");
    for key in ["DATABASE_URL", "REDIS_URL", "INTERNAL_PUBLIC_KEYS", "PORT"] {
        assert!(text.contains(key), "{key} is not named: {text}");
    }
    assert!(!text.contains("short-and-visible"), "{text}");
}
