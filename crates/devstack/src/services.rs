//! The platform's services as children.
//!
//! What each service needs in its environment is written down here once: `up` starts them with it, and single commands
//! (`migrate`, `seed`, `tokens`) run with the same.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use url::Url;

use crate::{
    databases,
    fault::Fault,
    locate,
    process::Stop,
    program::{Environment, Program, Stage},
    secrets::{Secrets, key_id},
    settings::{self, ObjectStore, Settings},
};

/// The gateway's name.
pub(crate) const GATEWAY: &str = "gateway";

/// The services behind the gateway; each has a database.
pub(crate) const SERVICES: [&str; 5] = ["auth", "session", "ticketing", "emotion", "memo"];

/// The services that call others, and sign for it.
const CALLING: [&str; 5] = ["auth", "session", "ticketing", "emotion", "memo"];

/// The name of a gateway's process, by its place among them: the first one has the name and the port that people know.
pub(crate) fn gateway_name(place: usize) -> String {
    if place == 0 { GATEWAY.to_owned() } else { format!("{GATEWAY}.{}", place + 1) }
}

/// The most replicas of one service that are of use on one machine.
const MOST_REPLICAS: usize = 8;

/// How many replicas of each service run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replicas(BTreeMap<String, usize>);

impl Replicas {
    /// Reads "gateway=2,auth=2"; what is not named has one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let all = || std::iter::once(GATEWAY).chain(SERVICES);
        let mut counts: BTreeMap<String, usize> = all().map(|name| (name.to_owned(), 1)).collect();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, count) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form auth=2"))?;
            let Some(slot) = counts.get_mut(name.trim()) else {
                return Err(format!("there is no `{name}`; there are: {}", all().collect::<Vec<_>>().join(", ")));
            };
            *slot = match count.trim().parse() {
                Ok(count) if (1..=MOST_REPLICAS).contains(&count) => count,
                _ => return Err(format!("`{count}` replicas of {name}: it must be 1 to {MOST_REPLICAS}")),
            };
        }
        Ok(Self(counts))
    }

    /// The replicas of a service, or of the gateway.
    pub(crate) fn of(&self, service: &str) -> usize {
        self.0.get(service).copied().unwrap_or(1)
    }
}

/// What the services are told about each other and about the rest.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// `MARU_ENV`.
    pub(crate) environment: String,
    /// A PostgreSQL server; each service gets its own database on it.
    pub(crate) database_urls: BTreeMap<String, String>,
    /// Redis.
    pub(crate) redis_url: String,
    /// Object storage.
    pub(crate) store: ObjectStore,
    /// The address people use.
    pub(crate) gateway_url: String,
    /// Where letters are put, one file each.
    pub(crate) mail: PathBuf,
    /// Keys.
    pub(crate) secrets: Secrets,
    /// The base address of the model that follows scripts, when there is one.
    pub(crate) scripted_llm: Option<String>,
}

/// Where a process listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    /// Its port.
    pub(crate) port: u16,
    /// A gateway's second port.
    pub(crate) admin: Option<u16>,
    /// Where the services are.
    pub(crate) services: &'a BTreeMap<String, Vec<String>>,
    /// Where the gateways are.
    pub(crate) gateways: &'a [String],
}

