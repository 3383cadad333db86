//! Reads the values of settings. Each refusal says what would be right.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    time::Duration,
};

use ipnet::IpNet;

/// Reads `IP:PORT`, or the name of this machine's address with a port, such as `localhost:8080`. Of
/// a name with several addresses, the first of IPv4 counts.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    const FORM: &str = "write an IP address and a port, such as 127.0.0.1:8080";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err(format!("there is no port; {FORM}"));
    }
    let found = text.to_socket_addrs().map_err(|error| format!("{error}; {FORM}"))?;
    let found: Vec<_> = found.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("the name has no address; {FORM}"))
}

/// Reads a network in CIDR form; an address alone is a network of one.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(alone).ok_or_else(|| {
        "not a network (CIDR) such as 10.0.0.0/8 or fd00::/8, nor an IP address".into()
    })
}

/// Reads how long to wait between two things.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0s".into()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads how many connections a pool has.
pub(super) fn connections(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err("not a number from 1 to 10000".into()),
    }
}

/// Reads a limit on the time of the database.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(limit) if limit < Duration::from_millis(1) => Err("less than 1ms".into()),
        Ok(limit) if limit > Duration::from_secs(86_400) => Err("more than one day".into()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a whole number above zero.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".into()),
    }
}

/// Reads the URL at which clients reach the service.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let has_scheme = text.starts_with("http://") || text.starts_with("https://");
    match text.parse::<http::Uri>() {
        Ok(uri) if uri.authority().is_some_and(|host| host.as_str().contains('@')) => {
            Err("must hold no user and no password: links repeat it".into())
        }
        Ok(uri) if has_scheme && uri.authority().is_some() => Ok(text.to_owned()),
        _ => Err("not an http:// or https:// URL".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_numbers_and_as_names() {
        let cases = [
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("[::1]:8080", Some("[::1]:8080")),
            ("localhost:8080", Some("127.0.0.1:8080")),
            ("localhost", None),
            ("127.0.0.1", None),
            ("127.0.0.1:99999", None),
            (":8080", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = address(text);
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
            assert!(found.is_ok() || found.unwrap_err().contains("127.0.0.1:8080"), "{text}");
        }
    }

    #[test]
    fn networks_are_taken_in_cidr_form_and_as_single_addresses() {
        let cases = [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("fd00::1", Some("fd00::1/128")),
            (" 10.0.0.0/8 ", Some("10.0.0.0/8")),
            ("10.0.0.0/99", None),
            ("10.0.0/8", None),
            ("proxy.internal", None),
        ];
        for (text, expected) in cases {
            let found = network(text).ok().map(|network| network.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
