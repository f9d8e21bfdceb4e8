//! What it means that there is no answer: who has to do something, and what.

use std::error::Error;

use rustls::{AlertDescription, CertificateError};

use super::answer::PROXY_REFUSES;
use super::client::TransportError;
use crate::config::settings::{ProxySettings, TransportSettings};
use crate::sink::Outcome;

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose, and why, in words, without anything secret.
    pub cause: String,
    /// Somebody has to mend something.
    pub is_blocked: bool,
}

impl Failure {
    fn blocked(cause: String) -> Failure {
        Failure { cause, is_blocked: true }
    }

    fn passing(cause: String) -> Failure {
        Failure { cause, is_blocked: false }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Failure {
        Failure::blocked(error.to_string())
    }
}

impl From<Failure> for Outcome {
    fn from(Failure { cause, is_blocked }: Failure) -> Outcome {
        if is_blocked { Outcome::Blocked { cause } } else { Outcome::Retry { cause, after: None } }
    }
}

/// What became of a request to the URL that is shown like this.
#[must_use]
pub fn explain(error: &reqwest::Error, shown: &str, settings: &TransportSettings) -> Failure {
    if let Some(said) = tls(error) {
        return match blocked_by(said) {
            Some(advice) => Failure::blocked(format!("{shown}: {advice}: {said}")),
            None => Failure::passing(format!("{shown}: TLS: {said}")),
        };
    }
    let last = last_words(error);
    // The errors of a tunnel have no public type.
    if last.contains("proxy auth") {
        return Failure::blocked(format!("{shown}: {PROXY_REFUSES}"));
    }
    let cause = if error.is_timeout() && error.is_connect() {
        format!("{shown}: no connection within {:?} (`timeouts.connect`)", settings.connect_timeout)
    } else if error.is_timeout() {
        format!("{shown}: no answer within {:?} (`timeouts.request`)", settings.request_timeout)
    } else if error.is_connect() {
        let way = match &settings.proxy {
            ProxySettings::Url { url, .. } => format!(" by the proxy {url}"),
            ProxySettings::Environment | ProxySettings::None => String::new(),
        };
        format!("{shown}: cannot connect{way}: {last}")
    // Nor have those of hyper, which reqwest hands on.
    } else if last.starts_with("invalid HTTP") {
        let question = if shown.starts_with("http:") { ", is it `https://`?" } else { "" };
        format!("{shown}: it speaks no HTTP{question} ({last})")
    } else {
        format!("{shown}: the connection was lost before the answer was there: {last}")
    };
    Failure::passing(cause)
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| source(*error))
}

fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // An I/O error that holds another one has the sources of that one, not that one itself.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// What the innermost error says.
fn last_words(error: &reqwest::Error) -> String {
    let innermost = sources(error).last().expect("an error is its own first source");
    match innermost.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        // rustls says this for programmers, with a link.
        Some(std::io::ErrorKind::UnexpectedEof) => "the other side closed it".to_owned(),
        _ => innermost.to_string(),
    }
}

fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// What is wrong where somebody has to mend something.
fn blocked_by(error: &rustls::Error) -> Option<&'static str> {
    Some(match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or the clock of this machine is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host than the URL or `tls.server_name` say"
            }
            CertificateError::UnknownIssuer => {
                "its certificate is from an authority that is not trusted (`tls.ca_file`)"
            }
            _ => "its certificate is not accepted",
        },
        rustls::Error::InvalidMessage(_) => {
            "no TLS connection; what answers there speaks something else, is it `http://`?"
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => "it does not accept the certificate of this client, or wants one (`tls.cert_file`)",
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
            "no TLS connection can be agreed on"
        }
        _ => return None,
    })
}
