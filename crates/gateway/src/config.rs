//! `maru-gateway`'s configuration.

use chassis::{
    access::AccessConfig,
    config::{CommonConfig, Config, Faults},
    limit::Profile,
    peers::{Urls, parse_urls, parts},
    redis::RedisConfig,
    server::HttpConfig,
    telemetry::TelemetryConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;
use url::Url;

/// Every key of `maru-gateway`.
#[derive(Args, Clone, Debug)]
pub struct GatewayConfig {
    /// Environment and language.
    #[command(flatten)]
    pub common: CommonConfig,
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpConfig,
    /// Logs, metrics, traces.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// Redis: notices of ended logins.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// Where the services are.
    #[command(flatten)]
    pub services: ServicesConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Port of probes and metrics; never to be reached from outside.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 9090)]
    pub admin_port: u16,
    /// The secret of access tokens.
    #[command(flatten)]
    pub access: AccessConfig,
    /// The key of internal tokens.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// Origins of the pages that may call from browsers, comma-separated: `https://app.example.com`.
    #[arg(long, env = "ALLOWED_ORIGINS", default_value = "", value_parser = parse_origins)]
    pub allowed_origins: Origins,
    /// The address people use; its origin is always allowed.
    #[arg(long, env = "PUBLIC_URL", default_value = "http://localhost:8080")]
    pub public_url: Url,
    /// How many proxies of yours stand in front and append to `X-Forwarded-For`; with 0 the header is not believed.
    /// Without it everybody behind a proxy has the proxy's address, and shares one rate limit.
    #[arg(long, env = "TRUSTED_HOPS", default_value_t = 0)]
    pub trusted_hops: usize,
    /// How often people may ask; `generous` is for a developer's machine, where everybody has one address.
    #[arg(long, env = "RATE_LIMITS", default_value = "strict", value_enum)]
    pub rate_limits: Profile,
    /// Most requests in flight at one service; what comes on top is answered 503. Sockets and streams do not count.
    #[arg(long, env = "MAX_IN_FLIGHT", default_value_t = 2_048)]
    pub max_in_flight: usize,
    /// Most requests in flight at one address of a service.
    #[arg(long, env = "MAX_IN_FLIGHT_PER_ADDRESS", default_value_t = 512)]
    pub max_in_flight_per_address: usize,
}

/// Where the services are.
#[derive(Args, Clone, Debug)]
pub struct ServicesConfig {
    /// Addresses of the auth service, comma-separated: `http://host:port`.
    #[arg(long, env = "AUTH_URLS", value_parser = parse_urls)]
    pub auth_urls: Urls,
    /// Addresses of the session service.
    #[arg(long, env = "SESSION_URLS", value_parser = parse_urls)]
    pub session_urls: Urls,
    /// Addresses of the ticketing service.
    #[arg(long, env = "TICKETING_URLS", value_parser = parse_urls)]
    pub ticketing_urls: Urls,
    /// Addresses of the emotion service.
    #[arg(long, env = "EMOTION_URLS", value_parser = parse_urls)]
    pub emotion_urls: Urls,
    /// Addresses of the memo service.
    #[arg(long, env = "MEMO_URLS", value_parser = parse_urls)]
    pub memo_urls: Urls,
}

impl ServicesConfig {
    /// Returns each service with its addresses.
    pub fn all(&self) -> [(Service, &[Url]); 5] {
        [
            (Service::Auth, &self.auth_urls.0),
            (Service::Session, &self.session_urls.0),
            (Service::Ticketing, &self.ticketing_urls.0),
            (Service::Emotion, &self.emotion_urls.0),
            (Service::Memo, &self.memo_urls.0),
        ]
    }
}

/// Origins as browsers write them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

/// Reads a comma-separated list of origins.
fn parse_origins(text: &str) -> Result<Origins, String> {
    let origin = |part: &str| {
        let part = part.trim_end_matches('/');
        let url = Url::parse(part).ok()?;
        let written = url.origin().ascii_serialization();
        (matches!(url.scheme(), "http" | "https") && written == part).then_some(written)
    };
    let origins: Option<Vec<String>> = parts(text).map(origin).collect();
    origins.map(Origins).ok_or_else(|| "each origin is of the form https://host[:port]".to_owned())
}

impl Config for GatewayConfig {
    fn validate(&self, faults: &mut Faults) {
        self.http.validate(faults);
        self.redis.validate(faults);
        self.access.validate(faults);
        self.signing.validate(Service::Gateway, faults);
        if !matches!(self.public_url.scheme(), "http" | "https") {
            faults.add("PUBLIC_URL", "is not of the form https://host[:port]");
        }
        for (key, most) in
            [("MAX_IN_FLIGHT", self.max_in_flight), ("MAX_IN_FLIGHT_PER_ADDRESS", self.max_in_flight_per_address)]
        {
            if most == 0 {
                faults.add(key, "must be at least 1");
            }
        }
        if self.port == self.admin_port && self.port != 0 {
            faults.add("ADMIN_PORT", "must differ from PORT");
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::{
        config::{Vars, read},
        token::KeyPair,
    };
    use secrecy::ExposeSecret;

    use super::*;

    fn vars(changes: &[(&str, &str)]) -> Vars {
        let key = KeyPair::generate("gateway.1").unwrap().private_pem.expose_secret().to_owned();
        let services = ["AUTH_URLS", "SESSION_URLS", "TICKETING_URLS", "EMOTION_URLS", "MEMO_URLS"];
        let mut vars: Vars = services.map(|name| (name.to_owned(), "http://127.0.0.1:1".to_owned())).into();
        vars.insert("JWT_SECRET".to_owned(), "0123456789abcdef0123456789abcdef".to_owned());
        vars.insert("INTERNAL_SIGNING_KEY".to_owned(), key);
        vars.insert("REDIS_URL".to_owned(), "redis://127.0.0.1".to_owned());
        vars.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        vars
    }

    #[test]
    fn lists_are_read_and_defaults_stand() {
        let given =
            [("AUTH_URLS", "http://a:1, http://b:2"), ("ALLOWED_ORIGINS", "https://app.example.com/,http://x:3")];
        let config: GatewayConfig = read(None, &vars(&given)).unwrap();
        assert_eq!((config.port, config.admin_port, config.services.auth_urls.0.len()), (8080, 9090, 2));
        assert_eq!(config.allowed_origins.0, ["https://app.example.com", "http://x:3"]);
    }

    #[test]
    fn each_wrong_list_is_a_fault_of_its_own_key() {
        let given = [
            ("AUTH_URLS", "a:1"),
            ("SESSION_URLS", "https://a"),
            ("TICKETING_URLS", "http://a/path"),
            ("EMOTION_URLS", ","),
            ("MEMO_URLS", ""),
            ("ALLOWED_ORIGINS", "*"),
        ];
        let text = read::<GatewayConfig>(None, &vars(&given)).unwrap_err().to_string();
        for (key, _) in given {
            assert!(text.contains(key), "{key}: {text}");
        }
    }

    #[test]
    fn keys_that_are_no_keys_are_refused_without_being_shown() {
        let given = [("INTERNAL_SIGNING_KEY", "hunter2"), ("INTERNAL_SIGNING_KID", "memo.1"), ("PORT", "9090")];
        let text = read::<GatewayConfig>(None, &vars(&given)).unwrap_err().to_string();
        for key in ["INTERNAL_SIGNING_KEY", "INTERNAL_SIGNING_KID", "ADMIN_PORT"] {
            assert!(text.contains(key), "{key}: {text}");
        }
        assert!(!text.contains("hunter2"));
    }
}
