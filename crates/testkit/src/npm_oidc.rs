//! A second OpenID Connect provider, written by others: the npm package `oauth2-mock-server`.
//!
//! [`crate::oidc`] and what it tests were written by the same people, who may have misread the same paragraph; this
//! one was not. It needs Node.js, and once the package registry, and where one of them is missing the test that wants
//! it says so and passes: everything that must hold is tested with the other one.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::npm;

/// The package, in the version that this was tried with.
const PACKAGE: &str = "oauth2-mock-server@9.3.0";
/// Longest to wait until the server listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listens on a free port, adds the claims to every token, prints the issuer, and ends with its parent, however that
/// ends.
const SCRIPT: &str = "
import { OAuth2Server } from 'oauth2-mock-server';
const claims = JSON.parse(process.argv.at(-1));
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
server.service.on('beforeTokenSigning', (token) => Object.assign(token.payload, claims));
await server.start(0, '127.0.0.1');
server.issuer.url = `http://127.0.0.1:${server.address().port}`;
console.log(server.issuer.url);
process.stdin.on('end', () => process.exit(0)).resume();
";

/// A running provider; it ends when this is dropped.
pub struct NpmProvider {
    issuer: String,
    /// Its end is this one's: `kill_on_drop`.
    _child: Child,
}

impl NpmProvider {
    /// Starts a provider which signs tokens with these claims beside its own, for any client with any secret.
    ///
    /// # Errors
    /// Says why there is none: no Node.js, or one too old, or no package and no registry to fetch it from.
    pub async fn start(claims: &Value) -> Result<Self, String> {
        let directory = npm::install(PACKAGE).await?;
        let mut child = Command::new("node")
            .args(["--input-type=module", "--eval", SCRIPT, "--", &claims.to_string()])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("node cannot be started: {error}"))?;
        let mut first = String::new();
        if let Some(stdout) = child.stdout.take() {
            let read = timeout(PATIENCE, BufReader::new(stdout).read_line(&mut first)).await;
            // What cannot be read leaves the line empty, which is told apart below.
            drop(read);
        }
        let issuer = first.trim().to_owned();
        if issuer.is_empty() {
            return Err(format!("{PACKAGE} does not start: {}", last_words(child).await));
        }
        Ok(Self { issuer, _child: child })
    }

    /// Returns its issuer, to which the path of the discovery document is added.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// Ends a process and returns what it complained about.
async fn last_words(mut child: Child) -> String {
    // One that has ended by itself cannot be killed, and need not be.
    _ = child.kill().await;
    let mut words = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        _ = stderr.read_to_string(&mut words).await;
    }
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_package_describes_itself_where_it_can_be_had() {
        let provider = match NpmProvider::start(&json!({ "sub": "sub-1" })).await {
            Ok(provider) => provider,
            Err(reason) => return println!("skipped: {reason}"),
        };
        let http = crate::http_client();
        let url = format!("{}/.well-known/openid-configuration", provider.issuer());
        let discovery: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(discovery["issuer"], provider.issuer());
        let jwks = discovery["jwks_uri"].as_str().unwrap();
        assert!(jwks.starts_with(provider.issuer()), "{jwks}");
        let jwks: Value = http.get(jwks).send().await.unwrap().json().await.unwrap();
        assert_eq!(jwks["keys"][0]["kty"], "RSA");
    }
}
