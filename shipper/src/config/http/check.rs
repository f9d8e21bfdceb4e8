//! What must hold between the settings of a sink over HTTP: where it sends to, and that no secret is
//! sent readable.

use std::collections::HashMap;

use super::model::HEADERS_MAX;
use super::text::{HEADER_NAME_EXPECTED, added_header_problem, is_header_name};
use crate::config::address::{HttpUrl, is_loopback};
use crate::config::problem::Problems;
use crate::config::tls::pairs;
use crate::config::tree::{Entry, Node, Value};

/// Adds what is wrong between the settings of a sink of this type. `path` is where it stands.
pub(in crate::config) fn check(sink: &Node, kind: &str, path: &str, problems: &mut Problems) {
    // What is no URL at all was reported.
    let urls: Vec<(&Node, String, HttpUrl)> = urls(sink, path, problems)
        .into_iter()
        .filter_map(|(node, path)| Some((node, path, HttpUrl::parse(node.text()?).ok()?)))
        .collect();
    let secret = secret(sink);
    let mut seen = HashMap::new();
    for (node, path, url) in &urls {
        if let Some(problem) = kind_problem(kind, url) {
            problems.add(node.at, format!("`{path}` {problem}"));
        }
        if let Some(secret) = secret
            && !url.encrypted
            && !is_loopback(url.host)
        {
            let message = format!(
                "`{path}` sends {secret} readable to everybody on the way; write `https://`"
            );
            problems.add(node.at, message);
        }
        let place = (
            url.encrypted,
            url.host.to_ascii_lowercase(),
            url.port,
            url.path.trim_end_matches('/'),
            url.query,
        );
        if let Some(first) = seen.insert(place, path) {
            problems.add(node.at, format!("`{path}` is where `{first}` is; leave one out"));
        }
    }
    if let Some(tls) = sink.get("tls") {
        if !urls.is_empty() && urls.iter().all(|(_, _, url)| !url.encrypted) {
            let message = format!(
                "`{path}.tls` would not be used, since no URL begins with `https://`; write that, \
                 or leave out `tls`"
            );
            problems.add(tls.at, message);
        }
        pairs(tls, path, problems);
    }
    if let Some(proxy) = sink.get("proxy") {
        through(sink, proxy, path, problems);
    }
    headers(sink, path, problems);
}

/// The URLs that were written, and where each stands.
fn urls<'a>(sink: &'a Node, path: &str, problems: &mut Problems) -> Vec<(&'a Node, String)> {
    match (sink.get("url"), sink.get("urls")) {
        (Some(url), None) => vec![(url, format!("{path}.url"))],
        (None, Some(urls)) => match &urls.value {
            Value::List(urls) => {
                let place = |(index, url)| (url, format!("{path}.urls[{index}]"));
                urls.iter().enumerate().map(place).collect()
            }
            _ => Vec::new(),
        },
        (Some(_), Some(urls)) => {
            let message = format!("`{path}` has `url` and `urls`; write all of them in `urls`");
            problems.add(urls.at, message);
            Vec::new()
        }
        (None, None) => {
            problems.add(sink.at, format!("missing key `url` (or `urls`) in `{path}`"));
            Vec::new()
        }
    }
}

/// What is sent that nobody may read on the way.
fn secret(sink: &Node) -> Option<&'static str> {
    if sink.get("token").is_some() {
        return Some("the token");
    }
    let auth = sink.get("auth")?;
    let known = [("basic", "the password"), ("bearer", "the token"), ("api_key", "the key")];
    let known = known.into_iter().find(|(key, _)| auth.get(key).is_some());
    known.map(|(_, what)| what).or_else(|| auth.get("header").map(|_| "the header with its secret"))
}

/// Why a sink of this type cannot send there, to follow the name of the URL.
fn kind_problem(kind: &str, url: &HttpUrl) -> Option<String> {
    if kind == "http" {
        return None;
    }
    let path = url.path.trim_end_matches('/');
    let appended = if kind == "splunk_hec" { "/services/collector" } else { "/_bulk" };
    let has_it = match kind {
        "splunk_hec" => format!("{path}/").contains("/services/collector/"),
        _ => path.ends_with(appended),
    };
    if url.query.is_some() {
        Some(
            "must not have a query (`?...`); it is sent with a path that shipper appends"
                .to_owned(),
        )
    } else if has_it {
        Some(format!("must be written without `{appended}`, which shipper appends itself"))
    } else {
        None
    }
}

fn through(sink: &Node, proxy: &Node, path: &str, problems: &mut Problems) {
    let needs = [("username", "password"), ("password", "username")];
    for (key, other) in needs {
        if let Some(node) = proxy.get(key)
            && proxy.get(other).is_none()
        {
            problems.add(node.at, format!("`{path}.proxy.{key}` needs `{other}` too"));
        }
    }
    if let Some(name) = sink.get("tls").and_then(|tls| tls.get("server_name"))
        && proxy.get("url").is_some()
    {
        let message = format!(
            "`{path}.tls.server_name` cannot be asked for through a proxy; leave it out, or write \
             `proxy: none`"
        );
        problems.add(name.at, message);
    }
}

fn headers(sink: &Node, path: &str, problems: &mut Problems) {
    let Some(node) = sink.get("headers") else { return };
    let Value::Map(headers) = &node.value else { return };
    if headers.len() > HEADERS_MAX {
        let message = format!(
            "`{path}.headers` must have at most {HEADERS_MAX} entries, but has {}",
            headers.len()
        );
        problems.add(node.at, message);
    }
    let secret = sink.get("auth").and_then(|auth| auth.get("header"));
    let secret = secret.and_then(|header| header.get("name")).and_then(Node::text);
    let mut seen = HashMap::new();
    for Entry { key, at, .. } in headers {
        let lower = key.to_ascii_lowercase();
        if !is_header_name(key) {
            // `"X-Api-Key: ..."` in quotes is a key as a whole, and not shown.
            let message = format!("`{path}.headers` has a key that {HEADER_NAME_EXPECTED}");
            problems.add(*at, message);
            continue;
        }
        let problem = if let Some(problem) = added_header_problem(key) {
            problem.to_owned()
        } else if secret.is_some_and(|name| name.eq_ignore_ascii_case(key)) {
            "is written under `auth` too; leave one out".to_owned()
        } else if let Some(first) = seen.insert(lower, at.line) {
            format!("is the header of line {first} in other letters; leave one out")
        } else {
            continue;
        };
        problems.add(*at, format!("`{path}.headers.{key}` {problem}"));
    }
}
