//! The settings of the sinks over HTTP. What is said about wrong ones is in `messages`.

mod messages;

use std::time::Duration;

use super::whole_example;
use proptest::prelude::*;
use shipper::config;
use shipper::config::secret::Secret;
use shipper::config::settings::{
    AuthSettings, Concurrency, DeliverySettings, ElasticsearchSettings, HttpCompression,
    HttpEncoding, HttpSettings, HttpTlsSettings, ProxySettings, RateLimit, SinkKind, SinkSettings,
    SplunkHecSettings, TlsSettings, TransportSettings,
};
use shipper::format::Format;

/// As a user would begin.
const THREE: &str = r#"
sinks:
  - { name: collector, type: http, url: "https://collector:8443/ingest", encoding: ndjson, compression: gzip,
      auth: { bearer: { file: /etc/shipper/token } }, headers: { X-Tenant: prod } }
  - { name: elastic, type: elasticsearch, urls: ["https://es1:9200", "https://es2:9200/"], data_stream: logs-shipper.process-default, auth: { api_key: { env: ES_API_KEY } } }
  - { name: splunk, type: splunk_hec, url: "https://hec:8088", token: { env: HEC_TOKEN }, index: linux, acknowledgement: true }
"#;

/// A sink with this beside its name and its URL.
fn sink(kind: &str, rest: &str) -> String {
    format!("sinks: [{{ name: a, type: {kind}, url: 'https://h',\n {rest} }}]\n")
}

/// The settings of the last sink.
fn last(text: &str) -> SinkSettings {
    config::parse("f", text).expect("valid").sinks.pop().expect("a sink")
}

fn http(text: &str) -> HttpSettings {
    let SinkKind::Http(http) = last(text).kind else { unreachable!("a collector") };
    *http
}

/// With nothing said but this.
fn transport(urls: &[&str], auth: Option<AuthSettings>) -> TransportSettings {
    TransportSettings {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        auth,
        compression: HttpCompression::Gzip,
        tls: None,
        proxy: ProxySettings::Environment,
        connect_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(90),
    }
}

fn env(name: &str) -> Secret {
    Secret::Env(name.to_owned())
}

#[test]
fn what_is_left_out_has_its_default() {
    let sinks = config::parse("f", THREE).expect("valid").sinks;
    let [collector, elastic, splunk] = sinks.as_slice() else { unreachable!("three") };

    let token = AuthSettings::Bearer(Secret::File("/etc/shipper/token".into()));
    let expected = HttpSettings {
        transport: transport(&["https://collector:8443/ingest"], Some(token)),
        format: Format::Ecs,
        encoding: HttpEncoding::Ndjson,
        headers: vec![("X-Tenant".to_owned(), "prod".to_owned())],
    };
    assert_eq!(collector.kind, SinkKind::Http(Box::new(expected)));
    assert_eq!(collector.delivery.concurrency, Concurrency::Adaptive(4));
    assert_eq!(collector.delivery.rate_limit, RateLimit::default());
    assert_eq!(collector.delivery.batch_bytes_max, 1 << 20);

    let key = AuthSettings::ApiKey(env("ES_API_KEY"));
    let expected = ElasticsearchSettings {
        transport: transport(&["https://es1:9200", "https://es2:9200"], Some(key)),
        data_stream: "logs-shipper.process-default".to_owned(),
    };
    assert_eq!(elastic.kind, SinkKind::Elasticsearch(Box::new(expected)));
    assert_eq!(elastic.delivery.concurrency, Concurrency::Adaptive(4));
    assert_eq!(elastic.delivery.batch_bytes_max, 1 << 20);

    let expected = SplunkHecSettings {
        transport: transport(&["https://hec:8088"], Some(AuthSettings::Splunk(env("HEC_TOKEN")))),
        index: Some("linux".to_owned()),
        source: "shipper".to_owned(),
        format: Format::Ecs,
        sourcetype: "shipper:exec".to_owned(),
        acknowledgement: true,
    };
    assert_eq!(splunk.kind, SinkKind::SplunkHec(Box::new(expected)));
    assert_eq!(splunk.delivery.concurrency, Concurrency::Adaptive(16));
    assert_eq!(splunk.delivery.batch_bytes_max, 900_000);

    let plain = last(&sink("splunk_hec", "token: { env: T }, batch: { linger: 1s }"));
    assert_eq!(plain.delivery.concurrency, Concurrency::Adaptive(4));
    assert_eq!(plain.delivery.batch_bytes_max, 900_000);
    let written = last(&sink("splunk_hec", "token: { env: T }, batch: { bytes: 2MiB }"));
    assert_eq!(written.delivery.batch_bytes_max, 2 << 20);
    let SinkKind::Elasticsearch(elastic) = last(&sink("elasticsearch", "")).kind else {
        unreachable!("an Elasticsearch")
    };
    assert_eq!(elastic.data_stream, "logs-shipper.process-default");
}

