//! `maru-auth erase`: what no request can do for somebody else.

use std::io::Write;

use chassis::problem::{Outcome, Problem};
use domain::ids::UserId;
use uuid::Uuid;

use crate::{app::App, person::erase};

/// Erases these accounts one after the other, and prints id and receipt of each, separated by a tab. The services are asked
/// by the auth service that serves.
pub(super) async fn run(app: &App, users: &[Uuid], out: &mut impl Write) -> Outcome<()> {
    for user in users {
        let receipt = erase::erase_for_operator(app, UserId(*user)).await?;
        writeln!(out, "{user}\t{receipt}").map_err(Problem::unexpected)?;
    }
    Ok(())
}
