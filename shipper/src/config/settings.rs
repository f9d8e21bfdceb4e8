//! The configuration as the daemon uses it: every value there and within its bounds. The only ways
//! to it are `load`, `parse` and `local` of this module's parent, which have checked the document.

use std::path::PathBuf;
use std::time::Duration;

pub use super::enforce::{EnforceSettings, RuleSettings};
pub use super::http::{
    AuthSettings, ElasticsearchSettings, HttpCompression, HttpEncoding, HttpSettings,
    HttpTlsSettings, ProxySettings, SplunkHecSettings, TransportSettings,
};
pub use super::kafka::{
    Envelope, KafkaCompression, KafkaKey, KafkaSettings, KafkaTimestamp, SaslMechanism,
    SaslSettings, SplunkSettings,
};
use super::model::{
    Compress, Compression, Config, ConsoleOutput, ContainerDirs, Delivery, Directory, Exclude,
    Failures, FileSink, Fsync, HashKind, Mode, RateLimitPerCgroup, Sink, Spool, WhenFull,
};
pub use super::redact::{HashKeyError, RedactSettings};
pub use super::secret::Secret;
pub use super::tls::TlsSettings;
use super::units::{ByteSize, FreeSpace};
use crate::format::Format;
use crate::rules::{Expression, Rule};

/// Batches of a Kafka sink in flight at once, so that one is gathered while others are on their way.
/// The producer keeps the order of each key.
const KAFKA_CONCURRENCY: usize = 8;

/// Bytes of a batch unless the configuration or the kind of the sink says otherwise.
const BATCH_BYTES: usize = 1 << 20;

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is recorded, and how.
    pub capture: CaptureSettings,
    /// Deny rules, where there are any.
    pub enforce: Option<EnforceSettings>,
    /// What is said of events, in the order in which it is tried; each rule has an id of its own.
    pub rules: Vec<Rule>,
    /// What is added to each record.
    pub enrich: EnrichSettings,
    /// How secrets are taken out of events, if they are.
    pub redact: Option<RedactSettings>,
    /// Where events are kept until every sink has them.
    pub spool: SpoolSettings,
    /// How long sinks may take to deliver the rest when the daemon stops, 100 ms to 1 h.
    pub shutdown_timeout: Duration,
    /// Where events are delivered: 1 to 64, with different names, files and terminals.
    pub sinks: Vec<SinkSettings>,
}

/// Capture in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureSettings {
    /// How the kernel is asked.
    pub mode: Mode,
    /// Size of the ring buffer in bytes: a power of two, 64 KiB to 1 GiB.
    pub ring_buffer_bytes: u32,
    /// Most bytes of argv kept for one exec, 256 to `ARGV_BYTES_MAX`.
    pub argv_bytes_max: u32,
    /// Names of the environment variables that are recorded, at most 32.
    pub env: Vec<String>,
    /// Whether the ends of processes are events.
    pub exit: bool,
    /// Which executions that fail are recorded.
    pub failures: Failures,
    /// See them by the tracepoints of the system calls in mode tracepoint.
    pub syscall_tracepoints: bool,
    /// What is not recorded; each list as long as the kernel programs take.
    pub exclude: Exclude,
    /// Most that one cgroup may execute, at least 1 of each.
    pub rate_limit_per_cgroup: Option<RateLimitPerCgroup>,
    /// Programs and ring stay in the kernel while the daemon is not running.
    pub pin: bool,
}

/// Enrichment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrichSettings {
    /// Ancestors listed with each exec and each end, 1 to 64.
    pub ancestry_depth_max: usize,
    /// Most processes that are remembered, 1024 to 4194304.
    pub process_table_max: usize,
    /// Where container runtimes keep their state.
    pub container_dirs: ContainerDirSettings,
    /// How executed files are hashed, if they are.
    pub hash: Option<HashSettings>,
}

/// Where container runtimes keep their state, at most 8 directories of each. One whose list is empty
/// is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerDirSettings {
    /// Data roots of Docker.
    pub docker: Vec<PathBuf>,
    /// State directories of containerd.
    pub containerd: Vec<PathBuf>,
    /// Run and graph roots of the storage of Podman and CRI-O.
    pub storage: Vec<PathBuf>,
}

/// SHA-256 of executed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSettings {
    /// Largest file that is hashed, 4 KiB to 16 GiB.
    pub bytes_max: u64,
    /// Longest time an event waits, 1 ms to 10 s.
    pub wait_max: Duration,
}

