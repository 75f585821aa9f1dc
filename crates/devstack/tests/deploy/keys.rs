//! The variables of a service, as its `--help` tells them.

use std::{collections::BTreeMap, path::Path, process::Command, sync::OnceLock};

use crate::SERVICES;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: String,
    /// What it is for: one paragraph.
    pub(crate) about: String,
    /// Its default, as written in the help.
    pub(crate) default: Option<String>,
}

/// The program of a service, beside `maru-dev`.
pub(crate) fn program(service: &str) -> std::path::PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_maru-dev")).with_file_name(format!("maru-{service}"));
    assert!(program.exists(), "{} is not built: cargo build --workspace --bins", program.display());
    program
}

/// The variables of a service, in the order of its help.
pub(crate) fn of(service: &str) -> &'static [Key] {
    static ALL: OnceLock<BTreeMap<&str, Vec<Key>>> = OnceLock::new();
    &ALL.get_or_init(|| SERVICES.into_iter().map(|service| (service, ask(service))).collect())[service]
}

fn ask(service: &str) -> Vec<Key> {
    let output = Command::new(program(service)).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let keys = read(&help);
    assert!(keys.len() > 10, "maru-{service} serve --help: {help}");
    keys
}

/// The variables of a service by name.
pub(crate) fn by_name(service: &str) -> BTreeMap<&'static str, &'static Key> {
    of(service).iter().map(|key| (key.name.as_str(), key)).collect()
}

/// The default of a variable of a service, as a number.
pub(crate) fn number(service: &str, name: &str) -> u64 {
    let keys = by_name(service);
    let key = keys.get(name).unwrap_or_else(|| panic!("maru-{service} has no {name}"));
    key.default.as_deref().and_then(|default| default.parse().ok()).unwrap_or_else(|| panic!("{key:?} is no number"))
}

fn read(help: &str) -> Vec<Key> {
    let options = help.split("\n      --").skip(1);
    options
        .filter_map(|option| {
            let lines: Vec<&str> = option.lines().map(str::trim).collect();
            let tagged =
                |tag: &str| lines.iter().find_map(|line| line.strip_prefix(tag)?.strip_suffix(']').map(str::to_owned));
            let name = tagged("[env: ")?.trim_end_matches('=').to_owned();
            let about = lines.iter().skip(1).take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>().join(" ");
            let default = tagged("[default: ").map(|default| default.trim_matches('"').to_owned());
            Some(Key { name, about, default })
        })
        .collect()
}
