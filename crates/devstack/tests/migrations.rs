//! A migration leaves the release before it working: it adds, and takes nothing away that is still used.
//!
//! Read from the files, so this costs nothing; it sees shapes and no meanings. A constraint that refuses what the older
//! release writes, or a function that now does something else, is found by `make upgrade-check`, which runs that release.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

/// Migrations older than this are of the time before anything was released that could still run beside them.
const FIRST_RELEASE: &str = "2026-11-28-100000";

/// What stands in front of the reason why nothing uses any more what is taken away.
const MARK: &str = "contract:";

/// Fewest letters of a reason.
const REASON: usize = 20;

#[test]
fn what_an_older_release_uses_is_not_taken_away() {
    let mut faults = Vec::new();
    for directory in directories() {
        let name = directory.file_name().unwrap().to_str().unwrap();
        if name >= FIRST_RELEASE {
            let found = faults_of(&std::fs::read_to_string(directory.join("up.sql")).unwrap());
            faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", directory.display())));
        }
    }
    let mend = "do it in a later release, and say `-- contract: why, and since which version nothing uses it` above it";
    assert!(faults.is_empty(), "{mend}:\n{}", faults.join("\n"));
}

#[test]
fn every_migration_can_be_taken_back_on_a_developers_machine() {
    for directory in directories() {
        for file in ["up.sql", "down.sql"] {
            assert!(directory.join(file).is_file(), "{} has no {file}", directory.display());
        }
    }
}

#[test]
fn what_takes_away_is_seen() {
    for (sql, seen) in [
        ("DROP TABLE memos;", "drops a table"),
        ("drop  view if exists open_sales", "drops a view"),
        ("DROP FUNCTION f(uuid);", "drops a function"),
        ("ALTER TABLE memos ADD COLUMN a int, DROP COLUMN b;", "drops a column"),
        ("ALTER TABLE memos DROP b;", "drops a column"),
        ("ALTER TABLE memos RENAME TO notes;", "renames"),
        ("ALTER INDEX a RENAME TO b;", "renames"),
        ("ALTER TABLE memos RENAME COLUMN a TO b;", "renames"),
        ("ALTER TABLE memos ADD COLUMN a text NOT NULL;", "adds a column that must be written"),
        ("ALTER TABLE memos ADD a numeric(3, 2) NOT NULL CHECK (a > 0);", "adds a column that must be written"),
        ("ALTER TABLE memos ALTER COLUMN a TYPE bigint;", "changes a type"),
        ("ALTER TABLE memos ALTER a SET DATA TYPE bigint;", "changes a type"),
        ("ALTER TABLE memos ALTER COLUMN a SET NOT NULL;", "asks for a value"),
        ("ALTER TABLE memos ALTER COLUMN a DROP DEFAULT;", "asks for a value"),
        ("-- contract: no\nDROP TABLE memos;", "drops a table"),
        ("-- contract: nothing reads it since 2.3.0\nSELECT 1; DROP TABLE memos;", "drops a table"),
    ] {
        let faults = faults_of(sql);
        assert!(faults.len() == 1 && faults.iter().all(|fault| fault.starts_with(seen)), "{sql}: {faults:?}");
    }
}

#[test]
fn what_adds_is_let_through() {
    for sql in [
        "CREATE TABLE a (b text NOT NULL, c int); CREATE INDEX d ON a (b); DROP INDEX e;",
        "ALTER TABLE a ADD COLUMN b int, ADD COLUMN c text NOT NULL DEFAULT 'DROP TABLE';",
        "ALTER TABLE a ADD COLUMN b bigint GENERATED ALWAYS AS (c + d) STORED NOT NULL;",
        "ALTER TABLE a DROP CONSTRAINT b_check, ADD CONSTRAINT b_check CHECK (b IS NOT NULL OR c IN (1, 2));",
        "ALTER TABLE a ALTER COLUMN type SET DEFAULT 1, ALTER COLUMN b SET STORAGE EXTERNAL, ALTER b SET DEFAULT '', ALTER c DROP NOT NULL;",
        "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE t; END $$;",
        "-- DROP TABLE a;\n/* ALTER TABLE a RENAME TO b; */ SELECT 'it''s; DROP TABLE a' AS \"RENAME TO\";",
        "-- contract: nothing has read it since 2.3.0\nALTER TABLE a\n    DROP COLUMN b;",
    ] {
        assert_eq!(faults_of(sql), Vec::<String>::new(), "{sql}");
    }
}

/// The directory of every migration.
fn directories() -> Vec<PathBuf> {
    let entries =
        |at: &Path| std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut found: Vec<_> = entries(&all).flat_map(|service| entries(&service).collect::<Vec<_>>()).collect();
    found.sort();
    assert!(found.len() > 30, "there are migrations");
    found
}

