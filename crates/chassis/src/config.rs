//! Configuration from the environment: every key with its default in `--help`, every fault reported at once.
//!
//! A key may also be given as a file (`JWT_SECRET_FILE=/run/secrets/jwt`), which is how secrets come in Kubernetes. An
//! empty variable counts as absent. Faults end the process with status 64 before anything has started.

use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _};

use clap::{Arg, ArgMatches, Args, Command, builder::Resettable, parser::ValueSource};
use secrecy::{ExposeSecret, SecretString};

/// `EX_USAGE` of BSD's `sysexits`: the configuration is wrong and a restart will not help.
pub const EXIT_CONFIG: u8 = 64;

/// Fewest bytes of a shared secret: HS256 wants a key as long as its hash.
pub const SECRET_MIN_BYTES: usize = 32;

/// Pieces of secrets that stand in documents and tutorials; a deployment that still has one is open to everybody.
const SAMPLE_SECRETS: [&str; 6] = ["your-secret", "your_jwt_secret", "changeme", "change-me", "secret-key", "변경"];

/// What stands in for a value that is missing while the other keys are judged: an address, a number, a text.
const STAND_INS: [&str; 3] = ["http://stand-in.invalid", "1", "stand-in"];

/// Where a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// A developer's machine or a test: demo data, mail in a file.
    Development,
    /// Anything that people use.
    Production,
}

/// What is wrong with a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults(BTreeMap<String, String>);

impl Faults {
    /// Records what is wrong with `key`; the first fault of a key is kept.
    pub fn add(&mut self, key: impl Into<String>, fault: impl Into<String>) {
        self.0.entry(key.into()).or_insert_with(|| fault.into());
    }