#[test]
fn the_example_shows_every_setting() {
    let sinks = config::parse("example", &whole_example()).expect("valid").sinks;
    let [.., collector, elastic, splunk] = sinks.as_slice() else { unreachable!("three") };

    let text = |text: &str| text.to_owned();
    let token = AuthSettings::Bearer(Secret::File("/etc/shipper/token".into()));
    let tls = HttpTlsSettings {
        files: TlsSettings {
            ca_file: Some("/etc/shipper/collector-ca.pem".into()),
            cert_file: Some("/etc/shipper/collector-client.pem".into()),
            key_file: Some("/etc/shipper/collector-client.key".into()),
            key_password: Some(Secret::File("/etc/shipper/collector-client.password".into())),
        },
        server_name: Some(text("collector.example.com")),
    };
    let expected = HttpSettings {
        transport: TransportSettings {
            tls: Some(tls),
            ..transport(&["https://collector:8443/ingest"], Some(token))
        },
        format: Format::Ecs,
        encoding: HttpEncoding::Ndjson,
        headers: vec![(text("X-Host"), text("{host.name}")), (text("X-Tenant"), text("prod"))],
    };
    assert_eq!(collector.kind, SinkKind::Http(Box::new(expected)));
    let local = &sinks[0].delivery;
    let rate_limit = RateLimit { requests: Some(50), bytes: Some(10 << 20) };
    let concurrency = Concurrency::Adaptive(4);
    let expected = DeliverySettings { concurrency, rate_limit, ..local.clone() };
    assert_eq!(collector.delivery, expected);

    let begun = config::parse("f", THREE).expect("valid").sinks;
    assert_eq!([elastic, splunk], [&begun[1], &begun[2]]);
    let expected = DeliverySettings {
        concurrency: Concurrency::Adaptive(16),
        batch_bytes_max: 900_000,
        ..local.clone()
    };
    assert_eq!(splunk.delivery, expected);
}

