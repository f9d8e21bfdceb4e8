//! What librdkafka is told: the settings, secrets and files of the sink as its properties.

use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::ThreadedProducer;
use sha2::{Digest, Sha256};

use super::client::{Context, Shared};
use super::options;
use crate::config::secret::{Secret, SecretError};
use crate::config::settings::{
    DeliverySettings, KafkaCompression, KafkaSettings, SaslSettings, TlsSettings,
};
use crate::config::tls;

/// Why there is no producer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file of `tls` cannot be read.
    #[error(transparent)]
    File(#[from] tls::FileError),
    /// librdkafka does not take the settings together.
    #[error("librdkafka does not take the settings: {0}")]
    Settings(String),
}

/// Tells whether secrets and files are still the same.
pub type Fingerprint = [u8; 32];

/// Room for all batches that may be under way, so that librdkafka's queue is never full and never
/// larger.
pub fn bound_queue(
    config: &mut ClientConfig,
    settings: &KafkaSettings,
    delivery: &DeliverySettings,
) {
    let batches = delivery.concurrency.max() + 1;
    let messages = (batches * delivery.batch_events_max).max(1_000);
    let kbytes = batches * (delivery.batch_bytes_max + message_bytes_max(settings)) / 1024;
    config.set("queue.buffering.max.messages", messages.min(10_000_000).to_string());
    config.set("queue.buffering.max.kbytes", (kbytes + 1).min(2_097_151).to_string());
}

/// Largest record that librdkafka takes with these settings, in bytes.
#[must_use]
pub fn message_bytes_max(settings: &KafkaSettings) -> usize {
    let given = settings.options.iter().find(|(name, _)| name == "message.max.bytes");
    given.and_then(|(_, value)| value.parse().ok()).unwrap_or(options::MESSAGE_BYTES_MAX)
}

/// What librdkafka is told, without the bounds of the queue.
///
/// # Errors
/// When a file or secret cannot be read.
pub fn config(settings: &KafkaSettings) -> Result<(ClientConfig, Fingerprint), ClientError> {
    let mut config = unsecured(settings);
    let mut seen = Sha256::new();
    if let Some(tls) = &settings.tls {
        secure(&mut config, tls, &mut seen)?;
    }
    if let Some(sasl) = &settings.sasl {
        authenticate(&mut config, sasl, &mut seen)?;
    }
    let protocol = match (&settings.tls, &settings.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    Ok((config, seen.finalize().into()))
}

/// Everything that needs no file and no secret.
fn unsecured(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in options::DEFAULTS {
        config.set(*name, *value);
    }
    for (name, value) in &settings.options {
        config.set(name, value);
        if name == "debug" {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
    }
    for (name, value) in options::GUARANTEES {
        config.set(*name, *value);
    }
    config.set("bootstrap.servers", settings.brokers.join(","));
    config.set(
        "compression.codec",
        match settings.compression {
            KafkaCompression::None => "none",
            KafkaCompression::Gzip => "gzip",
            KafkaCompression::Snappy => "snappy",
            KafkaCompression::Lz4 => "lz4",
            KafkaCompression::Zstd => "zstd",
        },
    );
    config
}

/// Whether librdkafka takes the settings together, before any secret or file is looked at.
///
/// # Errors
/// What librdkafka says against it.
pub fn check(settings: &KafkaSettings, delivery: &DeliverySettings) -> Result<(), ClientError> {
    let mut config = unsecured(settings);
    bound_queue(&mut config, settings, delivery);
    // It connects to nothing before it is asked for something.
    config.set("bootstrap.servers", "");
    let context = Context(Arc::new(Shared::new()));
    let made: Result<ThreadedProducer<Context>, KafkaError> = config.create_with_context(context);
    made.map(drop).map_err(refused)
}

/// An error of librdkafka about its settings.
pub fn refused(error: KafkaError) -> ClientError {
    let said = match error {
        KafkaError::ClientConfig(_, description, _, _) => description,
        KafkaError::ClientCreation(description) => description,
        other => other.to_string(),
    };
    // It knows our settings by its own names.
    let said = said
        .replace("ssl.ca.location", "`tls.ca_file`")
        .replace("ssl.certificate.location", "`tls.cert_file`")
        .replace("ssl.key.location", "`tls.key_file`");
    ClientError::Settings(said)
}

fn secure(
    config: &mut ClientConfig,
    tls: &TlsSettings,
    seen: &mut Sha256,
) -> Result<(), ClientError> {
    let files = [
        ("ssl.ca.location", &tls.ca_file),
        ("ssl.certificate.location", &tls.cert_file),
        ("ssl.key.location", &tls.key_file),
    ];
    for (property, path) in files {
        let Some(path) = path else { continue };
        seen.update(tls::read(path)?);
        config.set(property, path.to_string_lossy());
    }
    if let Some(password) = &tls.key_password {
        config.set("ssl.key.password", secret(password, seen)?);
    }
    Ok(())
}

fn authenticate(
    config: &mut ClientConfig,
    sasl: &SaslSettings,
    seen: &mut Sha256,
) -> Result<(), ClientError> {
    match sasl {
        SaslSettings::Password { mechanism, username, password } => {
            config.set("sasl.mechanism", mechanism.as_str());
            config.set("sasl.username", username);
            config.set("sasl.password", secret(password, seen)?);
        }
        SaslSettings::OAuthBearer { token_url, client_id, client_secret, scope } => {
            config.set("sasl.mechanism", "OAUTHBEARER");
            config.set("sasl.oauthbearer.method", "oidc");
            config.set("sasl.oauthbearer.token.endpoint.url", token_url);
            config.set("sasl.oauthbearer.client.id", client_id);
            config.set("sasl.oauthbearer.client.secret", secret(client_secret, seen)?);
            if let Some(scope) = scope {
                config.set("sasl.oauthbearer.scope", scope);
            }
        }
    }
    Ok(())
}

fn secret(secret: &Secret, seen: &mut Sha256) -> Result<String, SecretError> {
    let text = secret.read()?;
    seen.update(text.expose());
    Ok(text.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sink::kafka::testing::Mock;

    /// What is said of a `tls.ca_file` that is this.
    fn said_of(ca_file: &Path) -> String {
        let tls = TlsSettings {
            ca_file: Some(ca_file.to_owned()),
            cert_file: None,
            key_file: None,
            key_password: None,
        };
        let mut settings = Mock::start().settings();
        settings.tls = Some(tls);
        let made = config(&settings).and_then(|(config, _)| {
            let context = Context(Arc::new(Shared::new()));
            let made: Result<ThreadedProducer<Context>, KafkaError> =
                config.create_with_context(context);
            made.map(drop).map_err(refused)
        });
        made.unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_holds_no_certificate_is_told_by_the_name_of_the_setting() {
        let directory = tempfile::tempdir().unwrap();
        let junk = directory.path().join("junk.pem");
        std::fs::write(&junk, "no certificate").unwrap();
        assert!(said_of(&junk).contains("`tls.ca_file`"), "{}", said_of(&junk));
    }

    #[test]
    fn a_pipe_in_the_place_of_a_certificate_is_told_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, 0o600.into(), 0).unwrap();
        assert!(said_of(&pipe).contains("no regular file"), "{}", said_of(&pipe));
    }
}
