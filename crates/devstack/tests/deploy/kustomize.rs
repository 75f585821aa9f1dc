//! Sets of documents: those of the files as they stand, and, where `kubectl` is, of each overlay as it is applied.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    documents::{items, read, text},
    files_under, repository, scratch,
};

/// The overlays.
pub(crate) const OVERLAYS: [&str; 2] = ["development", "production"];

/// A set of documents with a name for messages.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) documents: Vec<Value>,
    /// The overlay, when it is one as it is applied.
    pub(crate) overlay: Option<&'static str>,
}

/// The documents of an overlay's base and components before anything is patched, and, where `kubectl` is, after.
pub(crate) fn sets() -> &'static [Set] {
    static SETS: OnceLock<Vec<Set>> = OnceLock::new();
    SETS.get_or_init(read_sets)
}

#[expect(clippy::print_stdout, reason = "says what was not checked")]
fn read_sets() -> Vec<Set> {
    let mut sets: Vec<Set> = OVERLAYS
        .map(|overlay| Set { name: format!("the files of {overlay}"), documents: files_of(overlay), overlay: None })
        .into();
    if has_kubectl() {
        sets.extend(OVERLAYS.map(|overlay| Set {
            name: format!("{overlay} as applied"),
            documents: rendered(overlay),
            overlay: Some(overlay),
        }));
    } else {
        println!("kubectl is not here: the overlays are checked file by file, and were not put together");
    }
    sets
}

/// Whether `kubectl kustomize` can be run here.
pub(crate) fn has_kubectl() -> bool {
    Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|output| output.status.success())
}

fn overlay_file(overlay: &str) -> PathBuf {
    repository(&format!("deploy/kubernetes/overlays/{overlay}/kustomization.yaml"))
}

/// The one document of a kustomization.
fn kustomization(file: &Path) -> Value {
    read(file).remove(0)
}

/// The documents that a kustomization names, with those of what it builds upon.
fn files_of(overlay: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut waiting = vec![overlay_file(overlay)];
    while let Some(file) = waiting.pop() {
        let directory = file.parent().unwrap().to_path_buf();
        let kustomization = kustomization(&file);
        for named in items(&kustomization, "/resources").iter().chain(items(&kustomization, "/components")) {
            let path = directory.join(named.as_str().unwrap());
            if path.is_dir() {
                waiting.push(path.join("kustomization.yaml"));
            } else {
                documents.extend(read(&path));
            }
        }
    }
    documents
}

/// The overlay as `kubectl` puts it together, in a copy that has secrets of its own.
fn rendered(overlay: &str) -> Vec<Value> {
    let copy = scratch(overlay);
    let copied = Command::new("cp").arg("-r").arg(repository("deploy/kubernetes")).arg(&copy).status().unwrap();
    assert!(copied.success());
    make_secrets(&copy.join(format!("overlays/{overlay}/secrets")));
    let output =
        Command::new("kubectl").arg("kustomize").arg(copy.join(format!("overlays/{overlay}"))).output().unwrap();
    std::fs::remove_dir_all(&copy).unwrap();
    assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
    crate::documents::parse(&String::from_utf8(output.stdout).unwrap(), overlay)
}

/// Makes secrets as a person does.
pub(crate) fn make_secrets(directory: &Path) {
    let output = Command::new("sh").arg(repository("deploy/docker/secrets.sh")).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a service's configuration is in an overlay: the base's values, the overlay's over them.
pub(crate) fn environment(overlay: &str, service: &str) -> BTreeMap<String, String> {
    let base = repository("deploy/kubernetes/base");
    let mut variables = BTreeMap::new();
    for (directory, file) in [(base.clone(), base.join("kustomization.yaml")), (PathBuf::new(), overlay_file(overlay))]
    {
        let kustomization = kustomization(&file);
        let of_service = |name: &str| name == "common" || name == service;
        let generators = items(&kustomization, "/configMapGenerator").iter();
        for generator in generators.filter(|generator| of_service(text(generator, "/name"))) {
            for env in items(generator, "/envs") {
                let path = directory.join(env.as_str().unwrap());
                variables.extend(pairs(&std::fs::read_to_string(path).unwrap()));
            }
            for literal in items(generator, "/literals") {
                variables.extend(pairs(literal.as_str().unwrap()));
            }
        }
    }
    variables
}

/// Reads `KEY=value` lines.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + use<'_> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| {
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no KEY=value: {line}"));
        (key.to_owned(), value.to_owned())
    })
}

/// The names that stand in the variables of the base's files, for every service.
pub(crate) fn env_files() -> Vec<PathBuf> {
    files_under("deploy/kubernetes/base/config", "env")
}
