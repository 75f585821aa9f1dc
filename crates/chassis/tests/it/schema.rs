//! Migrating: twice at once, and again.

use domain::principal::Service;
use testkit::{Stage, database::TestDatabase};

const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!("../../migrations/auth");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_migrate_at_once_apply_each_change_once() {
    let database = TestDatabase::empty().await;
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url();
            std::thread::spawn(move || chassis::migrate::run(&url, MIGRATIONS).unwrap())
        })
        .collect();
    let applied: Vec<usize> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migrated_database_has_nothing_pending() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let url = stage.database().url();
    let again = std::thread::spawn(move || chassis::migrate::run(&url, MIGRATIONS).unwrap()).join().unwrap();
    assert_eq!(again, 0);
}
