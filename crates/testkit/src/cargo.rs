//! Programs in Rust beside the workspace, for tests that want a library which the workspace itself does not.
//!
//! They need what that library needs of the system, and once the package registry; where one of them is missing the test
//! says so and passes: everything that must hold is tested without them, too.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::npm;

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
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/outside");
    fs::create_dir_all(&target).expect("make a directory below target");
    let _one_at_a_time = npm::lock(&target);
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--quiet", "--manifest-path"])
        .arg(Path::new(directory).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} cannot be built: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(target.join("debug").join(program))
}
