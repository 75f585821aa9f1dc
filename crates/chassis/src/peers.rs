//! Where other services are, as configuration says it.

use url::Url;

/// At least one address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls(pub Vec<Url>);

/// Reads a comma-separated list of `http://host:port`.
///
/// # Errors
/// Says what form an address has.
pub fn parse_urls(text: &str) -> Result<Urls, String> {
    let form = "each address is of the form http://host:port";
    let urls: Vec<Url> =
        parts(text).map(|part| Url::parse(part).map_err(|_not_a_url| form.to_owned())).collect::<Result<_, _>>()?;
    let plain = |url: &Url| {
        let only_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        url.scheme() == "http" && url.has_host() && url.username().is_empty() && url.password().is_none() && only_origin
    };
    if urls.is_empty() || !urls.iter().all(plain) {
        return Err(form.to_owned());
    }
    Ok(Urls(urls))
}

/// Splits a comma-separated list.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
