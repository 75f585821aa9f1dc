//! Which request heads are looked at, at all.
//!
//! Two programs must not read one head differently. A name that a service might take for another one (`X_User_Id` is
//! `X-User-Id` to many), a `Host` that is no host and a key that no service would accept are refused here, and so is a
//! head that is larger than any client of ours needs.

use actix_web::{
    HttpRequest,
    http::header::{HOST, HeaderMap},
};
use chassis::problem::{Outcome, Problem};
use domain::fault::common;

use crate::faults::{BAD_HEADER, BAD_HOST, BAD_IDEMPOTENCY_KEY, URL_TOO_LONG};

/// Most bytes of names and values together; the server itself would take 128 KiB.
const HEADERS_MAX: usize = 16 * 1024;
/// Most bytes of a path and its query; what browsers and proxies agree on.
const URL_MAX: usize = 8 * 1024;
/// Longest `Idempotency-Key`, as the services have it.
const IDEMPOTENCY_KEY_MAX: usize = 128;
/// Bytes around a name and its value: colon, space and the end of the line.
const AROUND: usize = 4;

/// Judges a request's head.
///
/// # Errors
/// 414 and 431 for what is too large, 400 for what can be read in two ways.
pub fn check(request: &HttpRequest) -> Outcome<()> {
    let length = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if length > URL_MAX {
        return Err(URL_TOO_LONG.into());
    }
    check_names(request.headers())?;
    check_host(request.headers())?;
    check_idempotency_key(request.headers())
}

fn check_names(headers: &HeaderMap) -> Outcome<()> {
    let mut total = 0;
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        total += name.len() + value.len() + AROUND;
        // Nothing but these can be mistaken for one of these.
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
            return Err(BAD_HEADER.into());
        }
    }
    if total > HEADERS_MAX { Err(common::HEAD_TOO_LARGE.into()) } else { Ok(()) }
}

fn check_host(headers: &HeaderMap) -> Outcome<()> {
    let mut hosts = headers.get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.to_str().is_ok_and(is_authority) => Ok(()),
        _ => Err(BAD_HOST.into()),
    }
}

/// Accepts `name`, `name:port`, `[address]` and `[address]:port`.
fn is_authority(host: &str) -> bool {
    let made_of = |text: &str, also: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
    };
    let (is_host, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        (made_of(address, b":."), port)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        (made_of(name, b".-_"), port)
    };
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn check_idempotency_key(headers: &HeaderMap) -> Outcome<()> {
    let mut keys = headers.get_all("idempotency-key");
    let Some(key) = keys.next() else { return Ok(()) };
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_sound = (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.as_bytes().iter().all(is_letter);
    if is_sound && keys.next().is_none() { Ok(()) } else { Err(Problem::from(BAD_IDEMPOTENCY_KEY)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for good in ["x", "maru.example.com", "maru.example.com:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "a_b-c"] {
            assert!(is_authority(good), "{good}");
        }
        let bad = [
            "",
            ":80",
            "x:",
            "x:80:80",
            "x:123456",
            "x:8a",
            "user@x",
            "user:pw@x",
            "x/path",
            "x?q",
            "x#f",
            "x\\y",
            "x y",
            "x,y",
            "[::1",
            "[]",
            "[::1]80",
            "[::1%25eth0]",
            "마루",
            "x\t",
        ];
        for bad in bad {
            assert!(!is_authority(bad), "{bad:?}");
        }
    }
}
