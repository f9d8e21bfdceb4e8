//! Certificates: an authority, what brokers and collectors present, what clients present; good ones
//! and bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// What is right or wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing is wrong.
    Valid,
    /// It expired in the year 2021.
    Expired,
    /// Another authority signed it, which nobody trusts.
    OtherAuthority,
    /// A server's: it is for another host. A client's has no host, so it is like a valid one.
    OtherHost,
}

/// A certificate and its key, each in a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert_file: PathBuf,
    /// Its key, PKCS 8, not encrypted.
    pub key_file: PathBuf,
}

/// The certificates of a cluster or a collector, in a directory.
pub struct Pki {
    directory: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
    other_authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes the authorities, and a valid certificate for the servers.
    pub(crate) fn new(directory: &Path) -> anyhow::Result<Pki> {
        fs::create_dir_all(directory)?;
        let pki = Pki {
            directory: directory.into(),
            authority: authority("the authority of the tests")?,
            other_authority: authority("an authority that nobody trusts")?,
        };
        fs::write(pki.ca_file(), pki.authority.pem())?;
        fs::write(pki.other_ca_file(), pki.other_authority.pem())?;
        pki.present(Certificate::Valid)?;
        Ok(pki)
    }

    /// What a client is to trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The certificate of the authority that signed nothing of the servers'.
    #[must_use]
    pub fn other_ca_file(&self) -> PathBuf {
        self.directory.join("other-ca.pem")
    }

    /// Makes a certificate for a client. A broker knows it as `User:CN=name`.
    pub fn client(&self, name: &str, certificate: Certificate) -> anyhow::Result<Pair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let (cert, key) = self.sign(params, certificate)?;
        let file = |end: &str| self.directory.join(format!("{name}-{certificate:?}.{end}"));
        let pair = Pair { cert_file: file("pem"), key_file: file("key") };
        fs::write(&pair.cert_file, cert)?;
        fs::write(&pair.key_file, key)?;
        Ok(pair)
    }

    /// What the servers present: key and certificate in one file, as Kafka reads a PEM key store.
    pub(crate) fn server_file(&self) -> PathBuf {
        self.directory.join("server.pem")
    }

    pub(crate) fn present(&self, certificate: Certificate) -> anyhow::Result<()> {
        let hosts = match certificate {
            Certificate::OtherHost => vec!["other.example.com".to_owned()],
            _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, "server");
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let (cert, key) = self.sign(params, certificate)?;
        // A broker that reads it meanwhile sees the old one or the new one.
        let written = self.directory.join("server.new");
        fs::write(&written, key + &cert)?;
        fs::rename(written, self.server_file())?;
        Ok(())
    }

    /// Signs a certificate and gives it with its key, both in PEM.
    fn sign(
        &self,
        mut params: CertificateParams,
        certificate: Certificate,
    ) -> anyhow::Result<(String, String)> {
        params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        if certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let issuer = match certificate {
            Certificate::OtherAuthority => &self.other_authority,
            _ => &self.authority,
        };
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, issuer)?;
        Ok((signed.pem(), key.serialize_pem()))
    }
}

fn authority(name: &str) -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}
