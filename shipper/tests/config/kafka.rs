//! What is said about a Kafka sink, and that no secret is ever repeated.

use shipper::config;
use shipper::config::secret::Secret;
use shipper::config::settings::{
    Concurrency, Envelope, KafkaCompression, KafkaKey, KafkaSettings, KafkaTimestamp,
    SaslMechanism, SaslSettings, SinkKind, SplunkSettings, TlsSettings,
};
use shipper::format::Format;

use super::{problems, whole_example};

/// Stands in the texts below where no secret belongs.
const SECRET: &str = "hunter2";

/// A sink with this beside what it needs.
fn sink(rest: &str) -> String {
    format!("sinks: [{{ name: a, type: kafka, brokers: ['k1:9093'], topic: t,\n {rest} }}]\n")
}

/// The settings of the sink that is one of Kafka.
fn kafka(text: &str) -> KafkaSettings {
    let sinks = config::parse("f", text).expect("valid").sinks;
    let kafka = sinks.into_iter().find_map(|sink| match sink.kind {
        SinkKind::Kafka(kafka) => Some((sink.delivery, kafka)),
        _ => None,
    });
    let (delivery, kafka) = kafka.expect("a Kafka sink");
    assert_eq!(delivery.concurrency, Concurrency::Fixed(8));
    *kafka
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = KafkaSettings {
        brokers: vec!["k1:9093".to_owned()],
        topic: "t".to_owned(),
        key: KafkaKey::Host,
        compression: KafkaCompression::Zstd,
        timestamp: KafkaTimestamp::Event,
        format: Format::Ecs,
        envelope: Envelope::None,
        splunk: None,
        tls: None,
        sasl: None,
        options: Vec::new(),
    };
    assert_eq!(kafka(&sink("")), expected);
}

#[test]
fn the_example_shows_every_setting() {
    let text = |text: &str| text.to_owned();
    let some = |text: &str| Some(text.to_owned());
    let expected = KafkaSettings {
        brokers: vec![text("kafka1:9093"), text("kafka2:9093")],
        topic: text("audit.exec"),
        key: KafkaKey::Host,
        compression: KafkaCompression::Zstd,
        timestamp: KafkaTimestamp::Event,
        format: Format::Ecs,
        envelope: Envelope::None,
        splunk: Some(SplunkSettings {
            index: some("linux"),
            source: some("shipper"),
            sourcetype: some("shipper:exec"),
        }),
        tls: Some(TlsSettings {
            ca_file: Some("/etc/shipper/kafka-ca.pem".into()),
            cert_file: Some("/etc/shipper/kafka-client.pem".into()),
            key_file: Some("/etc/shipper/kafka-client.key".into()),
            key_password: Some(Secret::File("/etc/shipper/kafka-client.password".into())),
        }),
        sasl: Some(SaslSettings::Password {
            mechanism: SaslMechanism::ScramSha512,
            username: text("shipper"),
            password: Secret::Env(text("KAFKA_PASSWORD")),
        }),
        options: vec![(text("linger.ms"), text("50"))],
    };
    assert_eq!(kafka(&whole_example()), expected);
}

#[test]
fn each_word_has_its_meaning() {
    let settings = kafka(&sink(
        "key: entity_id, compression: snappy, timestamp: ship, envelope: splunk_hec, tls: {}, \
         sasl: { mechanism: OAUTHBEARER, token_url: 'https://id:8443/token?x', client_id: c, \
         client_secret: { file: /s }, scope: kafka }, \
         options: { socket.max.fails: 7, log.queue: true, linger.ms: 1.5, client.id: '0x' }",
    ));
    assert_eq!(settings.key, KafkaKey::EntityId);
    assert_eq!(settings.compression, KafkaCompression::Snappy);
    assert_eq!(settings.timestamp, KafkaTimestamp::Ship);
    assert_eq!(settings.envelope, Envelope::SplunkHec);
    assert_eq!(settings.tls, Some(TlsSettings::default()));
    let sasl = SaslSettings::OAuthBearer {
        token_url: "https://id:8443/token?x".to_owned(),
        client_id: "c".to_owned(),
        client_secret: Secret::File("/s".into()),
        scope: Some("kafka".to_owned()),
    };
    assert_eq!(settings.sasl, Some(sasl));
    let options = [
        ("client.id", "0x"),
        ("linger.ms", "1.5"),
        ("log.queue", "true"),
        ("socket.max.fails", "7"),
    ];
    let options: Vec<_> = options.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    assert_eq!(settings.options, options);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let login = format!(
            "tls: {{}}, sasl: {{ mechanism: {mechanism}, username: u, password: {{ env: P }} }}"
        );
        let Some(SaslSettings::Password { mechanism: read, .. }) = kafka(&sink(&login)).sasl else {
            unreachable!("a password")
        };
        assert_eq!(read.as_str(), mechanism);
    }
}