/// The log on disk between capture and the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its directory; no file sink writes into it.
    pub dir: PathBuf,
    /// Most bytes of the log, 16 MiB to 1 PiB.
    pub bytes_max: u64,
    /// Free space it leaves on its file system.
    pub disk_free_min: FreeSpace,
    /// What happens when a limit is reached.
    pub when_full: WhenFull,
    /// When events are made durable; an interval is 1 ms to 60 s.
    pub fsync: Fsync,
    /// Compression of the events in it.
    pub compression: Compression,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Its name in messages, metrics and files: 1 to 64 of `[A-Za-z0-9_-]`, unique.
    pub name: String,
    /// What is delivered to it, and how.
    pub delivery: DeliverySettings,
    /// Where to.
    pub kind: SinkKind,
}

/// What is delivered to a sink, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Most events of a batch, 1 to 100000.
    pub batch_events_max: usize,
    /// Most bytes of a batch, 1 KiB to 64 MiB; a larger event is a batch of its own.
    pub batch_bytes_max: usize,
    /// How long an event may wait for others, up to 60 s.
    pub linger: Duration,
    /// Limit of the first pause before another attempt, 10 ms to 1 h.
    pub retry_initial: Duration,
    /// Limit of every pause, from `retry_initial` to 1 h.
    pub retry_max: Duration,
    /// Batches in flight at once.
    pub concurrency: Concurrency,
    /// Most that is sent in a second.
    pub rate_limit: RateLimit,
    /// Which events it gets; `None` for all.
    pub when: Option<Expression>,
    /// Most bytes of its quarantine, 64 KiB to 1 TiB.
    pub quarantine_bytes_max: u64,
}

/// How many batches of a sink are in flight at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// So many, at least 1.
    Fixed(usize),
    /// As many as the other side answers quickly, from 1 to this many.
    Adaptive(usize),
}

impl Concurrency {
    /// Most batches in flight at once.
    #[must_use]
    pub fn max(self) -> usize {
        match self {
            Concurrency::Fixed(max) | Concurrency::Adaptive(max) => max,
        }
    }
}

/// Most that a sink is sent in a second; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests, 1 to 1,000,000.
    pub requests: Option<u32>,
    /// Bytes of encoded events before compression, 1 KiB to 1 TiB.
    pub bytes: Option<u64>,
}

/// Where a sink delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// NDJSON files on this machine, rotated.
    File(FileSettings),
    /// The terminal or standard output of the daemon.
    Console(ConsoleSettings),
    /// A topic of Apache Kafka.
    Kafka(Box<KafkaSettings>),
    /// Any HTTP collector.
    Http(Box<HttpSettings>),
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Box<ElasticsearchSettings>),
    /// Splunk's HTTP event collector.
    SplunkHec(Box<SplunkHecSettings>),
}

/// The terminal or standard output of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Lines for people, or JSON.
    pub output: ConsoleOutput,
    /// How JSON is written.
    pub format: Format,
}

/// NDJSON files on this machine, rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// How events are written.
    pub format: Format,
    /// The file that is written; its last component is a name. Rotated ones stand beside it.
    pub path: PathBuf,
    /// A batch that would make the file larger than this many bytes begins a new one; 4 KiB to 1 TiB.
    pub rotate_bytes: u64,
    /// A file older than this is followed by a new one; 1 s to 3650 days.
    pub rotate_interval: Duration,
    /// What is done with rotated files.
    pub compress: Compress,
    /// Most rotated files kept, 0 to 100000.
    pub keep_files: usize,
    /// Most bytes of all rotated files kept, as they are after compression; 0 to 1 PiB.
    pub keep_bytes: u64,
    /// Longest time a rotated file is kept after its rotation, by the time in its name; 1 s to
    /// 36500 days.
    pub keep_age: Duration,
}

impl From<ContainerDirs> for ContainerDirSettings {
    fn from(dirs: ContainerDirs) -> Self {
        let paths = |dirs: Vec<Directory>| dirs.into_iter().map(|dir| dir.0).collect();
        ContainerDirSettings {
            docker: paths(dirs.docker),
            containerd: paths(dirs.containerd),
            storage: paths(dirs.storage),
        }
    }
}

