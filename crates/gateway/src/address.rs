//! The address a request comes from.
//!
//! Anybody can write `X-Forwarded-For`; only what our own proxies append to it is true, and how many of those there are
//! is configuration. Every other header that claims an address is ignored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::{HttpRequest, http::header::HeaderMap};

/// Returns the address of the client in front of `hops` proxies of ours, or the peer's when they do not tell it.
pub fn of(request: &HttpRequest, hops: usize) -> IpAddr {
    let told = hops.checked_sub(1).and_then(|before| told(request.headers(), before));
    let peer = || request.peer_addr().map(|peer| peer.ip());
    told.or_else(peer).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}

/// Reads the entry that is followed by those of `before` other proxies.
fn told(headers: &HeaderMap, before: usize) -> Option<IpAddr> {
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
    let entry = lines.iter().rev().flat_map(|line| line.rsplit(',')).nth(before)?.trim();
    let with_port = || entry.parse().map(|address: SocketAddr| address.ip());
    entry.parse().or_else(|_no_bare_address| with_port()).ok()
}

/// Returns what is counted as one client: an IPv4 address, or the /64 that one IPv6 subscriber has at least.
pub fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(lines: &[&str], hops: usize) -> String {
        let request = TestRequest::default().peer_addr("10.0.0.1:1".parse().unwrap());
        let request = lines.iter().fold(request, |request, line| request.append_header(("x-forwarded-for", *line)));
        of(&request.to_http_request(), hops).to_string()
    }

    #[test]
    fn only_what_our_own_proxies_appended_counts() {
        let forged = ["6.6.6.6, 7.7.7.7", "1.2.3.4,10.0.0.2"];
        assert_eq!(
            [0, 1, 2, 3, 4].map(|hops| seen(&forged, hops)),
            ["10.0.0.1", "10.0.0.2", "1.2.3.4", "7.7.7.7", "6.6.6.6"]
        );
        assert_eq!(seen(&forged, 5), "10.0.0.1");
        assert_eq!(seen(&[], 1), "10.0.0.1");
        assert_eq!(seen(&["1.2.3.4, unknown"], 1), "10.0.0.1");
    }

    #[test]
    fn an_entry_may_have_a_port_and_either_family() {
        assert_eq!(seen(&["1.2.3.4:567"], 1), "1.2.3.4");
        assert_eq!(seen(&["[2001:db8::7]:567"], 1), "2001:db8::7");
        assert_eq!(seen(&["::ffff:1.2.3.4"], 1), "1.2.3.4");
    }

    #[test]
    fn one_subscriber_of_ipv6_is_one_client() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!((counted("2001:db8:1:2::9"), counted("1.2.3.4")), (counted("2001:db8:1:2::"), "1.2.3.4".to_owned()));
    }
}
