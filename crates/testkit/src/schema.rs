//! Whether a service's `schema.rs` says what its migrations leave.

use std::{collections::BTreeMap, path::Path};

use chassis::pg::Pg;
use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

/// Tables that are spoken to by plain SQL and stand in no `schema.rs`.
const PLAIN: [&str; 3] = ["outbox", "idempotency_keys", "__diesel_schema_migrations"];

type Columns = BTreeMap<String, BTreeMap<String, String>>;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    relation: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    udt: String,
    #[diesel(sql_type = Text)]
    nullable: String,
}

/// Returns where the declared and the migrated columns differ, each in a line; empty when they agree.
///
/// # Panics
/// When the schema file or the database cannot be read.
pub async fn drift(schema_file: &Path, pg: &Pg) -> Vec<String> {
    let declared = declared(&std::fs::read_to_string(schema_file).expect("the schema file"));
    let migrated = migrated(pg).await;
    let mut differences = Vec::new();
    for table in declared.keys().chain(migrated.keys()) {
        let (left, right) = (declared.get(table), migrated.get(table));
        if left != right {
            differences.push(format!("{table}: declared {left:?}, migrated {right:?}"));
        }
    }
    differences.dedup();
    differences
}

/// Reads `diesel::table!` blocks: one `name -> Type,` a line.
fn declared(source: &str) -> Columns {
    let mut tables = Columns::new();
    let mut current: Option<String> = None;
    for line in source.lines().map(str::trim) {
        if line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        if line == "}" {
            current = None;
        }
        if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            if let Some(table) = &current {
                tables.entry(table.clone()).or_default().insert(column.to_owned(), kind.to_owned());
            }
        } else if let Some((name, _)) = line.split_once(" (")
            && line.ends_with('{')
        {
            current = Some(name.to_owned());
        }
    }
    tables
}

async fn migrated(pg: &Pg) -> Columns {
    let mut conn = pg.conn().await.expect("the test database");
    let rows: Vec<Column> = sql_query(
        "SELECT table_name::text AS relation, column_name::text AS name, udt_name::text AS udt, \
         is_nullable::text AS nullable \
         FROM information_schema.columns WHERE table_schema = 'public'",
    )
    .load(&mut conn)
    .await
    .expect("the columns");
    let mut tables = Columns::new();
    for row in rows.into_iter().filter(|row| !PLAIN.contains(&row.relation.as_str())) {
        let kind = diesel_type(&row.udt);
        let kind = if row.nullable == "YES" { format!("Nullable<{kind}>") } else { kind };
        tables.entry(row.relation).or_default().insert(row.name, kind);
    }
    tables
}

fn diesel_type(udt: &str) -> String {
    let simple = match udt.trim_start_matches('_') {
        "uuid" => "Uuid",
        "text" | "varchar" => "Text",
        "timestamptz" => "Timestamptz",
        "date" => "Date",
        "int2" => "SmallInt",
        "int4" => "Integer",
        "int8" => "BigInt",
        "float4" => "Float",
        "float8" => "Double",
        "bool" => "Bool",
        "jsonb" => "Jsonb",
        "bytea" => "Binary",
        other => other,
    };
    if udt.starts_with('_') { format!("Array<{simple}>") } else { simple.to_owned() }
}
