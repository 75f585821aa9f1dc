//! Where Google is, and who we are there.

use chassis::{
    config::{Environment, Faults},
    peers::parts,
};
use clap::Args;
use secrecy::SecretString;
use url::{Host, Url};

/// Login with Google.
#[derive(Args, Clone, Debug)]
pub struct GoogleConfig {
    /// OAuth client ids, comma-separated, the web client's first; without one there is no login with Google.
    #[arg(long, env = "GOOGLE_CLIENT_ID")]
    pub google_client_id: Option<String>,
    /// The first client's secret; needed to exchange codes.
    #[arg(long, env = "GOOGLE_CLIENT_SECRET")]
    pub google_client_secret: Option<SecretString>,
    /// Where a login may come back to, comma-separated and exact; `PUBLIC_URL` with `/auth/google/callback` after it unless set.
    #[arg(long, env = "REDIRECT_URI")]
    pub redirect_uri: Option<String>,
    /// Who signs id tokens.
    #[arg(long, env = "GOOGLE_ISSUER", default_value = "https://accounts.google.com")]
    pub google_issuer: Url,
    /// Where people are sent to log in.
    #[arg(long, env = "GOOGLE_AUTHORIZATION_URL", default_value = "https://accounts.google.com/o/oauth2/v2/auth")]
    pub google_authorization_url: Url,
    /// Where codes are exchanged.
    #[arg(long, env = "GOOGLE_TOKEN_URL", default_value = "https://oauth2.googleapis.com/token")]
    pub google_token_url: Url,
    /// The keys that sign id tokens.
    #[arg(long, env = "GOOGLE_JWKS_URL", default_value = "https://www.googleapis.com/oauth2/v3/certs")]
    pub google_jwks_url: Url,
}

impl GoogleConfig {
    /// Checks the addresses: https, or this machine itself in development.
    pub fn validate(&self, environment: Environment, faults: &mut Faults) {
        let addresses = [
            ("GOOGLE_ISSUER", &self.google_issuer),
            ("GOOGLE_AUTHORIZATION_URL", &self.google_authorization_url),
            ("GOOGLE_TOKEN_URL", &self.google_token_url),
            ("GOOGLE_JWKS_URL", &self.google_jwks_url),
        ];
        for (key, url) in addresses {
            let is_here = environment == Environment::Development && is_loopback(url);
            if url.scheme() != "https" && !is_here {
                faults.add(key, "must begin with https://");
            }
        }
        if self.redirect_uris().iter().any(|uri| Url::parse(uri).is_err()) {
            faults.add("REDIRECT_URI", "is not a list of addresses");
        }
    }

    /// Returns our client ids.
    pub fn client_ids(&self) -> Vec<String> {
        list(self.google_client_id.as_deref())
    }

    /// Returns where a login may come back to, as it was configured.
    pub fn redirect_uris(&self) -> Vec<String> {
        list(self.redirect_uri.as_deref())
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    parts(text.unwrap_or_default()).map(ToOwned::to_owned).collect()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