#[test]
fn brokers_and_topics_are_told_what_is_wrong_with_them() {
    let long = format!("topic: {}", "t".repeat(250));
    let cases: &[(&str, &[&str])] = &[
        ("brokers: []", &["2:36: `sinks[0].brokers` must have from 1 to 32 entries, but has 0"]),
        (
            "brokers: k1:9093",
            &["2:36: `sinks[0].brokers` must be a list (`- …`), but is the text `k1:9093`"],
        ),
        (
            "brokers: [k1, 'k1:', 'k1:0', 'k1:+1', 'k1:65536', '::1:9092', '[k1]:1', 'a b:1', \
             ':1', 'http://k1:9092', 9092]",
            &[
                "2:37: `sinks[0].brokers[0]` must be `host:port` such as `kafka1:9093`, but is \
                 `k1`",
                "2:41: `sinks[0].brokers[1]` must be `host:port` such as `kafka1:9093`, but is \
                 `k1:`",
                "2:48: `sinks[0].brokers[2]` must be `host:port` such as `kafka1:9093`, but is \
                 `k1:0`",
                "2:56: `sinks[0].brokers[3]` must be `host:port` such as `kafka1:9093`, but is \
                 `k1:+1`",
                "2:65: `sinks[0].brokers[4]` must be `host:port` such as `kafka1:9093`, but is \
                 `k1:65536`",
                "2:77: `sinks[0].brokers[5]` must be `host:port` such as `kafka1:9093`, but is \
                 `::1:9092`",
                "2:89: `sinks[0].brokers[6]` must be `host:port` such as `kafka1:9093`, but is \
                 `[k1]:1`",
                "2:99: `sinks[0].brokers[7]` must be `host:port` such as `kafka1:9093`, but is \
                 `a b:1`",
                "2:108: `sinks[0].brokers[8]` must be `host:port` such as `kafka1:9093`, but is \
                 `:1`",
                "2:114: `sinks[0].brokers[9]` must be `host:port` such as `kafka1:9093`, but is \
                 `http://k1:9092`",
                "2:132: `sinks[0].brokers[10]` must be `host:port` such as `kafka1:9093`, but is \
                 `9092`",
            ],
        ),
        ("brokers: ['k-1.example.com:1', '10.0.0.1:65535', '[2001:db8::1]:9093', k_1:09092]", &[]),
        ("topic: '{event.action}'", &[]),
        ("topic: 'a.{host.id}-{user.id}_{event.kind}{host.name}'", &[]),
        ("topic: ''", &["2:34: `sinks[0].topic` must be the name of a topic, but is ``"]),
        ("topic: '..'", &["2:34: `sinks[0].topic` must be the name of a topic, but is `..`"]),
        (
            "topic: audit exec",
            &["2:34: `sinks[0].topic` may hold only letters, digits, `.`, `_` and `-`, but is \
               `audit exec`"],
        ),
        (&long, &["2:34: `sinks[0].topic` must have at most 249 characters, but has 250"]),
        (
            "topic: 'a{event.action'",
            &["2:34: `sinks[0].topic` has a `{` or `}` too many; a field is written \
               {event.action}"],
        ),
        (
            "topic: 'a.{event.acton}'",
            &["2:34: `sinks[0].topic` has an unknown field `event.acton`; did you mean \
               `{event.action}`?"],
        ),
        (
            "topic: 'a.{process.name}'",
            &[
                "2:34: `sinks[0].topic` has an unknown field `process.name`; the fields a topic may \
               hold are event.action, event.kind, host.name, host.id, user.id",
            ],
        ),
        (
            "topic: 7",
            &["2:34: `sinks[0].topic` must be text, but is the number 7; put it in quotes"],
        ),
        (
            "brokers: [[::1]:9092]",
            &[
                "2:37: `sinks[0].brokers[0]` must be `host:port` such as `kafka1:9093`, but is a \
                 mapping; put it in quotes",
                "2:37: a key must be text, but this is a list",
            ],
        ),
        (
            "topic: {event.action}",
            &["2:34: `sinks[0].topic` must be the name of a topic, but is a mapping; put it in \
               quotes"],
        ),
        ("topic: [t]", &["2:34: `sinks[0].topic` must be the name of a topic, but is a list"]),
    ];
    for (text, expected) in cases {
        let beside = if text.starts_with("topic") { "brokers: [k:1]" } else { "topic: tttttt" };
        let text = format!("sinks:\n- {{ name: a, type: kafka, {text}, {beside} }}\n");
        assert_eq!(problems(&text), *expected, "{text}");
    }
}

