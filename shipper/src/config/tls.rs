//! TLS as sinks have it: whom to trust, and the certificate of this client.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::{FILE_PATH_FORMAT, FILE_PATH_PATTERN};
use super::problem::Problems;
use super::secret::{Secret, open_regular};
use super::tree::Node;

/// Largest file that is read, in bytes: any bundle of authorities fits.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Encryption, and authentication by certificate. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("x-holds-secrets" = true))]
pub struct TlsSettings {
    /// Authorities that are trusted, instead of those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = FILE_PATH_FORMAT, "pattern" = FILE_PATH_PATTERN))]
    pub ca_file: Option<PathBuf>,
    /// The certificate of this client; together with `key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = FILE_PATH_FORMAT, "pattern" = FILE_PATH_PATTERN))]
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = FILE_PATH_FORMAT, "pattern" = FILE_PATH_PATTERN))]
    pub key_file: Option<PathBuf>,
    /// The password of that key, when it is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Secret")]
    pub key_password: Option<Secret>,
}

/// A file that `tls` names cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read: {source}; it is named in `tls` of the sink", .path.display())]
pub struct FileError {
    /// Which.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// Reads a file that `tls` names, of at most 4 MiB.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = match open_regular(path) {
        Ok(Some(file)) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map(drop),
        Ok(None) => Err(io::Error::other("it is no regular file")),
        Err(error) => Err(error),
    };
    let read = match read {
        Ok(()) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(io::Error::other("it has more than 4 MiB, which no certificate or key has"))
        }
        read => read,
    };
    read.map_err(|source| FileError { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// A certificate is of no use without its key.
pub(in crate::config) fn pairs(tls: &Node, path: &str, problems: &mut Problems) {
    let needs = [
        ("cert_file", "key_file", "the private key of that certificate"),
        ("key_file", "cert_file", "the certificate of that key"),
        ("key_password", "key_file", "the key that it opens"),
    ];
    for (key, other, what) in needs {
        if let Some(node) = tls.get(key)
            && tls.get(other).is_none()
        {
            problems.add(node.at, format!("`{path}.tls.{key}` needs `{other}` too, {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_no_part_of_a_file_but_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_BYTES_MAX).unwrap();
        assert_eq!(read(file.path()).unwrap().len() as u64, FILE_BYTES_MAX);
        file.as_file().set_len(FILE_BYTES_MAX + 1).unwrap();
        let said = read(file.path()).unwrap_err().to_string();
        assert!(said.contains("more than 4 MiB"), "{said}");
    }
}