/// What a migration takes away without saying why it may.
fn faults_of(sql: &str) -> Vec<String> {
    let statements = statements_of(sql).into_iter().filter(|statement| !statement.is_explained());
    statements.filter_map(|statement| fault_of(&statement.text)).collect()
}

/// A statement in capital letters, without what stands in quotes.
#[derive(Default)]
struct Statement {
    comments: String,
    text: String,
}

impl Statement {
    fn is_explained(&self) -> bool {
        self.comments.split_once(MARK).is_some_and(|(_, reason)| reason.trim().chars().count() >= REASON)
    }
}

/// Splits a file into statements.
fn statements_of(sql: &str) -> Vec<Statement> {
    let mut all = vec![Statement::default()];
    let mut rest = sql;
    while let Some(letter) = rest.chars().next() {
        let statement = all.last_mut().unwrap();
        let (token, is_comment) = match letter {
            '-' if rest.starts_with("--") => (until(rest, 2, "\n"), true),
            '/' if rest.starts_with("/*") => (until(rest, 2, "*/"), true),
            '\'' | '"' => (until(rest, 1, letter.encode_utf8(&mut [0; 4])), false),
            '$' => match rest.get(1..).and_then(|after| after.find('$')).and_then(|end| rest.get(..end + 2)) {
                // $1 is a parameter, $$ and $body$ begin a text.
                Some(tag) if !tag.contains(|c: char| c.is_whitespace()) => (until(rest, tag.len(), tag), false),
                _ => ("$", false),
            },
            ';' => {
                all.push(Statement::default());
                rest = &rest[1..];
                continue;
            }
            _ => {
                statement.text.extend(letter.to_uppercase());
                rest = &rest[letter.len_utf8()..];
                continue;
            }
        };
        if is_comment {
            statement.comments.push_str(token);
        }
        // Whatever stood in quotes is one word.
        statement.text.push_str(if is_comment { " " } else { "quoted" });
        rest = &rest[token.len()..];
    }
    all
}

/// What stands from the beginning of a text to the end of the first `end` behind its `start`-th byte.
fn until<'a>(text: &'a str, start: usize, end: &str) -> &'a str {
    match text[start..].find(end) {
        Some(at) => &text[..start + at + end.len()],
        None => text,
    }
}

/// What a statement takes away.
fn fault_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let shown = || words.join(" ").chars().take(100).collect::<String>();
    match words.as_slice() {
        ["DROP", "INDEX", ..] => None,
        ["DROP", kind, ..] => Some(format!("drops a {}: {}", kind.to_lowercase(), shown())),
        ["ALTER", "TABLE", rest @ ..] => {
            let fault = actions_of(&rest.join(" ")).iter().find_map(|action| fault_of_action(action));
            fault.map(|fault| format!("{fault}: {}", shown()))
        }
        ["ALTER", rest @ ..] if rest.contains(&"RENAME") => Some(format!("renames: {}", shown())),
        _ => None,
    }
}

/// The parts of an ALTER TABLE behind the table's name, split at the commas that stand in no brackets.
fn actions_of(text: &str) -> Vec<String> {
    let mut depth = 0;
    let mut all = vec![String::new()];
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().unwrap().push(letter);
    }
    if let Some(first) = all.first_mut() {
        let words = first.split_whitespace().skip_while(|word| matches!(*word, "IF" | "EXISTS" | "ONLY"));
        *first = words.skip(1).collect::<Vec<_>>().join(" ");
    }
    all
}

fn fault_of_action(action: &str) -> Option<&'static str> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let must_be_written = || {
        words.windows(2).any(|two| two == ["NOT", "NULL"])
            && !words.iter().any(|word| ["DEFAULT", "GENERATED"].contains(word))
    };
    match words.as_slice() {
        ["RENAME", ..] => Some("renames"),
        ["DROP", "CONSTRAINT", ..]
        | ["ADD", "CONSTRAINT" | "CHECK" | "UNIQUE" | "PRIMARY" | "FOREIGN" | "EXCLUDE", ..] => None,
        ["DROP", ..] => Some("drops a column"),
        ["ADD", ..] if must_be_written() => Some("adds a column that must be written"),
        ["ALTER", "COLUMN", _, change @ ..] | ["ALTER", _, change @ ..] => match change {
            ["TYPE", ..] | ["SET", "DATA", "TYPE", ..] => Some("changes a type"),
            ["SET", "NOT", "NULL", ..] | ["DROP", "DEFAULT", ..] => Some("asks for a value"),
            _ => None,
        },
        _ => None,
    }
}
