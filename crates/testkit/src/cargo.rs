//! Programs in Rust beside the workspace, for tests that want a library which the workspace itself does not.
//!
//! They need what that library needs of the system, and once the package registry; where one of them is missing the test
//! says so and passes: everything that must hold is tested without them, too.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::outside;

/// Builds the program of the package in `directory`, which finds `library` by pkg-config, and returns where it is.
///
/// # Errors
/// Says what is missing, or what the compiler says.
///
/// # Panics
/// When nothing can be written below `target`.
pub async fn build(directory: &'static str, program: &'static str, library: &'static str) -> Result<PathBuf, String> {
    tokio::task::spawn_blocking(move || build_here(directory, program, library))
        .await
        .expect("the build does not panic")
}

fn build_here(directory: &str, program: &str, library: &str) -> Result<PathBuf, String> {
    // Elsewhere the system brings a library of its own.
    if cfg!(target_os = "linux") {
        let found = Command::new("pkg-config").args(["--exists", library]).stdin(Stdio::null()).status();
        if !found.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return Err(format!("pkg-config does not find {library}"));
        }
    }
    let (target, _one_at_a_time) = outside::claim("outside");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(Path::new(directory).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    outside::run(&mut cargo, "cargo", &format!("build {program}"))?;
    Ok(target.join("debug").join(program))
}
