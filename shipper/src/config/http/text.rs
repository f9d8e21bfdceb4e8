//! Texts in the sinks over HTTP that have a form of their own: URLs, headers, names. What is said of
//! them repeats nothing that may be a secret.

use super::model::{
    DATA_STREAM_FORMAT, HEADER_NAME_FORMAT, HEADER_VALUE_FORMAT, PROXY_URL_FORMAT,
    SERVER_NAME_FORMAT, URL_FORMAT, USERNAME_FORMAT,
};
use crate::config::address::{HttpUrl, UrlError, is_host};
use crate::config::check::field_advice;
use crate::config::kafka::check::is_line;
use crate::config::problem::quote;
use crate::format::template::{Template, TemplateError};

/// Longest name of a header.
const HEADER_NAME_BYTES_MAX: usize = 128;

/// What a name must be that `is_header_name` does not take.
pub(super) const HEADER_NAME_EXPECTED: &str =
    "must be the name of a header: 1 to 128 letters, digits, `-` or `_`";

/// Longest name of a data stream that Elasticsearch takes.
const DATA_STREAM_BYTES_MAX: usize = 255;

/// A text, by what must be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Text {
    Url,
    ProxyUrl,
    HeaderName,
    HeaderValue,
    Username,
    ServerName,
    DataStream,
}

impl Text {
    /// `None` for a `format` of other texts.
    pub(in crate::config) fn of(format: &str) -> Option<Text> {
        match format {
            URL_FORMAT => Some(Text::Url),
            PROXY_URL_FORMAT => Some(Text::ProxyUrl),
            HEADER_NAME_FORMAT => Some(Text::HeaderName),
            HEADER_VALUE_FORMAT => Some(Text::HeaderValue),
            USERNAME_FORMAT => Some(Text::Username),
            SERVER_NAME_FORMAT => Some(Text::ServerName),
            DATA_STREAM_FORMAT => Some(Text::DataStream),
            _ => None,
        }
    }

    /// What is wrong with this one, to follow its name.
    pub(in crate::config) fn problem(self, text: &str) -> Option<String> {
        match self {
            Text::Url => url_problem(text, "write them under `auth`"),
            Text::ProxyUrl => proxy_problem(text),
            Text::HeaderName => header_name_problem(text),
            Text::HeaderValue => header_value_problem(text),
            Text::Username => (!is_line(text) || text.contains(':'))
                .then(|| "must be 1 to 1024 bytes of text on one line, without a colon".to_owned()),
            Text::ServerName => (!is_host(text)).then(|| {
                "must be the name or the address of a host, such as `collector.example.com`"
                    .to_owned()
            }),
            Text::DataStream => data_stream_problem(text)
                .map(|problem| format!("{problem}, but is {}", quote(text))),
        }
    }
}

fn url_problem(text: &str, instead: &str) -> Option<String> {
    match HttpUrl::parse(text) {
        Ok(_) => None,
        Err(error @ UrlError::User) => Some(format!("{error}; {instead}")),
        Err(error) => Some(error.to_string()),
    }
}

fn proxy_problem(text: &str) -> Option<String> {
    let more =
        HttpUrl::parse(text).is_ok_and(|url| !matches!(url.path, "" | "/") || url.query.is_some());
    if more {
        return Some("must have nothing after its host and port".to_owned());
    }
    url_problem(text, "write them beside it, as `username` and `password`")
}

/// Whether HTTP allows it as the name of a header.
pub(super) fn is_header_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=HEADER_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// Why no header with a secret can have this name.
fn header_name_problem(name: &str) -> Option<String> {
    if !is_header_name(name) {
        return Some(HEADER_NAME_EXPECTED.to_owned());
    }
    // A scheme of its own is a reason to write it out.
    let may = name.eq_ignore_ascii_case("authorization");
    added_header_problem(name).filter(|_| !may).map(str::to_owned)
}

/// Why no header can be added by this name, to follow it.
pub(super) fn added_header_problem(name: &str) -> Option<&'static str> {
    let own = [
        "host",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "idempotency-key",
        "expect",
        "te",
        "trailer",
        "upgrade",
    ];
    let lower = name.to_ascii_lowercase();
    if lower == "authorization" {
        Some("proves who shipper is; write it under `auth`, its value in a file")
    } else if lower.starts_with("proxy-") {
        Some("is for the proxy; write name and password under `proxy`")
    } else if own.contains(&lower.as_str()) || lower.starts_with("content-") {
        Some("is set by shipper itself; leave it out")
    } else {
        None
    }
}

fn header_value_problem(text: &str) -> Option<String> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        // Not the name: it may be a part of a secret with braces in it.
        Err(TemplateError::Unknown(name)) => {
            let advice = field_advice(&name, "header");
            return Some(format!("has an unknown field in braces; {advice}"));
        }
        Err(error @ TemplateError::Brace) => return Some(error.to_string()),
    };
    let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = is_line(text) && template.texts().all(visible) && text.trim() == text;
    (!fits).then(|| {
        "must be 1 to 1024 visible ASCII characters on one line, without spaces around them"
            .to_owned()
    })
}

/// Why Elasticsearch would not take this name.
fn data_stream_problem(name: &str) -> Option<&'static str> {
    let barred = |c: char| r#"\/*?"<>| ,#:"#.contains(c) || c.is_control();
    if matches!(name, "" | "." | "..") {
        Some("must be the name of a data stream or an index")
    } else if name.len() > DATA_STREAM_BYTES_MAX {
        Some("must have at most 255 bytes")
    } else if name.to_lowercase() != name {
        Some("must be lowercase")
    } else if name.starts_with(['-', '_', '+']) {
        Some("must not begin with `-`, `_` or `+`")
    } else if name.contains(barred) {
        Some(r#"must not have a space or one of \ / * ? " < > | , # :"#)
    } else {
        None
    }
}