impl Surroundings {
    /// The environment of one process of `service`; `address` is `None` for single commands.
    pub(crate) fn environment_of(&self, service: &str, address: Option<Address<'_>>) -> Environment {
        let mut set = Variables::default();
        set.to("MARU_ENV", &self.environment);
        set.to("REDIS_URL", &self.redis_url);
        set.to("HOST", "127.0.0.1");
        set.unless_given("LOG_FORMAT", "text");
        // Nobody else balances load here, so nobody needs 3 s to notice that a service is leaving.
        set.unless_given("DRAIN_DELAY_MS", "500");
        if let Some(address) = address {
            set.to("PORT", &address.port.to_string());
        } else {
            set.remove("PORT");
        }
        if service == GATEWAY || service == "auth" {
            // Everybody here has one address, and a test registers hundreds of people.
            set.unless_given("RATE_LIMITS", "generous");
        }
        if service == GATEWAY || CALLING.contains(&service) {
            if let Some(key) = self.secrets.signing_keys.get(service) {
                set.to("INTERNAL_SIGNING_KEY", key);
            }
            set.to("INTERNAL_SIGNING_KID", &key_id(service));
            for (name, urls) in address.iter().flat_map(|address| address.services) {
                set.to(&format!("{}_URLS", name.to_uppercase()), &urls.join(","));
            }
            set.unless_given("PUBLIC_URL", &self.gateway_url);
        }
        if service == GATEWAY {
            self.add_gateway(&mut set, address);
        } else {
            set.to("INTERNAL_PUBLIC_KEYS", &self.secrets.internal_public_keys);
            if let Some(url) = self.database_urls.get(service) {
                set.to("DATABASE_URL", url);
            }
        }
        match service {
            "auth" => {
                set.to("JWT_SECRET", &self.secrets.jwt_secret);
                if let Ok(url) = Url::from_directory_path(&self.mail) {
                    set.unless_given("MAIL_URL", url.as_str());
                }
            }
            "session" => {
                set.unless_given("PUBLIC_BASE_URL", &self.gateway_url);
                set.to("PARTICIPANT_SECRET", &self.secrets.participant_secret);
            }
            "ticketing" => set.to("TICKET_SECRET", &self.secrets.ticket_secret),
            "emotion" => {
                set.to("EMOTION_MASTER_KEY", &self.secrets.emotion_master_key);
                // One person tries many things here.
                set.unless_given("EMOTION_MESSAGES_PER_MINUTE", "600");
                set.unless_given("EMOTION_SOCKETS_PER_USER", "64");
                set.unless_given("EMOTION_REPLIES_PER_USER", "64");
                set.unless_given("EMOTION_TOKENS_PER_DAY", "20000000");
                if let Some(url) = &self.scripted_llm {
                    set.to("OPENAI_BASE_URL", url);
                    set.to("OPENAI_API_KEY", "scripted");
                    set.unless_given("OPENAI_MODEL", "scripted");
                }
            }
            "memo" => {
                set.to("S3_ENDPOINT", &self.store.endpoint);
                set.to("S3_BUCKET", &self.store.bucket);
                set.to("S3_REGION", &self.store.region);
                set.to("S3_ACCESS_KEY", &self.store.access_key_id);
                set.to("S3_SECRET_KEY", &self.store.secret_access_key);
            }
            _ => {}
        }
        Environment::Changed(set.changes)
    }

    fn add_gateway(&self, set: &mut Variables, address: Option<Address<'_>>) {
        set.to("JWT_SECRET", &self.secrets.jwt_secret);
        // One process of each service stands for many, and whoever tries a storm here wants to see it served.
        set.unless_given("MAX_IN_FLIGHT", "4096");
        set.unless_given("MAX_IN_FLIGHT_PER_ADDRESS", "4096");
        // The same page at every gateway, under both names of this machine.
        let gateways = address.map_or(std::slice::from_ref(&self.gateway_url), |address| address.gateways);
        let origins: Vec<String> =
            gateways.iter().flat_map(|url| [url.clone(), url.replace("127.0.0.1", "localhost")]).collect();
        set.unless_given("ALLOWED_ORIGINS", &origins.join(","));
        if let Some(admin) = address.and_then(|address| address.admin) {
            set.to("ADMIN_PORT", &admin.to_string());
        }
    }
}

/// Changes to the environment of a child.
#[derive(Default)]
struct Variables {
    changes: Vec<(String, Option<String>)>,
}

impl Variables {
    /// Sets a variable, whatever the caller has; the form that names a file goes, as both together would be a fault.
    fn to(&mut self, key: &str, value: &str) {
        self.changes.push((key.to_owned(), Some(value.to_owned())));
        self.remove(&format!("{key}_FILE"));
    }