impl Settings {
    /// Takes over a model whose document was checked, its rules, and by which expression each sink chooses.
    pub(super) fn from_checked(
        config: Config,
        rules: Vec<Rule>,
        whens: Vec<Option<Expression>>,
    ) -> Self {
        let mut sinks: Vec<_> = config.sinks.into_iter().map(SinkSettings::from).collect();
        for (sink, when) in sinks.iter_mut().zip(whens) {
            sink.delivery.when = when;
        }
        let u32_bytes =
            |size: ByteSize| u32::try_from(size.0).expect("the schema bounds the size by 1 GiB");
        Settings {
            capture: CaptureSettings {
                mode: config.capture.mode,
                ring_buffer_bytes: u32_bytes(config.capture.ring_buffer_bytes),
                argv_bytes_max: u32_bytes(config.capture.argv_bytes_max),
                env: config.capture.env.into_iter().map(|variable| variable.0).collect(),
                exit: config.capture.exit,
                failures: config.capture.failures,
                syscall_tracepoints: config.capture.syscall_tracepoints,
                exclude: config.capture.exclude,
                rate_limit_per_cgroup: config.capture.rate_limit_per_cgroup,
                pin: config.capture.pin,
            },
            enforce: EnforceSettings::from_checked(config.enforce),
            enrich: EnrichSettings {
                ancestry_depth_max: config.enrich.ancestry_depth_max as usize,
                process_table_max: config.enrich.process_table_max as usize,
                container_dirs: ContainerDirSettings::from(config.enrich.container_dirs),
                hash: match config.enrich.hash {
                    HashKind::None => None,
                    HashKind::Sha256 => Some(HashSettings {
                        bytes_max: config.enrich.hash_bytes_max.0,
                        wait_max: config.enrich.hash_wait_max.0,
                    }),
                },
            },
            redact: config.redact.enabled.then(|| RedactSettings::from(config.redact)),
            spool: SpoolSettings::from(config.spool),
            shutdown_timeout: config.shutdown_timeout.0,
            rules,
            sinks,
        }
    }
}

impl From<Spool> for SpoolSettings {
    fn from(spool: Spool) -> Self {
        SpoolSettings {
            dir: spool.dir,
            bytes_max: spool.bytes_max.0,
            disk_free_min: spool.disk_free_min,
            when_full: spool.when_full,
            fsync: spool.fsync,
            compression: spool.compression,
        }
    }
}

impl From<Sink> for SinkSettings {
    fn from(sink: Sink) -> Self {
        match sink {
            Sink::File(file) => SinkSettings {
                name: file.name.clone(),
                delivery: DeliverySettings::from(&file.delivery),
                kind: SinkKind::File(FileSettings::from(file)),
            },
            Sink::Console(console) => SinkSettings {
                name: console.name,
                delivery: DeliverySettings::from(&console.delivery),
                kind: SinkKind::Console(ConsoleSettings {
                    output: console.output,
                    format: console.delivery.format,
                }),
            },
            Sink::Kafka(kafka) => SinkSettings {
                name: kafka.name.clone(),
                delivery: DeliverySettings {
                    concurrency: Concurrency::Fixed(KAFKA_CONCURRENCY),
                    ..DeliverySettings::from(&kafka.delivery)
                },
                kind: SinkKind::Kafka(Box::new(KafkaSettings::from(*kafka))),
            },
            Sink::Http(http) => {
                let name = http.name.clone();
                let (delivery, settings) = http.into_settings();
                SinkSettings { name, delivery, kind: SinkKind::Http(Box::new(settings)) }
            }
            Sink::Elasticsearch(elastic) => {
                let name = elastic.name.clone();
                let (delivery, settings) = elastic.into_settings();
                SinkSettings { name, delivery, kind: SinkKind::Elasticsearch(Box::new(settings)) }
            }
            Sink::SplunkHec(splunk) => {
                let name = splunk.name.clone();
                let (delivery, settings) = splunk.into_settings();
                SinkSettings { name, delivery, kind: SinkKind::SplunkHec(Box::new(settings)) }
            }
        }
    }
}

impl From<&Delivery> for DeliverySettings {
    fn from(delivery: &Delivery) -> Self {
        DeliverySettings {
            batch_events_max: delivery.batch.events as usize,
            batch_bytes_max: delivery.batch.bytes.map_or(BATCH_BYTES, |bytes| {
                usize::try_from(bytes.0).expect("the schema bounds the size by 64 MiB")
            }),
            linger: delivery.batch.linger.0,
            retry_initial: delivery.retry.initial.0,
            retry_max: delivery.retry.max.0,
            // Files and the console take one batch after the other.
            concurrency: Concurrency::Fixed(1),
            rate_limit: RateLimit::default(),
            // Set by whoever has the expression that was checked.
            when: None,
            quarantine_bytes_max: delivery.quarantine.bytes_max.0,
        }
    }
}

impl From<FileSink> for FileSettings {
    fn from(file: FileSink) -> Self {
        FileSettings {
            format: file.delivery.format,
            path: file.path,
            rotate_bytes: file.rotate.bytes.0,
            rotate_interval: file.rotate.interval.0,
            compress: file.compress,
            keep_files: file.keep.files as usize,
            keep_bytes: file.keep.bytes.0,
            keep_age: file.keep.age.0,
        }
    }
}
