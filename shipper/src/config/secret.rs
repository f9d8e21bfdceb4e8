//! Secrets: the configuration says where one is, never what it is.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::model::{FILE_PATH_FORMAT, FILE_PATH_PATTERN};

/// Value of `format` in the schema by which the check knows a secret.
pub const SECRET_FORMAT: &str = "secret";

/// Value of `format` in the schema by which the check knows the name of an environment variable.
pub const VARIABLE_FORMAT: &str = "environment-variable";

/// Largest file read as a secret, in bytes: any key fits, and a wrong path costs no memory.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Permission bits that let others than owner and group at the file.
const OTHERS: u32 = 0o007;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// In the environment variable of this name: letters, digits and `_`.
    Env(String),
    /// In this file. A newline at its end is not part of the secret.
    File(PathBuf),
}

/// A secret: not empty, at most [`SECRET_BYTES_MAX`] bytes. It cannot be printed by mistake, and its
/// memory is wiped when it goes.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Why there is no secret. No message repeats anything of its content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such variable.
    #[error(
        "the environment variable {0} is not set; set it for shipper, in its systemd unit with `EnvironmentFile=`"
    )]
    Unset(String),
    /// The file cannot be read.
    #[error("the secret in {}: {source}; the user shipper runs as must be able to read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a device or a pipe.
    #[error("{} is not a regular file; put the secret into one", .0.display())]
    NotAFile(PathBuf),
    /// There is nothing in it.
    #[error("{0} is empty; put the secret there")]
    Empty(String),
    /// It is larger than any secret.
    #[error("{0} has more than {SECRET_BYTES_MAX} bytes; that is no secret, is it the right one?")]
    TooLong(String),
    /// It is not text.
    #[error("{0} is not UTF-8 text; put the secret there as text")]
    NotText(String),
}

impl Secret {
    /// Reads the secret where it is now: one that was changed is read anew. A file that everybody
    /// may read is warned of in the log.
    ///
    /// # Errors
    ///
    /// When the variable or the file is not there, or holds no secret.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        let (place, bytes) = match self {
            Secret::Env(name) => {
                let value =
                    std::env::var_os(name).ok_or_else(|| SecretError::Unset(name.clone()))?;
                let bytes = Zeroizing::new(value.into_encoded_bytes());
                (format!("the environment variable {name}"), bytes)
            }
            Secret::File(path) => (format!("the file {}", path.display()), read_file(path)?),
        };
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong(place));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(SecretError::NotText(place));
        };
        let text = match self {
            Secret::Env(_) => text,
            Secret::File(_) => without_newline(text),
        };
        if text.is_empty() {
            return Err(SecretError::Empty(place));
        }
        Ok(SecretText(Zeroizing::new(text.to_owned())))
    }
}

/// Opens a file that an operator named; `None` when it is a directory, a device or a pipe. Does not
/// wait: nobody may ever write into a pipe.
///
/// # Errors
/// What the system says.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The content of a file, or as much of it as shows that it is too much.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let Some(file) = open_regular(path).map_err(failed)? else {
        return Err(SecretError::NotAFile(path.to_owned()));
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & OTHERS != 0 {
        tracing::warn!(
            "{}: every user of this machine may get at this secret (mode {:04o}); \
             `chmod o= {}` ends that",
            path.display(),
            mode & 0o7777,
            path.display()
        );
    }
    // Room for all of it from the start: a vector that grows leaves copies behind. One byte more
    // than is allowed shows that there are too many.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 2));
    file.take(SECRET_BYTES_MAX as u64 + 2).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Whether the shell could set a variable of this name.
pub(super) fn is_variable_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= 255
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(known)
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is. The secret itself does not stand in the configuration.",
            "type": "object",
            "format": SECRET_FORMAT,
            "properties": {
                "env": {
                    "description": "The environment variable of this name has it.",
                    "type": "string",
                    "format": VARIABLE_FORMAT,
                    "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                },
                "file": {
                    "description": "This file has it. A newline at its end is not part of it.",
                    "type": "string",
                    "format": FILE_PATH_FORMAT,
                    "pattern": FILE_PATH_PATTERN,
                },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "examples": [{ "env": "KAFKA_PASSWORD" }, { "file": "/etc/shipper/kafka-password" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn in_file(content: &[u8]) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, content).unwrap();
        let read = Secret::File(path.clone()).read();
        read.map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string().replace(path.to_str().unwrap(), "FILE"))
    }

    #[test]
    fn a_file_holds_the_secret_without_the_newline_at_its_end() {
        assert_eq!(in_file(b"hunter2\n"), Ok("hunter2".to_owned()));
        assert_eq!(in_file(b"hunter2\r\n"), Ok("hunter2".to_owned()));
        assert_eq!(in_file(b" hunter2 \n\n"), Ok(" hunter2 \n".to_owned()));
        let longest = "x".repeat(SECRET_BYTES_MAX);
        assert_eq!(in_file(longest.as_bytes()), Ok(longest));
    }

    #[test]
    fn what_holds_no_secret_is_named_with_what_to_do_and_nothing_of_its_content() {
        assert_eq!(in_file(b"\n"), Err("the file FILE is empty; put the secret there".to_owned()));
        assert_eq!(
            in_file(b"hunter2\xff"),
            Err("the file FILE is not UTF-8 text; put the secret there as text".to_owned())
        );
        assert_eq!(
            in_file(&[b'x'; SECRET_BYTES_MAX + 1]),
            Err("the file FILE has more than 65536 bytes; that is no secret, is it the right one?"
                .to_owned())
        );
        let missing = Secret::File("/nowhere/at/all".into()).read().map(|_| ()).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the secret in /nowhere/at/all: No such file or directory (os error 2); the user \
             shipper runs as must be able to read it"
        );
        let unset = Secret::Env("SHIPPER_TEST_UNSET".to_owned()).read().map(|_| ()).unwrap_err();
        assert_eq!(
            unset.to_string(),
            "the environment variable SHIPPER_TEST_UNSET is not set; set it for shipper, in its \
             systemd unit with `EnvironmentFile=`"
        );
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for path in [Path::new("/dev/zero"), directory.path(), &pipe] {
            let error = Secret::File(path.to_owned()).read().map(|_| ()).unwrap_err();
            assert!(matches!(error, SecretError::NotAFile(_)), "{}: {error}", path.display());
        }
    }

    #[test]
    fn a_variable_of_the_environment_is_a_secret_as_it_is() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(Secret::Env("PATH".to_owned()).read().unwrap().expose(), path);
    }
}
