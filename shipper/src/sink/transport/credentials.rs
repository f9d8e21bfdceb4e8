//! How a request proves who sends it; and what must never be repeated in a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::client::TransportError;
use crate::config::secret::Secret;
use crate::config::settings::AuthSettings;

/// Headers that prove who sends a request, and the secrets in them.
#[derive(Default)]
pub struct Credentials {
    /// To be sent with each request. Marked so that no library shows them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    known: Vec<Zeroizing<String>>,
}

impl Credentials {
    /// Reads the secrets.
    ///
    /// # Errors
    /// When a secret cannot be had, or cannot stand in a header.
    pub fn read(auth: Option<&AuthSettings>) -> Result<Credentials, TransportError> {
        let mut credentials = Credentials::default();
        let (name, secret, value) = match auth {
            None => return Ok(credentials),
            Some(AuthSettings::Basic { username, password }) => {
                let text = credentials.secret(password)?;
                let pair = Zeroizing::new(format!("{username}:{}", &*text));
                (AUTHORIZATION, password, credentials.encoded("Basic ", &pair))
            }
            Some(AuthSettings::Bearer(token)) => {
                let text = credentials.secret(token)?;
                (AUTHORIZATION, token, Zeroizing::new(format!("Bearer {}", &*text)))
            }
            Some(AuthSettings::ApiKey(key)) => {
                let text = credentials.secret(key)?;
                let value = if text.contains(':') {
                    credentials.encoded("ApiKey ", &text)
                } else {
                    Zeroizing::new(format!("ApiKey {}", &*text))
                };
                (AUTHORIZATION, key, value)
            }
            Some(AuthSettings::Splunk(token)) => {
                let text = credentials.secret(token)?;
                (AUTHORIZATION, token, Zeroizing::new(format!("Splunk {}", &*text)))
            }
            Some(AuthSettings::Header { name, value }) => {
                let text = credentials.secret(value)?;
                let name = HeaderName::try_from(name).expect("the configuration was checked");
                (name, value, text)
            }
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| TransportError::Header { place: place(secret) })?;
        value.set_sensitive(true);
        credentials.headers.push((name, value));
        Ok(credentials)
    }

    /// Reads a secret and remembers it.
    pub fn secret(&mut self, secret: &Secret) -> Result<Zeroizing<String>, TransportError> {
        let text = Zeroizing::new(secret.read()?.expose().to_owned());
        self.known.push(text.clone());
        Ok(text)
    }

    fn encoded(&mut self, scheme: &str, text: &str) -> Zeroizing<String> {
        let encoded = Zeroizing::new(BASE64.encode(text));
        let value = Zeroizing::new(format!("{scheme}{}", &*encoded));
        self.known.push(encoded);
        value
    }

    /// The text with every secret in it left out: a server may send back what it was sent.
    #[must_use]
    pub fn without(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, known| text.replace(known.as_str(), "***"))
    }

    /// Some that know these secrets.
    #[cfg(test)]
    pub fn knowing(secrets: &[&str]) -> Credentials {
        let known = secrets.iter().map(|text| Zeroizing::new((*text).to_owned())).collect();
        Credentials { headers: Vec::new(), known }
    }
}

/// Where a secret is, in words.
fn place(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => format!("the environment variable {name}"),
        Secret::File(path) => format!("the file {}", path.display()),
    }
}
