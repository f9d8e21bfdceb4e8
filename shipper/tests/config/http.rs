//! What is said about the sinks over HTTP, and that no secret is ever repeated.

use shipper::config;
use shipper::config::secret::Secret;
use shipper::config::settings::{AuthSettings, Concurrency, SinkKind};

/// As a user would begin.
const THREE: &str = r#"
sinks:
  - { name: collector, type: http, url: "https://collector:8443/ingest", encoding: ndjson, compression: gzip,
      auth: { bearer: { file: /etc/shipper/token } }, headers: { X-Tenant: prod } }
  - { name: elastic, type: elasticsearch, urls: ["https://es1:9200", "https://es2:9200/"],
      data_stream: logs-shipper.process-default, auth: { api_key: { env: ES_API_KEY } } }
  - { name: splunk, type: splunk_hec, url: "https://hec:8088", token: { env: HEC_TOKEN }, index: linux, acknowledgement: true }
"#;

#[test]
fn three_lines_are_three_sinks() {
    let sinks = config::parse("f", THREE).expect("valid").sinks;
    let [collector, elastic, splunk] = sinks.as_slice() else { unreachable!("three") };

    let SinkKind::Http(http) = &collector.kind else { unreachable!("http") };
    assert_eq!(http.transport.urls, ["https://collector:8443/ingest"]);
    assert_eq!(
        http.transport.auth,
        Some(AuthSettings::Bearer(Secret::File("/etc/shipper/token".into())))
    );
    assert_eq!(http.headers, [("X-Tenant".to_owned(), "prod".to_owned())]);
    assert_eq!(collector.delivery.concurrency, Concurrency::Adaptive(4));
    assert_eq!(collector.delivery.batch_bytes_max, 1 << 20);

    let SinkKind::Elasticsearch(elasticsearch) = &elastic.kind else { unreachable!("elastic") };
    assert_eq!(elasticsearch.transport.urls, ["https://es1:9200", "https://es2:9200"]);
    assert_eq!(
        elasticsearch.transport.auth,
        Some(AuthSettings::ApiKey(Secret::Env("ES_API_KEY".into())))
    );
    assert_eq!(elasticsearch.data_stream, "logs-shipper.process-default");

    let SinkKind::SplunkHec(hec) = &splunk.kind else { unreachable!("splunk") };
    assert_eq!(hec.transport.urls, ["https://hec:8088"]);
    assert_eq!(hec.transport.auth, Some(AuthSettings::Splunk(Secret::Env("HEC_TOKEN".into()))));
    assert_eq!(hec.index.as_deref(), Some("linux"));
    assert!(hec.acknowledgement);
    assert_eq!(splunk.delivery.concurrency, Concurrency::Adaptive(16));
    assert_eq!(splunk.delivery.batch_bytes_max, 900_000);
}