    fn unless_given(&mut self, key: &str, value: &str) {
        if settings::variable(key).is_none() && settings::variable(&format!("{key}_FILE")).is_none() {
            self.to(key, value);
        }
    }

    fn remove(&mut self, key: &str) {
        self.changes.push((key.to_owned(), None));
    }
}

/// The program of a service, beside our own.
pub(crate) fn executable(settings: &Settings, service: &str) -> PathBuf {
    settings.program.with_file_name(format!("maru-{service}"))
}

/// The program that a process of a service runs, by the number behind its name: several directories of programs are several
/// releases beside each other.
fn served_by(directories: &[PathBuf], service: &str, name: &str) -> Option<PathBuf> {
    let number: usize = name.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(1);
    let place = number.saturating_sub(1).checked_rem(directories.len())?;
    Some(directories.get(place)?.join(format!("maru-{service}")))
}

/// A fault that names every service that is not built.
pub(crate) fn require_built(settings: &Settings) -> Result<(), Fault> {
    let own = settings.program.parent().unwrap_or(Path::new("")).to_path_buf();
    for place in std::iter::once(&own).chain(&settings.programs) {
        let programs = std::iter::once(GATEWAY).chain(SERVICES).map(|service| format!("maru-{service}"));
        let missing: Vec<String> = programs.filter(|name| !locate::is_executable(&place.join(name))).collect();
        if !missing.is_empty() {
            let what = format!("not built: {} (looked in {})", missing.join(", "), place.display());
            return Err(Fault::new(what, "run `cargo build --workspace`"));
        }
    }
    Ok(())
}

/// A service as a child.
pub(crate) fn program(
    settings: &Settings,
    around: &Surroundings,
    service: &str,
    name: String,
    address: Address<'_>,
) -> Program {
    let executable = served_by(&settings.programs, service, &name).unwrap_or_else(|| executable(settings, service));
    Program {
        name,
        executable,
        arguments: vec!["serve".to_owned()],
        environment: around.environment_of(service, Some(address)),
        directory: settings.root.clone(),
        account: None,
        stop: Stop::Group,
        stage: if service == GATEWAY { Stage::Gateway } else { Stage::Services },
    }
}

