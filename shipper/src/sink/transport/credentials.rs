//! How a request proves who sends it; and what must never be repeated in a message.

use std::fmt::Write as _;

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
                let value = if let Some((id, secret)) = text.split_once(':') {
                    credentials.remember_login(id, secret);
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
        // A header may hold more, but no token does; an editor may have left a byte order mark.
        let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let value = HeaderValue::from_str(&value).ok().filter(|_| is_plain);
        let mut value = value.ok_or_else(|| TransportError::Header { place: place(secret) })?;
        value.set_sensitive(true);
        credentials.headers.push((name, value));
        Ok(credentials)
    }

    /// Reads a secret and remembers it.
    pub fn secret(&mut self, secret: &Secret) -> Result<Zeroizing<String>, TransportError> {
        let text = Zeroizing::new(secret.read()?.expose().to_owned());
        self.remember(&text);
        Ok(text)
    }

    /// Has this left out of every text, and the forms in which a server or a page may have it.
    pub fn remember(&mut self, text: &str) {
        let forms = [text.to_owned(), percent_encoded(text), BASE64.encode(text)];
        self.known.extend(forms.into_iter().filter(|form| !form.is_empty()).map(Zeroizing::new));
        // What holds another one goes first: what is left of it would tell that much.
        self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
        self.known.dedup();
    }

    /// The same of a name and a password, which are sent together.
    pub fn remember_login(&mut self, username: &str, password: &str) {
        self.remember(password);
        self.remember(&Zeroizing::new(format!("{username}:{password}")));
    }

    fn encoded(&mut self, scheme: &str, text: &str) -> Zeroizing<String> {
        self.remember(text);
        Zeroizing::new(format!("{scheme}{}", BASE64.encode(text)))
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

/// As it stands in a URL.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Where a secret is, in words.
fn place(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => format!("the environment variable {name}"),
        Secret::File(path) => format!("the file {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_what_no_token_has_is_told_before_a_server_refuses_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (content, is_good) in
            [("a-token", true), ("\u{feff}a-token", false), ("a\ntoken", false), ("tökén", false)]
        {
            std::fs::write(&path, content).unwrap();
            let auth = AuthSettings::Bearer(Secret::File(path.clone()));
            let read =
                Credentials::read(Some(&auth)).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(read.is_ok(), is_good, "{read:?}");
            let said = read.err().unwrap_or_else(|| "a byte order mark".to_owned());
            assert!(said.contains("a byte order mark") && !said.contains(content), "{said}");
        }
    }

    #[test]
    fn what_a_server_may_make_of_a_secret_is_left_out_too() {
        let mut credentials = Credentials::default();
        credentials.remember_login("me", "a/b+c");
        // base64 of the password, and of both.
        let said = "a/b+c a%2Fb%2Bc YS9iK2M= bWU6YS9iK2M= me:a/b+c";
        assert_eq!(credentials.without(said), "*** *** *** *** ***");
        credentials.remember("");
        assert_eq!(credentials.without("as it is"), "as it is");
    }
}