#[test]
fn security_is_told_what_is_wrong_with_it() {
    let password = "password: { env: P }";
    let plain = format!("sasl: {{ mechanism: PLAIN, username: u, {password} }}");
    let bearer = "sasl: { mechanism: OAUTHBEARER, token_url: 'https://id/t', client_id: c, \
                  client_secret: { env: P } }";
    let scram = format!("sasl: {{ mechanism: SCRAM-SHA-256, username: u, {password} }}");
    let cases: &[(&str, &[&str])] = &[
        (&scram, &[]),
        (
            &plain,
            &["2:21: `sinks[0].sasl.mechanism` sends the password readable to everybody on the \
               way; add `tls: {}`, or take `SCRAM-SHA-512`"],
        ),
        (
            bearer,
            &["2:21: `sinks[0].sasl.mechanism` sends the token readable to everybody on the way; \
               add `tls: {}`"],
        ),
        ("tls:", &["2:5: `sinks[0].tls` must be a mapping (`key: value`), but is empty"]),
        (
            "tls: { cert_file: /c }",
            &["2:20: `sinks[0].tls.cert_file` needs `key_file` too, the private key of that \
               certificate"],
        ),
        (
            "tls: { key_file: /k }",
            &["2:19: `sinks[0].tls.key_file` needs `cert_file` too, the certificate of that key"],
        ),
        (
            "tls: { key_password: { env: P } }",
            &["2:23: `sinks[0].tls.key_password` needs `key_file` too, the key that it opens"],
        ),
        (
            "tls: { ca_file: /etc/ }",
            &["2:18: `sinks[0].tls.ca_file` must be the path of a file, but is `/etc/`"],
        ),
        ("sasl: { username: u }", &["2:8: missing key `mechanism` in `sinks[0].sasl`"]),
        (
            "sasl: { mechanism: scram-sha-512, usernam: u, password: { env: P } }",
            &[
                "2:21: `sinks[0].sasl.mechanism` must be one of PLAIN, SCRAM-SHA-256, \
                 SCRAM-SHA-512, OAUTHBEARER, but is `scram-sha-512`; did you mean \
                 `SCRAM-SHA-512`?",
                "2:36: unknown key `usernam`; did you mean `username`?",
            ],
        ),
        (
            "sasl: { mechanism: SCRAM-SHA-256, client_id: c }",
            &[
                "2:8: missing key `password` in `sinks[0].sasl`",
                "2:8: missing key `username` in `sinks[0].sasl`",
                "2:36: unknown key `client_id`; the keys here are mechanism, username, password",
            ],
        ),
        (
            "sasl: { mechanism: SCRAM-SHA-256, username: '', password: { env: 'A B' } }",
            &[
                "2:46: `sinks[0].sasl.username` must be 1 to 1024 bytes of text on one line, but \
                 is ``",
                "2:60: `sinks[0].sasl.password` must have the name of an environment variable in \
                 `env`, of letters, digits and `_`",
            ],
        ),
        (
            "splunk: { index: \"a\\nb\", sorce: x }, options: { a: [1], b: , .inf: x, c: .inf }",
            &[
                "2:19: `sinks[0].splunk.index` must be 1 to 1024 bytes of text on one line, but is \
                 `a\\nb`",
                "2:27: unknown key `sorce`; did you mean `source`?",
                "2:53: `sinks[0].options.a` must be text, a number, `true` or `false`",
                "2:59: `sinks[0].options.b` must be text, a number, `true` or `false`",
                "2:63: the key `.inf` must be text; put it in quotes",
                "2:75: `sinks[0].options.c` must be text, a number, `true` or `false`",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&sink(text)), *expected, "{text}");
    }
}

