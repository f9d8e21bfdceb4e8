//! Addresses as text: `host:port` and URLs of HTTP, no more of them than sinks have use for.

use std::net::{IpAddr, Ipv6Addr};

/// Longest name of a host in DNS.
const HOST_BYTES_MAX: usize = 253;

/// Longest part of such a name.
const LABEL_BYTES_MAX: usize = 63;

/// Longest URL: no server takes a longer line.
const URL_BYTES_MAX: usize = 2048;

/// The host of `host:port`; `None` when it is not that.
pub(super) fn host_of(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    // Digits alone: a number may have a sign as well.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return None;
    }
    host_alone(host)
}

/// The host without a port; an IPv6 address is in brackets.
fn host_alone(host: &str) -> Option<&str> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']')?;
        return address.parse::<Ipv6Addr>().is_ok().then_some(address);
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let valid = (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(known);
    valid.then_some(host)
}

/// Whether what is sent to this host does not leave the machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL of HTTP, in its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HttpUrl<'a> {
    /// `https://`, not `http://`.
    pub(super) encrypted: bool,
    /// Name or address, without brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Empty, or from its first slash.
    pub(super) path: &'a str,
    /// What is after the question mark.
    pub(super) query: Option<&'a str>,
}

/// Why a text is no URL of HTTP, to follow its name. Nothing of it is repeated: there may be a
/// password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("must be a URL that begins with `https://` or `http://`")]
    Scheme,
    #[error("must not have a user or a password in it")]
    User,
    #[error("must have a host and at most a port before its path, as `https://collector:8443/in`")]
    Host,
    #[error("must not have a fragment (`#...`); no server is told of it")]
    Fragment,
    #[error("must be ASCII without spaces; write other characters as `%20`")]
    Characters,
    #[error("must have at most {URL_BYTES_MAX} characters")]
    TooLong,
}

impl<'a> HttpUrl<'a> {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(text: &'a str) -> Result<HttpUrl<'a>, UrlError> {
        let (encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://"))
        {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(UrlError::Scheme),
        };
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (host, port) = match host_of(authority) {
            Some(host) => (host, authority.rsplit(':').next().and_then(|port| port.parse().ok())),
            // Without a port.
            None => (host_alone(authority).ok_or(UrlError::Host)?, None),
        };
        if !is_host_of_url(host) {
            return Err(UrlError::Host);
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Characters);
        }
        let port = port.unwrap_or(if encrypted { 443 } else { 80 });
        Ok(HttpUrl { encrypted, host, port, path, query })
    }
}

/// Whether it is the name or the address of a host, an IPv6 address without brackets.
pub(super) fn is_host(text: &str) -> bool {
    let is_name = |text| host_alone(text).is_some() && is_host_of_url(text);
    text.parse::<IpAddr>().is_ok() || !text.starts_with('[') && is_name(text)
}

/// A part of a name in DNS.
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

/// URLs take a name that ends in a number for an IPv4 address, in forms that nobody means.
fn is_host_of_url(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = |label: &str| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        digits(label) || label.to_ascii_lowercase().starts_with("0x")
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    host.parse::<IpAddr>().is_ok() || !numeric(last) && name.split('.').all(is_label)
}
