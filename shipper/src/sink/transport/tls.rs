//! Trust, and the certificate of this client.

use std::path::Path;
use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::client::TransportError;
use super::credentials::Credentials;
use crate::config::settings::HttpTlsSettings;
use crate::config::tls;

/// What rustls is told. `is_needed` says that there is a URL with TLS.
///
/// # Errors
/// When a file or secret cannot be read, or does not hold what it should.
pub fn config(
    settings: Option<&HttpTlsSettings>,
    is_needed: bool,
    credentials: &mut Credentials,
) -> Result<ClientConfig, TransportError> {
    let default = HttpTlsSettings::default();
    let files = &settings.unwrap_or(&default).files;
    let roots = match &files.ca_file {
        Some(path) => authorities(path)?,
        None => system(),
    };
    // Without TLS nobody need be trusted.
    if roots.is_empty() && is_needed {
        return Err(TransportError::NoAuthorities);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Settings(error.to_string()))?
        .with_root_certificates(roots);
    let (Some(cert_file), Some(key_file)) = (&files.cert_file, &files.key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(cert_file, "tls.cert_file")?;
    let password = files.key_password.as_ref();
    let password = password.map(|password| credentials.secret(password)).transpose()?;
    let key = key(key_file, password.as_ref().map(|password| password.as_str()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| TransportError::Content {
        path: key_file.clone(),
        problem: format!(
            "it is of a kind that is not known, or does not fit the certificate in {}: {error}",
            cert_file.display()
        ),
        key: "tls.key_file",
    })
}

/// Those that this machine trusts.
fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn authorities(path: &Path) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "tls.ca_file")? {
        roots.add(certificate).map_err(|error| TransportError::Content {
            path: path.to_owned(),
            problem: format!("one of its certificates cannot be used: {error}"),
            key: "tls.ca_file",
        })?;
    }
    Ok(roots)
}

fn certificates(
    path: &Path,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let bytes = tls::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let problem = match found {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "there is no certificate in it; it must be PEM, `-----BEGIN CERTIFICATE-----`"
            .to_owned(),
        Err(error) => no_pem(&error),
    };
    Err(TransportError::Content { path: path.to_owned(), problem, key })
}

/// Why a file cannot be read as PEM.
fn no_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "its last section has no end: it is cut off; put the whole file there".to_owned()
        }
        _ => "it is no PEM, or damaged; put the file there as its authority gave it".to_owned(),
    }
}

/// A private key, opened with the password when it is encrypted (PKCS #8).
fn key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, TransportError> {
    const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
    let wrong = |problem: String| TransportError::Content {
        path: path.to_owned(),
        problem,
        key: "tls.key_file",
    };
    let bytes = zeroize::Zeroizing::new(tls::read(path)?);
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains(ENCRYPTED) {
        return PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            wrong(match error {
                pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
                error => no_pem(&error),
            })
        });
    }
    let Some(password) = password else {
        return Err(wrong(
            "it is encrypted; its password belongs into `tls.key_password`".to_owned(),
        ));
    };
    let (_, document) = pkcs8::SecretDocument::from_pem(text.trim())
        .map_err(|error| wrong(format!("it is no PEM: {error}")))?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| wrong(format!("it is no encrypted private key: {error}")))?;
    let opened = encrypted.decrypt(password).map_err(|_| {
        wrong("it cannot be opened: the password is wrong (`tls.key_password`), or it is encrypted in a way that is not known; `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes one that is".to_owned())
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with this content in the place of the certificate and of its key.
    fn said_of(content: &str) -> [String; 2] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let certificate = certificates(file.path(), "tls.ca_file").unwrap_err();
        [certificate, key(file.path(), None).unwrap_err()].map(|error| error.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_in_words_for_whoever_put_it_there() {
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        for said in said_of(cut) {
            assert!(said.contains("it is cut off; put the whole file there (`tls."), "{said}");
        }
        let [certificate, key] = said_of("hello");
        assert!(certificate.contains("no certificate in it; it must be PEM"), "{certificate}");
        assert!(key.contains("there is no private key in it (`tls.key_file`)"), "{key}");
        let junk = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(said_of(junk)[0].contains("it is no PEM, or damaged"), "{:?}", said_of(junk));
    }
}