    /// Returns whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a shared secret that is short or stands in a tutorial.
    pub fn check_secret(&mut self, key: &str, secret: &SecretString) {
        let text = secret.expose_secret();
        if text.len() < SECRET_MIN_BYTES {
            self.add(key, format!("must have at least {SECRET_MIN_BYTES} bytes (try: openssl rand -base64 48)"));
        } else if SAMPLE_SECRETS.iter().any(|sample| text.to_lowercase().contains(sample)) {
            self.add(key, "is a sample from a document; make your own (try: openssl rand -base64 48)");
        }
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the configuration has {} fault(s):", self.0.len())?;
        for (key, fault) in &self.0 {
            writeln!(f, "  {key}: {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A configuration whose keys are declared with clap.
pub trait Config: Args {
    /// Checks what concerns more than one key, or needs more than a type.
    fn validate(&self, faults: &mut Faults);
}

/// Where raw values come from; a map in tests, so that no test sets a variable of the process.
pub type Vars = BTreeMap<String, String>;

/// Returns the process's environment.
pub fn process_vars() -> Vars {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Adds a configuration's keys to a command, readable in `--help`, without judging their values yet.
pub(crate) fn declare<C: Args>(command: Command) -> Command {
    let about = command.get_about().cloned();
    let keys = C::augment_args(Command::new("keys"));
    let is_key = |arg: &Arg| keys.get_arguments().any(|key| key.get_id() == arg.get_id());
    let unjudged = C::augment_args(command).mut_args(|arg| {
        if is_key(&arg) {
            arg.required(false).value_parser(clap::builder::ValueParser::os_string()).hide_env_values(true)
        } else {
            arg
        }
    });
    // The configuration brings its own description, which is not the command's.
    match about {
        Some(about) => unjudged.about(about.clone()).long_about(about),
        None => unjudged,
    }
}

/// Reads a configuration from flags and variables.
///
/// # Errors
/// Returns every fault at once: values of a wrong type, missing keys, unreadable files, and what
/// [`Config::validate`] finds.
pub fn read<C: Config>(flags: Option<&ArgMatches>, vars: &Vars) -> Result<C, Faults> {
    let declared = C::augment_args(Command::new("config").no_binary_name(true));
    let mut faults = Faults::default();
    let mut argv: Vec<OsString> = Vec::new();
    for arg in declared.get_arguments() {
        let (Some(long), Some(key)) = (arg.get_long(), arg.get_env().and_then(|k| k.to_str())) else { continue };
        match raw(arg, key, flags, vars) {
            Ok(Some(value)) => {
                let mut flag = OsString::from(format!("--{long}="));
                flag.push(value);
                match check(arg, &flag) {
                    Ok(()) => argv.push(flag),
                    Err(fault) => faults.add(key, fault),
                }
            }
            Ok(None) if arg.is_required_set() && arg.get_default_values().is_empty() => {
                faults.add(key, "is not set");
            }
            Ok(None) => {}
            Err(fault) => faults.add(key, fault),
        }
    }
    // The rest is judged too, with stand-ins for what is at fault: whoever mends a configuration wants to mend it once.
    argv.extend(declared.get_arguments().filter(|arg| is_missing(arg, &faults)).filter_map(stand_in));
    let without_env = declared.mut_args(|arg| arg.env(Resettable::Reset));
    let parsed = without_env.try_get_matches_from(argv).and_then(|matches| C::from_arg_matches(&matches));
    match parsed {
        Ok(config) => {
            config.validate(&mut faults);
            if faults.is_empty() { Ok(config) } else { Err(faults) }
        }
        Err(_lacks_what_has_no_stand_in) if !faults.is_empty() => Err(faults),
        Err(error) => Err(one_fault("arguments", &error.to_string())),
    }
}

/// Returns whether the final parse needs a key that is at fault.
fn is_missing(arg: &Arg, faults: &Faults) -> bool {
    let key = arg.get_env().and_then(|key| key.to_str());
    arg.is_required_set() && key.is_some_and(|key| faults.0.contains_key(key))
}

/// Returns a value that a key's own parser takes, whatever it may mean.
fn stand_in(arg: &Arg) -> Option<OsString> {
    let long = arg.get_long()?;
    let flags = STAND_INS.iter().map(|value| OsString::from(format!("--{long}={value}")));
    flags.into_iter().find(|flag| check(arg, flag).is_ok())
}

fn one_fault(key: &str, fault: &str) -> Faults {
    let mut faults = Faults::default();
    faults.add(key, fault);
    faults
}

/// Finds a key's value: the flag, then the variable, then the file that `<KEY>_FILE` names.
fn raw(arg: &Arg, key: &str, flags: Option<&ArgMatches>, vars: &Vars) -> Result<Option<OsString>, String> {
    let id = arg.get_id().as_str();
    if let Some(flags) = flags
        && flags.value_source(id) == Some(ValueSource::CommandLine)
    {
        return Ok(flags.get_one::<OsString>(id).cloned());
    }
    let present = |key: &str| vars.get(key).filter(|value| !value.is_empty());
    let file_key = format!("{key}_FILE");
    match (present(key), present(&file_key)) {
        (Some(_), Some(_)) => Err(format!("is set, and so is {file_key}; keep one")),
        (Some(value), None) => Ok(Some(value.into())),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).into())),
            Err(error) => Err(format!("{file_key} cannot be read ({path}: {error})")),
        },
        (None, None) => Ok(None),
    }
}

/// Judges one value with its own parser.
fn check(arg: &Arg, flag: &OsString) -> Result<(), String> {
    let alone = arg.clone().required(false).env(Resettable::Reset);
    match Command::new("check").no_binary_name(true).arg(alone).try_get_matches_from([flag]) {
        Ok(_) => Ok(()),
        // clap repeats the value; a secret must not reach the terminal that way.
        Err(error) => {
            let mut fault = String::from("is not valid");
            let possible = arg.get_possible_values();
            if possible.is_empty() {
                if let Some(cause) = std::error::Error::source(&error) {
                    _ = write!(fault, ": {cause}");
                }
            } else {
                let names: Vec<_> = possible.iter().map(clap::builder::PossibleValue::get_name).collect();
                _ = write!(fault, "; one of: {}", names.join(", "));
            }
            Err(fault)
        }
    }
}

/// Parses `90s`, `15m`, `12h`, `1d` or a bare number of seconds.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 86_400,
        _ => return Err("the unit is one of s, m, h, d".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_not_a_number| "is not a whole number with a unit".to_owned())?;
    count.checked_mul(unit).map(std::time::Duration::from_secs).ok_or_else(|| "is too long".to_owned())
}