#[test]
fn a_password_may_be_readable_where_it_does_not_leave_the_machine() {
    let plain = |brokers: &str| {
        problems(&format!(
            "sinks: [{{ name: a, type: kafka, topic: t, brokers: [{brokers}], \
             sasl: {{ mechanism: PLAIN, username: u, password: {{ env: P }} }} }}]"
        ))
        .len()
    };
    assert_eq!(plain("'localhost:9092', '127.8.0.1:1', '[::1]:9092'"), 0);
    assert_eq!(plain("'localhost:9092', 'localhost.example.com:9092'"), 1);
    assert_eq!(plain("'128.0.0.1:1'"), 1);
}

#[test]
fn tokens_are_asked_for_where_nobody_can_read_the_secret() {
    let url = |url: &str| {
        problems(&sink(&format!(
            "tls: {{}}, sasl: {{ mechanism: OAUTHBEARER, token_url: '{url}', client_id: c, \
             client_secret: {{ env: P }} }}"
        )))
    };
    let valid = [
        "https://id.example.com",
        "https://id:8443/a/b?c=d",
        "https://[2001:db8::1]/token",
        "https://[2001:db8::1]:8443/token",
        "http://localhost/token",
        "http://127.0.0.1:8080/token",
        "http://[::1]:8080",
    ];
    for valid in valid {
        assert_eq!(url(valid), [""; 0], "{valid}");
    }
    let wrong = [
        "",
        "id/token",
        "https://",
        "https:///token",
        "https://id:/token",
        "https://id:99999/token",
        "https://user:hunter2@id/token",
        "https://id/to ken",
        "http://id/token",
        "http://localhost@id/token",
        "http://localhost.example.com/",
        "ftp://id/token",
    ];
    for wrong in wrong {
        assert_eq!(
            url(wrong),
            ["2:54: `sinks[0].sasl.token_url` must be an `https://` URL without a user in it \
              (`http://` only to this machine itself)"],
            "{wrong}"
        );
    }
}

#[test]
fn a_secret_that_was_written_down_is_refused_and_never_repeated() {
    let login = |rest: &str| format!("sasl: {{ mechanism: SCRAM-SHA-256, username: u, {rest} }}");
    let told = problems(&sink(&login(&format!("password: {SECRET}"))));
    assert_eq!(
        told,
        ["2:59: `sinks[0].sasl.password` is a secret and must not stand here; put it into the \
          environment or a file and write `{ env: NAME }` or `{ file: PATH }`"]
    );
    let client = "mechanism: OAUTHBEARER, client_id: c";
    let texts = [
        login(&format!("pasword: {SECRET}")),
        login(&format!("password: {SECRET}, unknown: 1")),
        login(&format!("password: [{SECRET}]")),
        login(&format!("password: {{ {SECRET}: x }}")),
        login(&format!("password: {{ env: {SECRET}! }}")),
        login(&format!("password: {{ env: [{SECRET}] }}")),
        login(&format!("password: {{ file: {SECRET}/ }}")),
        login(&format!("password: {{ env: {SECRET}, file: {SECRET} }}")),
        login(&format!("password: !{SECRET} x")),
        login(&format!("password: !!int {SECRET}")),
        login(&format!("password: *{SECRET}")),
        login(&format!("password: {SECRET}, password: {SECRET}")),
        format!("sasl: {SECRET}"),
        format!("sasl: [{SECRET}]"),
        format!("tls: {SECRET}"),
        format!("tls: {{ key_password: {SECRET} }}"),
        format!("options: {SECRET}"),
        format!("options: {{ sasl.password: [{SECRET}] }}"),
        format!("sasl: {{ {client}, token_url: 'https://u:{SECRET}@h', client_secret: {SECRET} }}"),
        format!("sasl: {{ {client}, token_url: 'https://h', client_secret: {SECRET} }}, x: 1"),
        format!("sasl: {{ mechanism: PLAINN, username: u, password: {SECRET} }}"),
        format!("sasl: {{ mechanism: KERBEROS, username: u, password: {SECRET} }}"),
        format!("sasl: {{ username: u, password: {SECRET} }}"),
    ];
    for text in texts {
        let told = problems(&sink(&text));
        assert!(!told.is_empty(), "{text}");
        assert!(!told.iter().any(|line| line.contains(SECRET)), "{text}: {told:?}");
    }
}
