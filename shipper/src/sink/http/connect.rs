//! Whether a collector can be reached and accepts who asks: what `shipper validate --connect` says.
//! Nothing is sent to it but a HEAD request.

use super::HttpSink;
use crate::config::settings::{AuthSettings, HttpSettings};
use crate::sink::Finding;
use crate::sink::transport::{Method, Request};

/// Asks each URL of the sink. Takes as long as the timeouts of the sink allow.
pub async fn check(settings: &HttpSettings) -> Vec<Finding> {
    let sink = match HttpSink::new(settings) {
        Ok(sink) => sink,
        Err(error) => return vec![Finding::bad(error.to_string())],
    };
    let mut findings = Vec::new();
    for (place, shown) in sink.transport.shown().enumerate() {
        let request = Request {
            method: Method::HEAD,
            path: "",
            headers: &[],
            body: None,
            endpoint: Some(place),
            answer_bytes_max: 0,
        };
        let answer = match sink.transport.request(request).await {
            Ok(answer) => answer,
            Err(failure) => {
                findings.push(Finding::bad(failure.cause));
                continue;
            }
        };
        let status = answer.status;
        findings.push(match status.as_u16() {
            // Not every collector knows HEAD, so little can be said against one that refuses it.
            200..=299 | 400 | 405 | 411 | 415 | 422 | 501 => Finding::good(format!(
                "{shown} answers{}; whether it takes events is seen when the first is sent",
                login(settings)
            )),
            404 => Finding::note(format!(
                "{shown} answered {status} to HEAD: there is nothing at this address, or it knows POST alone"
            )),
            _ => Finding::bad(answer.words),
        });
    }
    findings
}

fn login(settings: &HttpSettings) -> String {
    match &settings.transport.auth {
        None => String::new(),
        Some(AuthSettings::Basic { username, .. }) => format!(", as {username}"),
        Some(AuthSettings::Header { name, .. }) => format!(", with the header {name}"),
        Some(_) => ", with a token".to_owned(),
    }
}
