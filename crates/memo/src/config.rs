//! `maru-memo`'s configuration.

use chassis::{
    config::{Config, Faults},
    peers::{Urls, parse_urls},
    service::BaseConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Every key of `maru-memo`.
#[derive(Args, Clone, Debug)]
pub struct MemoConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3005)]
    pub port: u16,
    /// Where files are.
    #[command(flatten)]
    pub s3: S3Config,
    /// How much of it.
    #[command(flatten)]
    pub files: FilesConfig,
    /// The key of its calls to other services.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// The services it asks.
    #[command(flatten)]
    pub services: ServicesConfig,
}

/// Where the services are that this one asks.
#[derive(Args, Clone, Debug)]
pub struct ServicesConfig {
    /// Addresses of the session service, comma-separated: `http://host:port`. It knows the focus sessions of a day.
    #[arg(long, env = "SESSION_URLS", default_value = "http://session:3002", value_parser = parse_urls)]
    pub session_urls: Urls,
}

/// How much people may keep.
#[derive(Args, Clone, Copy, Debug)]
pub struct FilesConfig {
    /// Megabytes of files that one person may keep.
    #[arg(long, env = "FILES_QUOTA_MB", default_value_t = 2_048)]
    pub files_quota_mb: u32,
}

impl FilesConfig {
    /// Returns the quota in bytes.
    pub fn quota_bytes(self) -> i64 {
        i64::from(self.files_quota_mb) * 1024 * 1024
    }
}

/// An object storage that speaks S3 with path-style URLs: R2, S3, MinIO, Garage.
#[derive(Args, Clone, Debug)]
pub struct S3Config {
    /// Address of the object storage as this service reaches it.
    #[arg(long, env = "S3_ENDPOINT")]
    pub s3_endpoint: Url,
    /// Address of the object storage as people's apps reach it; `S3_ENDPOINT` when absent.
    #[arg(long, env = "S3_PUBLIC_ENDPOINT")]
    pub s3_public_endpoint: Option<Url>,
    /// Region that requests are signed for.
    #[arg(long, env = "S3_REGION", default_value = "auto")]
    pub s3_region: String,
    /// Bucket of all files; it must exist, and nobody may read it without a signature.
    #[arg(long, env = "S3_BUCKET")]
    pub s3_bucket: String,
    /// Access key.
    #[arg(long, env = "S3_ACCESS_KEY")]
    pub s3_access_key: String,
    /// Secret of the access key.
    #[arg(long, env = "S3_SECRET_KEY")]
    pub s3_secret_key: SecretString,
}

impl S3Config {
    /// Returns the address that stands in URLs for people's apps.
    pub fn public_endpoint(&self) -> &Url {
        self.s3_public_endpoint.as_ref().unwrap_or(&self.s3_endpoint)
    }

    fn validate(&self, faults: &mut Faults) {
        let endpoints = [("S3_ENDPOINT", &self.s3_endpoint), ("S3_PUBLIC_ENDPOINT", self.public_endpoint())];
        for (key, url) in endpoints {
            let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare {
                faults.add(key, "is not of the form https://host");
            }
        }
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !(3..=63).contains(&self.s3_bucket.len()) || !self.s3_bucket.chars().all(name) {
            faults.add("S3_BUCKET", "is not a bucket's name (3-63 of a-z, 0-9, - and .)");
        }
        if self.s3_secret_key.expose_secret().trim().is_empty() {
            faults.add("S3_SECRET_KEY", "is empty");
        }
    }
}

impl Config for MemoConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.s3.validate(faults);
        self.signing.validate(Service::Memo, faults);
    }
}

#[cfg(test)]
mod tests {
    use chassis::{
        config::{Vars, read},
        token::KeyPair,
    };

    use super::*;

    fn vars(changed: &[(&str, &str)]) -> Vars {
        let gateway = KeyPair::generate("gateway.1").unwrap();
        let own = KeyPair::generate("memo.1").unwrap();
        let sound = [
            ("INTERNAL_PUBLIC_KEYS", gateway.public_jwks.as_str()),
            ("INTERNAL_SIGNING_KEY", own.private_pem.expose_secret()),
            ("DATABASE_URL", "postgres://maru@127.0.0.1/maru_memo"),
            ("REDIS_URL", "redis://127.0.0.1"),
            ("S3_ENDPOINT", "http://127.0.0.1:9000"),
            ("S3_BUCKET", "maru"),
            ("S3_ACCESS_KEY", "key"),
            ("S3_SECRET_KEY", "secret"),
        ];
        sound.iter().chain(changed).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn faults(changed: &[(&str, &str)]) -> String {
        read::<MemoConfig>(None, &vars(changed)).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_configuration_has_defaults() {
        let config = read::<MemoConfig>(None, &vars(&[])).unwrap();
        assert_eq!((config.port, config.s3.s3_region.as_str()), (3005, "auto"));
        assert_eq!(config.s3.public_endpoint(), &config.s3.s3_endpoint);
    }

    #[test]
    fn a_storage_that_cannot_be_reached_by_its_address_is_refused_before_anything_starts() {
        for bad in ["ftp://store", "http://user@store", "http://store/?x=1", "store"] {
            assert!(faults(&[("S3_ENDPOINT", bad)]).contains("S3_ENDPOINT"), "{bad}");
        }
        assert!(faults(&[("S3_PUBLIC_ENDPOINT", "mailto:a@b.kr")]).contains("S3_PUBLIC_ENDPOINT"));
        assert!(faults(&[("S3_BUCKET", "a/b")]).contains("S3_BUCKET"));
    }

    #[test]
    fn the_secret_of_the_storage_is_never_shown() {
        let text = faults(&[("S3_SECRET_KEY", "hunter2"), ("S3_BUCKET", "x")]);
        assert!(!text.contains("hunter2"), "{text}");
    }
}
