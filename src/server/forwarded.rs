//! Believes what proxies tell of their clients, if they are trusted.
//!
//! Anybody can send such headers, so they count only on connections from the
//! networks that the operator named. Of a chain of addresses the last that is
//! no trusted proxy is the client: what stands before it was written by the
//! client itself.

use std::{net::IpAddr, sync::Arc};

use axum::extract::Request;
use http::HeaderMap;
use ipnet::IpNet;

use crate::rest::{Forwarded, is_host};

/// The networks whose word counts.
#[derive(Clone, Debug)]
pub(super) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// The client of a request that came from this peer. How the client reached the nearest proxy
    /// is noted in the request.
    pub(super) fn read(&self, peer: IpAddr, request: &mut Request) -> IpAddr {
        if !self.trust(peer) {
            return peer;
        }
        let told = told(request.headers());
        request.extensions_mut().insert(told);
        self.client(peer, request.headers())
    }

    /// Whether an address is one of a trusted proxy.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind a peer.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let chain = headers.get_all("x-forwarded-for").iter();
        let chain: Vec<&str> =
            chain.filter_map(|part| part.to_str().ok()).flat_map(|part| part.split(',')).collect();
        let mut client = peer;
        for hop in chain.into_iter().rev() {
            if !self.trust(client) {
                break;
            }
            match hop.trim().parse() {
                Ok(address) => client = address,
                Err(_) => break,
            }
        }
        client
    }
}

/// How the client reached the nearest proxy.
fn told(headers: &HeaderMap) -> Forwarded {
    let last = |name: &str| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    let scheme = match last("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some("https"),
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some("http"),
        _ => None,
    };
    let host = last("x-forwarded-host").filter(|host| is_host(host));
    Forwarded { scheme, host: host.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let cases = [
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
            ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("8.8.8.8", "1.2.3.4", "8.8.8.8"),
        ];
        for (peer, chain, client) in cases {
            let headers = headers(&[("x-forwarded-for", chain)]);
            let got = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(got, client.parse::<IpAddr>().unwrap(), "{peer} <- {chain}");
        }
    }

    #[test]
    fn only_a_scheme_and_a_host_are_taken_for_such() {
        let cases = [
            ("https", "flags.example.com", (Some("https"), Some("flags.example.com"))),
            ("http, HTTPS", "a.example:8443", (Some("https"), Some("a.example:8443"))),
            ("javascript", "bad host/<", (None, None)),
            ("https", "ann:secret@evil.example", (Some("https"), None)),
            ("https", "evil\">", (Some("https"), None)),
        ];
        for (proto, host, expected) in cases {
            let told = told(&headers(&[("x-forwarded-proto", proto), ("x-forwarded-host", host)]));
            assert_eq!((told.scheme, told.host.as_deref()), expected);
        }
    }
}