#[test]
fn each_word_has_its_meaning() {
    let settings = http(&sink(
        "http",
        "encoding: json, compression: zstd, tls: {}, \
         proxy: { url: 'http://p:3128', username: u, password: { env: P } }, \
         timeouts: { connect: 100ms, request: 1h, idle: 1s }, \
         auth: { header: { name: X-Api-Key, value: { env: K } } }",
    ));
    let key = AuthSettings::Header { name: "X-Api-Key".to_owned(), value: env("K") };
    let login = Some(("u".to_owned(), env("P")));
    let expected = TransportSettings {
        compression: HttpCompression::Zstd,
        tls: Some(HttpTlsSettings::default()),
        proxy: ProxySettings::Url { url: "http://p:3128".to_owned(), login },
        connect_timeout: Duration::from_millis(100),
        request_timeout: Duration::from_secs(3600),
        idle_timeout: Duration::from_secs(1),
        ..transport(&["https://h"], Some(key))
    };
    assert_eq!(settings.transport, expected);
    assert_eq!(settings.encoding, HttpEncoding::Json);

    let of = |rest: &str| http(&sink("http", rest)).transport;
    assert_eq!(of("proxy: none").proxy, ProxySettings::None);
    let url = "http://[::1]:3128/".to_owned();
    let proxy = ProxySettings::Url { url, login: None };
    assert_eq!(of("proxy: { url: 'http://[::1]:3128/' }").proxy, proxy);
    assert_eq!(of("compression: none").compression, HttpCompression::None);
    assert_eq!(
        of("auth: { basic: { username: u, password: { env: P } } }").auth,
        Some(AuthSettings::Basic { username: "u".to_owned(), password: env("P") })
    );
    let own = AuthSettings::Header { name: "Authorization".to_owned(), value: env("K") };
    assert_eq!(of("auth: { header: { name: Authorization, value: { env: K } } }").auth, Some(own));

    let one = last(&sink("elasticsearch", "concurrency: 1, rate_limit: { bytes: 1KiB }"));
    assert_eq!(one.delivery.concurrency, Concurrency::Adaptive(1));
    let rate_limit = RateLimit { requests: None, bytes: Some(1 << 10) };
    assert_eq!(one.delivery.rate_limit, rate_limit);
}

#[test]
fn a_slash_at_the_end_is_kept_where_it_means_something() {
    let url = |kind: &str, rest: &str, url: &str| {
        let text = format!("sinks: [{{ name: a, type: {kind}, url: '{url}', {rest} }}]");
        match last(&text).kind {
            SinkKind::Http(http) => http.transport.urls,
            SinkKind::Elasticsearch(elastic) => elastic.transport.urls,
            SinkKind::SplunkHec(splunk) => splunk.transport.urls,
            other => unreachable!("{other:?}"),
        }
    };
    for (kind, rest) in [("elasticsearch", ""), ("splunk_hec", "token: { env: T }")] {
        assert_eq!(url(kind, rest, "https://h/"), ["https://h"]);
        assert_eq!(url(kind, rest, "https://h:1/a/b//"), ["https://h:1/a/b"]);
    }
    assert_eq!(url("http", "", "https://h/"), ["https://h"]);
    assert_eq!(url("http", "", "https://h/in/"), ["https://h/in/"]);
    assert_eq!(url("http", "", "https://h/in"), ["https://h/in"]);
    assert_eq!(url("http", "", "https://h?a=/"), ["https://h?a=/"]);
    assert_eq!(url("http", "", "https://h/?a=b"), ["https://h/?a=b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is checked here is what requests go to.
    #[test]
    fn a_url_that_passes_is_the_same_to_the_client(
        scheme in "https?",
        host in "[a-zA-Z0-9.:@\\[\\]_%\\\\-]{1,12}|\\[[0-9a-f:]{2,8}\\]|localhost|127\\.0\\.0\\.1",
        rest in "(:[0-9]{1,5})?([/?][!-~]{0,10})?",
    ) {
        let url = format!("{scheme}://{host}{rest}");
        let text = format!("sinks: [{{ name: a, type: http, url: '{}' }}]", url.replace('\'', "''"));
        if let Ok(settings) = config::parse("f", &text) {
            let SinkKind::Http(http) = &settings.sinks[0].kind else { unreachable!("http") };
            let read = reqwest::Url::parse(&http.transport.urls[0]).expect("a URL");
            prop_assert_eq!(read.scheme(), scheme);
            prop_assert_eq!(read.username(), "");
            prop_assert_eq!(read.password(), None);
            prop_assert_eq!(read.fragment(), None);
            let begun = url.split("://").nth(1).expect("a host").to_ascii_lowercase();
            let shown = read.host_str().expect("a host");
            prop_assert!(begun.starts_with(shown) || shown.starts_with('['), "{} {}", begun, shown);
        }
    }
}
