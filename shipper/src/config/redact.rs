//! How secrets are taken out of events, as the daemon uses it.

use super::model::{Pattern, REGEX_BYTES_MAX, Redact};
use super::secret::{Secret, SecretError};
use crate::redact::{HashKey, KeyTooShort, OwnPattern, Redactor};

/// Redaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedactSettings {
    /// The operator's patterns, at most 32; each can be compiled.
    patterns: Vec<Pattern>,
    /// Where the key for hashes is, if there are any.
    hash_key: Option<Secret>,
}

/// Why there is no key for hashes.
#[derive(Debug, thiserror::Error)]
pub enum HashKeyError {
    /// It cannot be read.
    #[error("redact.hash_key: {0}")]
    Unreadable(#[from] SecretError),
    /// It is none.
    #[error("redact.hash_key: {0}")]
    TooShort(#[from] KeyTooShort),
}

impl RedactSettings {
    /// What takes secrets out of events. It reads the key.
    ///
    /// # Errors
    /// The key cannot be read or is too short.
    pub fn redactor(&self) -> Result<Redactor, HashKeyError> {
        let compile = |Pattern { name, regex }: &Pattern| {
            OwnPattern::new(name, regex).expect("the check has compiled it")
        };
        let key = match &self.hash_key {
            Some(secret) => Some(HashKey::new(secret.read()?.expose().as_bytes())?),
            None => None,
        };
        Ok(Redactor::new(self.patterns.iter().map(compile).collect(), key))
    }
}

impl From<Redact> for RedactSettings {
    fn from(redact: Redact) -> Self {
        RedactSettings { patterns: redact.patterns, hash_key: redact.hash_key }
    }
}

/// What is wrong with a regular expression. It is not repeated: parts of a secret may stand in it.
pub(super) fn regex_problem(regex: &str) -> Option<String> {
    if !(1..=REGEX_BYTES_MAX).contains(&regex.len()) {
        return Some(format!("must have 1 to {REGEX_BYTES_MAX} bytes, but has {}", regex.len()));
    }
    OwnPattern::new("", regex).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a file with this key.
    fn with_key(key: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, key).expect("writable");
        let redact = Redact { hash_key: Some(Secret::File(path)), ..Redact::default() };
        RedactSettings::from(redact).redactor().map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_read_from_its_file_and_must_be_long_enough() {
        assert_eq!(with_key("0123456789abcdef\n"), Ok(()));
        let short = "redact.hash_key: the key for the hashes of secrets must have at least 16 bytes, but has 15";
        assert_eq!(with_key("0123456789abcde\n"), Err(short.to_owned()));
        let missing =
            Redact { hash_key: Some(Secret::File("/nowhere/at/all".into())), ..Redact::default() };
        let error =
            RedactSettings::from(missing).redactor().map(|_| ()).expect_err("there is none");
        assert!(
            error.to_string().starts_with("redact.hash_key: the secret in /nowhere/at/all: "),
            "{error}"
        );
    }
}
