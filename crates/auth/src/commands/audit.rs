//! `maru-auth audit verify`.

use std::io::Write;

use chassis::problem::{Outcome, Problem};

use crate::{app::App, audit::verify};

/// Says whether the chain is whole.
pub(super) async fn run(app: &App, out: &mut impl Write) -> Outcome<()> {
    let whole = verify::verify(app).await?;
    writeln!(out, "the audit chain is whole: {} entries, head {}", whole.entries, whole.head)
        .map_err(Problem::unexpected)
}