/// Keys every process has.
#[derive(Args, Clone, Debug)]
pub struct CommonConfig {
    /// Where this process runs: `development` or `production`.
    #[arg(long, env = "MARU_ENV", default_value = "production", value_enum)]
    pub environment: Environment,
    /// Language of messages when a request names none: `ko` or `en`.
    #[arg(long, env = "MARU_LOCALE", default_value = "ko", value_parser = parse_locale)]
    pub locale: domain::locale::Locale,
}

fn parse_locale(text: &str) -> Result<domain::locale::Locale, String> {
    domain::locale::Locale::parse(text).ok_or_else(|| "one of: ko, en".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Args, Debug)]
    struct Sample {
        #[arg(long, env = "SAMPLE_PORT", default_value_t = 3000)]
        port: u16,
        #[arg(long, env = "SAMPLE_SECRET")]
        secret: SecretString,
        #[arg(long, env = "SAMPLE_KEY")]
        key: Option<String>,
        #[arg(long, env = "SAMPLE_ENV", default_value = "production", value_enum)]
        environment: Environment,
    }

    impl Config for Sample {
        fn validate(&self, faults: &mut Faults) {
            faults.check_secret("SAMPLE_SECRET", &self.secret);
        }
    }

    fn vars(pairs: &[(&str, &str)]) -> Vars {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn defaults_stand_and_empty_variables_are_absent() {
        let config: Sample = read(None, &vars(&[("SAMPLE_SECRET", GOOD), ("SAMPLE_KEY", "")])).unwrap();
        assert_eq!((config.port, config.key, config.environment), (3000, None, Environment::Production));
    }

    #[test]
    fn all_faults_are_reported_at_once_and_show_no_secret() {
        let given = [("SAMPLE_PORT", "eighty"), ("SAMPLE_ENV", "staging")];
        let faults = read::<Sample>(None, &vars(&given)).unwrap_err();
        let text = faults.to_string();
        for key in ["SAMPLE_PORT", "SAMPLE_ENV", "SAMPLE_SECRET: is not set"] {
            assert!(text.contains(key), "{text}");
        }
        let short = read::<Sample>(None, &vars(&[("SAMPLE_SECRET", "hunter2")])).unwrap_err().to_string();
        assert!(short.contains("at least 32") && !short.contains("hunter2"), "{short}");
    }

    #[test]
    fn a_secret_from_a_tutorial_is_refused() {
        let sample = "your-secret-key-your-secret-key-your";
        assert!(read::<Sample>(None, &vars(&[("SAMPLE_SECRET", sample)])).is_err());
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_not_from_both() {
        let path = std::env::temp_dir().join(format!("maru-config-{}", std::process::id()));
        std::fs::write(&path, format!("{GOOD}\n")).unwrap();
        let path_text = path.to_str().unwrap();
        let config: Sample = read(None, &vars(&[("SAMPLE_SECRET_FILE", path_text)])).unwrap();
        assert_eq!(config.secret.expose_secret(), GOOD);
        let both = read::<Sample>(None, &vars(&[("SAMPLE_SECRET_FILE", path_text), ("SAMPLE_SECRET", GOOD)]));
        assert!(both.unwrap_err().to_string().contains("keep one"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("1d"), Ok(Duration::from_hours(24)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("1w").is_err() && parse_duration("d").is_err());
    }
}
