//! The configuration as a user meets it: the files in `config/`, what is said about broken ones,
//! and that no text whatever brings the reader down.

mod any_text;
mod http;
mod kafka;
mod messages;
mod rules;
mod sink_messages;

use std::path::{Path, PathBuf};
use std::time::Duration;

use shipper::config::model::{Compress, Compression, ConsoleOutput, Fsync, Mode, WhenFull};
use shipper::config::settings::{
    Concurrency, ConsoleSettings, DeliverySettings, FileSettings, RateLimit, SinkKind,
    SinkSettings, SpoolSettings,
};
use shipper::config::units::{FreeSpace, Span};
use shipper::config::{self, ConfigError, Settings};
use shipper::format::Format;

fn config_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(config_file(name)).expect("the file is in the repository")
}

/// The messages about `text`, without the name of the file.
fn problems(text: &str) -> Vec<String> {
    match config::parse("f", text) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let lines = error.to_string();
            lines.lines().map(|line| line.strip_prefix("f:").unwrap_or(line).to_owned()).collect()
        }
    }
}

#[test]
fn the_committed_schema_is_the_one_of_the_model() {
    let committed: serde_json::Value =
        serde_json::from_str(&read("shipper.schema.json")).expect("the schema is JSON");
    assert!(
        committed == config::schema(),
        "config/shipper.schema.json is not current; run: \
         shipper schema config > config/shipper.schema.json"
    );
}

#[test]
fn the_example_shows_the_defaults() {
    let example = config::load(&config_file("shipper.example.yaml")).expect("the example is valid");
    let short = "sinks: [{ name: local, type: file, path: /var/log/shipper/shipper.ndjson }]";
    assert_eq!(example, config::parse("short", short).expect("the short form is valid"));
    assert_eq!(example.capture.mode, Mode::Auto);
    assert_eq!(example.capture.ring_buffer_bytes, 16 << 20);
    assert_eq!(example.capture.argv_bytes_max, 32 << 10);
    assert_eq!(example.enrich.ancestry_depth_max, 16);
    assert_eq!(example.enrich.process_table_max, 65_536);
    assert!(!example.capture.exit && !example.capture.pin);
    assert_eq!(example.enrich.hash, None);
    assert!(example.redact.is_some());
    assert_eq!(example.shutdown_timeout, Duration::from_secs(5));
    let spool = SpoolSettings {
        dir: "/var/lib/shipper/spool".into(),
        bytes_max: 4 << 30,
        disk_free_min: FreeSpace::Percent(5),
        when_full: WhenFull::DropNewest,
        fsync: Fsync::Interval(Span(Duration::from_millis(20))),
        compression: Compression::Lz4,
    };
    assert_eq!(example.spool, spool);
    let delivery = DeliverySettings {
        batch_events_max: 1000,
        batch_bytes_max: 1 << 20,
        linger: Duration::from_millis(50),
        retry_initial: Duration::from_millis(500),
        retry_max: Duration::from_secs(60),
        concurrency: Concurrency::Fixed(1),
        rate_limit: RateLimit::default(),
        when: None,
        quarantine_bytes_max: 64 << 20,
    };
    let file = FileSettings {
        format: Format::Ecs,
        path: "/var/log/shipper/shipper.ndjson".into(),
        rotate_bytes: 100 << 20,
        rotate_interval: Duration::from_secs(24 * 3600),
        compress: Compress::Gzip,
        keep_files: 7,
        keep_bytes: 1 << 30,
        keep_age: Duration::from_secs(30 * 24 * 3600),
    };
    let local = SinkSettings { name: "local".into(), delivery, kind: SinkKind::File(file) };
    assert_eq!(example.sinks, [local]);
}

/// The example with the sinks that stand commented out in it.
fn whole_example() -> String {
    let text = read("shipper.example.yaml");
    let mut whole = String::new();
    let mut in_sink = false;
    for line in text.lines() {
        in_sink = line.starts_with("  # - name") || in_sink && line.starts_with("  #   ");
        whole.push_str(&if in_sink { line.replacen("  # ", "  ", 1) } else { line.to_owned() });
        whole.push('\n');
    }
    whole
}

/// What stands commented out in the example must be right too once somebody wants it.
#[test]
fn the_example_is_valid_with_its_commented_sinks() {
    let settings = config::parse("example", &whole_example()).expect("valid");
    let names: Vec<&str> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["local", "console", "siem", "collector", "elastic", "splunk"]);
}

#[test]
fn the_embedded_configuration_shows_events_and_writes_them_below_run() {
    let Settings { sinks, spool, .. } = config::local();
    assert_eq!(spool.dir, Path::new("./run/spool"));
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["console", "local"]);
    assert_eq!(
        sinks[0].kind,
        SinkKind::Console(ConsoleSettings { output: ConsoleOutput::Pretty, format: Format::Ecs })
    );
    let SinkKind::File(file) = &sinks[1].kind else { unreachable!("a file sink") };
    assert_eq!(file.path, Path::new("./run/events/shipper.ndjson"));
}

#[test]
fn each_sink_has_its_format_and_splunk_a_source_type_for_it() {
    let text = "sinks:\n\
         - { name: a, type: file, path: /x, format: ocsf }\n\
         - { name: b, type: console, output: json, format: native }\n\
         - { name: c, type: kafka, brokers: ['k:1'], topic: t, format: cim }\n\
         - { name: d, type: http, url: 'https://h', format: native }\n\
         - { name: e, type: splunk_hec, url: 'https://s', token: { env: T }, format: cim }\n\
         - { name: f, type: splunk_hec, url: 'https://t', token: { env: T }, sourcetype: own }\n";
    let sinks = config::parse("f", text).expect("valid").sinks;
    let told: Vec<(Format, Option<&str>)> = sinks
        .iter()
        .map(|sink| match &sink.kind {
            SinkKind::File(file) => (file.format, None),
            SinkKind::Console(console) => (console.format, None),
            SinkKind::Kafka(kafka) => (kafka.format, None),
            SinkKind::Http(http) => (http.format, None),
            SinkKind::SplunkHec(splunk) => (splunk.format, Some(&*splunk.sourcetype)),
            SinkKind::Elasticsearch(_) => unreachable!("there is none"),
        })
        .collect();
    let expected = [
        (Format::Ocsf, None),
        (Format::Native, None),
        (Format::Cim, None),
        (Format::Native, None),
        (Format::Cim, Some("shipper:cim")),
        (Format::Ecs, Some("own")),
    ];
    assert_eq!(told, expected);
}

/// What every configuration below needs beside the part that is wrong.
const SINKS: &str = "sinks: [{ name: a, type: console }]\n";

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("shipper.yaml");
    let message = |path: &Path| config::load(path).expect_err("not valid").to_string();

    assert!(matches!(config::load(&path), Err(ConfigError::Missing(_))));
    assert_eq!(
        message(&path),
        format!(
            "{}: no such file. Copy config/shipper.example.yaml there and edit it, name another \
             file with --config, or try `shipper run --local`, which needs none",
            path.display()
        )
    );
    assert_eq!(
        message(directory.path()),
        format!(
            "{}: this is a directory; name the configuration file in it",
            directory.path().display()
        )
    );
    std::fs::write(&path, b"a: b\n\xc3\xa9: \xff").expect("written");
    assert_eq!(
        message(&path),
        format!("{}:2:4: byte 0xff is not UTF-8; save the file as UTF-8 text", path.display())
    );
    assert!(message(&path.join("below")).contains("cannot be read: Not a directory"));
    assert!(message(Path::new("/dev/zero")).starts_with("/dev/zero:1:1: "));
}
