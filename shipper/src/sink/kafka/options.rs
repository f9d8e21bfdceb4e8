//! Properties of librdkafka: those that shipper sets, those that are the operator's, and those that
//! nobody may change, since the promises rest on them.

use rdkafka::config::ClientConfig;

/// What shipper sets where the operator does not.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "shipper"),
    // As the Java clients do it, so that others find the partition of a key.
    ("partitioner", "murmur2_random"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "5000"),
    // A topic that is not there is told after this, not after half a minute.
    ("topic.metadata.propagation.max.ms", "10000"),
    ("statistics.interval.ms", "10000"),
];

/// `message.max.bytes` of librdkafka where nobody sets it: a little below what a topic takes unless
/// told otherwise.
pub const MESSAGE_BYTES_MAX: usize = 1_000_000;

/// What nobody may change.
pub const GUARANTEES: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // A message that failed ends the producer, so that none behind it overtakes.
    ("enable.gapless.guarantee", "true"),
    // A broker that knows nothing of a producer yet takes its second request though it refused the
    // first, and librdkafka then believes that the first is there as well.
    ("max.in.flight", "1"),
    // The events wait in the spool; librdkafka must not drop one for its age.
    ("message.timeout.ms", "0"),
];

/// Properties that have a setting of their own, or that would break a promise, and what to say.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
    ("compression.codec", "use `compression`"),
    ("compression.type", "use `compression`"),
    ("security.protocol", "it follows from `tls` and `sasl`"),
    ("sasl.mechanism", "use `sasl.mechanism`"),
    ("sasl.mechanisms", "use `sasl.mechanism`"),
    ("sasl.username", "use `sasl.username`"),
    ("sasl.password", "use `sasl.password`"),
    ("sasl.oauthbearer.method", "use `sasl` with mechanism OAUTHBEARER"),
    ("sasl.oauthbearer.client.id", "use `sasl.client_id`"),
    ("sasl.oauthbearer.client.credentials.client.id", "use `sasl.client_id`"),
    ("sasl.oauthbearer.client.secret", "use `sasl.client_secret`"),
    ("sasl.oauthbearer.client.credentials.client.secret", "use `sasl.client_secret`"),
    ("sasl.oauthbearer.token.endpoint.url", "use `sasl.token_url`"),
    ("sasl.oauthbearer.scope", "use `sasl.scope`"),
    ("sasl.oauthbearer.assertion.private.key.passphrase", "secrets do not belong in the file"),
    ("sasl.oauthbearer.assertion.private.key.pem", "secrets do not belong in the file"),
    ("ssl.ca.location", "use `tls.ca_file`"),
    ("ssl.certificate.location", "use `tls.cert_file`"),
    ("ssl.key.location", "use `tls.key_file`"),
    ("ssl.key.password", "use `tls.key_password`"),
    ("ssl.key.pem", "use `tls.key_file`"),
    ("ssl.keystore.password", "use `tls.cert_file` and `tls.key_file`"),
    ("acks", "it is always `all`: fewer would lose events"),
    ("request.required.acks", "it is always `all`: fewer would lose events"),
    ("enable.idempotence", "it is always on: without it events would be doubled"),
    ("enable.gapless.guarantee", "it is always on: without it events would change places"),
    ("max.in.flight", "it is always 1: with more, events would be lost"),
    ("max.in.flight.requests.per.connection", "it is always 1: with more, events would be lost"),
    ("message.timeout.ms", "events wait in the spool, without limit"),
    ("delivery.timeout.ms", "events wait in the spool, without limit"),
    ("retries", "events are sent again without limit"),
    ("message.send.max.retries", "events are sent again without limit"),
    ("queue.buffering.max.messages", "it follows from `batch`"),
    ("queue.buffering.max.kbytes", "it follows from `batch`"),
    ("transactional.id", "events are not sent in transactions"),
    ("plugin.library.paths", "no library is loaded into shipper"),
    ("ssl.providers", "no library is loaded into shipper"),
    ("ssl.engine.location", "no library is loaded into shipper"),
    ("log_level", "use SHIPPER_LOG"),
];

/// Whether librdkafka takes this property with this value, from an operator.
///
/// # Errors
/// What is wrong with it, in words that can follow its name.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    if let Some((_, advice)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Err(format!("cannot be set here: {advice}"));
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(rdkafka::error::KafkaError::ClientConfig(_, description, _, _)) => {
            Err(description.trim_end().to_owned())
        }
        Err(other) => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_takes_is_taken_and_what_it_does_not_is_said_in_its_words() {
        assert_eq!(check("linger.ms", "50"), Ok(()));
        assert!(check("linger.sm", "50").unwrap_err().contains("linger.sm"));
        assert!(check("linger.ms", "soon").unwrap_err().contains("Invalid value"));
        assert!(check("linger.ms", "-1").unwrap_err().contains("outside"));
        assert!(check("linger.ms\0", "1").is_err());
    }

    #[test]
    fn what_the_promises_rest_on_cannot_be_changed() {
        for (name, _) in GUARANTEES {
            assert!(check(name, "0").unwrap_err().contains("cannot be set"), "{name}");
        }
        for (name, _) in RESERVED {
            assert!(check(name, "1").is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_set_is_known_to_librdkafka() {
        let mut config = ClientConfig::new();
        for (name, value) in DEFAULTS.iter().chain(GUARANTEES) {
            config.set(*name, *value);
        }
        let native = config.create_native_config().unwrap();
        assert_eq!(native.get("message.max.bytes").unwrap(), MESSAGE_BYTES_MAX.to_string());
    }
}