/// The database addresses of all services on one server.
pub(crate) fn database_urls(server: &str) -> Result<BTreeMap<String, String>, Fault> {
    SERVICES.iter().map(|name| Ok(((*name).to_owned(), databases::url_of(server, name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_read_by_name() {
        let replicas = Replicas::parse("gateway=2,auth=2, ticketing=3").expect("well formed");
        assert_eq!(["gateway", "auth", "ticketing", "memo"].map(|name| replicas.of(name)), [2, 2, 3, 1]);
        assert_eq!(Replicas::parse("").expect("nothing asked").of("auth"), 1);
        for wrong in ["auth", "auth=0", "auth=9", "auth=x", "gateway=0", "nobody=1"] {
            assert!(Replicas::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_gateway_has_the_name_that_people_know() {
        assert_eq!([0, 1, 2].map(gateway_name), ["gateway", "gateway.2", "gateway.3"]);
    }

    #[test]
    fn replicas_take_their_programs_in_turn() {
        let directories = ["/old", "/new"].map(PathBuf::from);
        let by = |name: &str| served_by(&directories, "auth", name);
        let [old, new] = ["/old/maru-auth", "/new/maru-auth"].map(|file| Some(PathBuf::from(file)));
        assert_eq!(["auth.1", "auth.2", "auth.3"].map(by), [old.clone(), new, old]);
        assert_eq!(served_by(&directories, GATEWAY, GATEWAY), Some("/old/maru-gateway".into()));
        assert_eq!(served_by(&[], "auth", "auth.1"), None);
    }

    #[test]
    fn each_service_is_told_what_it_needs_and_no_more() {
        let store = ObjectStore {
            endpoint: "http://127.0.0.1:1".to_owned(),
            bucket: "maru".to_owned(),
            region: "auto".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "key".to_owned(),
        };
        let around = Surroundings {
            environment: "development".to_owned(),
            database_urls: database_urls("postgres://maru@127.0.0.1:1/postgres").expect("a url"),
            redis_url: "redis://127.0.0.1:2/0".to_owned(),
            store,
            gateway_url: "http://127.0.0.1:8080".to_owned(),
            mail: PathBuf::from("/tmp/mail"),
            secrets: Secrets::make().expect("randomness"),
            scripted_llm: Some("http://127.0.0.1:3/v1".to_owned()),
        };
        let keys = |service: &str, address| match around.environment_of(service, address) {
            Environment::Changed(changes) => changes,
            Environment::Only(_) => Vec::new(),
        };
        let has = |changes: &[(String, Option<String>)], key: &str| {
            changes.iter().any(|(name, value)| name == key && value.is_some())
        };
        let services = BTreeMap::from([("auth".to_owned(), vec!["http://a".to_owned(), "http://b".to_owned()])]);
        let gateways = ["http://127.0.0.1:8080", "http://127.0.0.1:20001"].map(str::to_owned);
        let address = Address { port: 8080, admin: Some(9090), services: &services, gateways: &gateways };
        let gateway = keys(GATEWAY, Some(address));
        let origins = "http://127.0.0.1:8080,http://localhost:8080,http://127.0.0.1:20001,http://localhost:20001";
        assert!(gateway.contains(&("ALLOWED_ORIGINS".to_owned(), Some(origins.to_owned()))));
        assert!(gateway.contains(&("AUTH_URLS".to_owned(), Some("http://a,http://b".to_owned()))));
        assert!(has(&gateway, "INTERNAL_SIGNING_KEY") && has(&gateway, "JWT_SECRET") && has(&gateway, "ADMIN_PORT"));
        assert!(!has(&gateway, "DATABASE_URL"));
        let memo = keys("memo", None);
        assert!(has(&memo, "S3_SECRET_KEY") && has(&memo, "INTERNAL_PUBLIC_KEYS"));
        assert!(has(&memo, "INTERNAL_SIGNING_KEY") && !has(&memo, "JWT_SECRET") && !has(&memo, "PORT"));
        assert!(memo.contains(&("DATABASE_URL_FILE".to_owned(), None)));
        let session = keys("session", None);
        assert!(has(&session, "PARTICIPANT_SECRET") && has(&session, "INTERNAL_SIGNING_KEY"));
        assert!(!has(&session, "JWT_SECRET") && !has(&memo, "PARTICIPANT_SECRET"));
        assert!(has(&keys("ticketing", None), "TICKET_SECRET"));
        assert!(!has(&session, "TICKET_SECRET") && !has(&memo, "TICKET_SECRET"));
        let emotion = keys("emotion", None);
        assert!(emotion.contains(&("OPENAI_BASE_URL".to_owned(), Some("http://127.0.0.1:3/v1".to_owned()))));
        assert!(has(&emotion, "OPENAI_API_KEY") && !has(&memo, "OPENAI_API_KEY"));
        assert!(has(&emotion, "EMOTION_MASTER_KEY") && has(&emotion, "INTERNAL_SIGNING_KEY"));
        assert!(!has(&session, "EMOTION_MASTER_KEY") && !has(&memo, "EMOTION_MASTER_KEY"));
        let auth = keys("auth", Some(Address { port: 1, admin: None, ..address }));
        assert!(has(&auth, "JWT_SECRET") && has(&auth, "INTERNAL_SIGNING_KEY") && has(&auth, "AUTH_URLS"));
        assert!(auth.contains(&("MAIL_URL".to_owned(), Some("file:///tmp/mail/".to_owned()))));
        assert!(auth.contains(&("INTERNAL_SIGNING_KID".to_owned(), Some("auth.1".to_owned()))));
    }
}
