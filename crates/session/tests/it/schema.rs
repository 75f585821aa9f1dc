//! The tables as the code sees them and as the migrations leave them.

use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_declared_tables_are_the_migrated_ones() {
    let (stage, _app) = crate::start().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema.rs");
    assert_eq!(testkit::schema::drift(&file, &stage.pg()).await, Vec::<String>::new());
}
