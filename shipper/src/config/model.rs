//! The configuration as it is written: one struct a section, serde and JSON Schema derived from the
//! same fields. The bounds of each value stand here too, as attributes of the schema, so that an
//! editor knows them; `check` holds a file to them.

mod enforce;
mod enrich;
mod environment;
mod exclude;
mod redact;
mod rules;

use std::path::PathBuf;
use std::time::Duration;

use common::limits::ARGV_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::model::{ElasticsearchSink, HttpSink, SplunkHecSink};
use super::kafka::model::KafkaSink;
use super::units::{ByteSize, FreeSpace, Span};
use crate::format::Format;
use crate::rules::EXPRESSION_BYTES_MAX;
pub use enforce::{
    Deny, Enforce, Except, PATH_PREFIX_FORMAT, RULE_ID_FORMAT, Rule, Uid, WithoutDaemon,
};
pub use enrich::{ContainerDirs, Directory, Enrich, HashKind};
pub use environment::{ENV_NAMES_MAX, RECORDED_VARIABLE_FORMAT, Variable, is_recorded_variable};
pub(super) use exclude::{
    CGROUP_PATH_EXPECTED, CGROUP_PATH_FORMAT, PROGRAM_PATH_EXPECTED, PROGRAM_PATH_FORMAT,
    UIDS_EXPECTED, UIDS_FORMAT, is_cgroup_path,
};
pub use exclude::{Exclude, NamespaceRule, RateLimitPerCgroup, Uids};
pub use redact::{KIND_NAME_FORMAT, Pattern, REGEX_BYTES_MAX, REGEX_FORMAT, Redact};
pub use rules::{
    DedupRule, EXPRESSION_FORMAT, EventRule, FIELD_VALUE_FORMAT, FieldValue, Grade,
    PROSE_BYTES_MAX, PROSE_FORMAT, RULES_MAX, RULES_PATH_FORMAT, RULES_PATHS_MAX, RuleTest,
    RulesFile, RulesPath, TAG_FORMAT,
};

/// Least ring buffer: one record with the longest argv must fit with room for the next.
const RING_BUFFER_BYTES_MIN: u64 = 64 << 10;

/// Largest ring buffer: the kernel pins all of it.
const RING_BUFFER_BYTES_MAX: u64 = 1 << 30;

/// Least argv: shorter and the name of the program itself would often be cut.
const ARGV_BYTES_MIN: u32 = 256;

/// Most sinks: each costs a task and, for files, a descriptor.
const SINKS_MAX: usize = 64;

/// Least size of a file before rotation: smaller and every event would begin a new one.
const ROTATE_BYTES_MIN: u64 = 4 << 10;

/// Most of one file: no file system in use holds less.
const ROTATE_BYTES_MAX: u64 = 1 << 40;

/// Most of all rotated files together: beyond any disk, and still far from overflow.
const KEEP_BYTES_MAX: u64 = 1 << 50;

/// Most rotated files: the directory is listed at each rotation.
const KEEP_FILES_MAX: u32 = 100_000;

/// Least spool: a few segments, so that one can go while another is written.
const SPOOL_BYTES_MIN: u64 = 16 << 20;

/// Most of the spool: beyond any disk, and still far from overflow.
const SPOOL_BYTES_MAX: u64 = 1 << 50;

/// Most events of a batch: a batch is in memory as a whole.
pub(super) const BATCH_EVENTS_MAX: u32 = 100_000;

/// Least bytes of a batch: some events are larger, and then are a batch of their own.
pub(super) const BATCH_BYTES_MIN: u64 = 1 << 10;

/// Most bytes of a batch: a batch is in memory as a whole.
pub(super) const BATCH_BYTES_MAX: u64 = 64 << 20;

/// Least quarantine: less would hold up the sink at the first refused event.
const QUARANTINE_BYTES_MIN: u64 = 64 << 10;

/// Most of the quarantine of one sink.
const QUARANTINE_BYTES_MAX: u64 = 1 << 40;

/// Value of `format` in the schema by which the check knows the name of a sink.
pub const SINK_NAME_FORMAT: &str = "sink-name";

/// Value of `format` in the schema by which the check knows the path of a file to write.
pub const FILE_PATH_FORMAT: &str = "file-path";

/// Value of `format` in the schema by which the check knows the path of a directory.
pub const DIRECTORY_PATH_FORMAT: &str = "directory-path";

/// What `sink-name` allows, for editors.
pub(super) const SINK_NAME_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// What `file-path` allows, for editors: not empty, not a directory.
pub(super) const FILE_PATH_PATTERN: &str = "[^/]$";

/// What `directory-path` allows, for editors: not empty.
const DIRECTORY_PATH_PATTERN: &str = ".";

/// Where the spool is unless the configuration says otherwise.
pub(super) const SPOOL_DIR_DEFAULT: &str = "/var/lib/shipper/spool";

/// Configuration of shipper: what is recorded, what is added, where it is delivered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "shipper configuration")]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is recorded, and how.
    #[serde(default)]
    pub capture: Capture,
    /// What is not executed.
    #[serde(default)]
    pub enforce: Enforce,
    /// What is said of events: rules, at most 512, beside those of `rules_files`.
    #[serde(default)]
    #[schemars(length(max = RULES_MAX))]
    pub rules: Vec<EventRule>,
    /// More rules: files, or directories whose `*.yaml` and `*.yml` are taken in the order of their
    /// names; at most 64. A relative path counts from the directory in which shipper is started.
    #[serde(default)]
    #[schemars(length(max = RULES_PATHS_MAX))]
    pub rules_files: Vec<RulesPath>,
    /// What is added to each record.
    #[serde(default)]
    pub enrich: Enrich,
    /// Secrets that are taken out of arguments and variables before anything is stored.
    #[serde(default)]
    pub redact: Redact,
    /// Where events are kept on disk until every sink has them.
    #[serde(default)]
    pub spool: Spool,
    /// How long sinks may take to deliver the rest when the daemon stops, 100ms to 1h. What is left
    /// then stays in the spool for the next start.
    #[serde(default = "shutdown_timeout")]
    #[schemars(extend("x-minimum" = "100ms", "x-maximum" = "1h"))]
    pub shutdown_timeout: Span,
    /// Where events are delivered: 1 to 64 sinks, each with its own name.
    #[schemars(length(min = 1, max = SINKS_MAX))]
    pub sinks: Vec<Sink>,
}

fn shutdown_timeout() -> Span {
    Span(Duration::from_secs(5))
}

/// Capture in the kernel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// How the kernel is asked. `auto` takes the best mode that is proven to work here.
    pub mode: Mode,
    /// Size of the ring buffer between kernel and daemon: a power of two, 64KiB to 1GiB. It covers
    /// bursts; when it is full, records are lost and counted.
    #[schemars(range(min = RING_BUFFER_BYTES_MIN, max = RING_BUFFER_BYTES_MAX), extend("x-power-of-two" = true))]
    pub ring_buffer_bytes: ByteSize,
    /// Most bytes of the arguments kept for one exec, 256 to 64KiB. Longer ones are cut and marked.
    #[schemars(range(min = ARGV_BYTES_MIN, max = ARGV_BYTES_MAX))]
    pub argv_bytes_max: ByteSize,
    /// Environment variables recorded with each exec, by name, at most 32. The others of a process are
    /// forgotten before an event is made of it. Those of an attempt that fails are not known.
    #[schemars(length(max = ENV_NAMES_MAX))]
    pub env: Vec<Variable>,
    /// Whether the end of each process is an event as well: its exit status or the signal that ended
    /// it, and how long it ran. About as many events as executions come on top.
    pub exit: bool,
    /// Which executions that fail are recorded too. Seen in the modes `lsm` and `fentry`; in `tracepoint`
    /// only with `syscall_tracepoints`.
    pub failures: Failures,
    /// In mode `tracepoint`, see executions fail by the tracepoints of the system calls. They put every
    /// system call of every process on a slower path. The other modes need and use none.
    pub syscall_tracepoints: bool,
    /// What is not recorded.
    pub exclude: Exclude,
    /// Most that one cgroup may execute. Left out: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RateLimitPerCgroup")]
    pub rate_limit_per_cgroup: Option<RateLimitPerCgroup>,
    /// Programs and ring buffer stay in the kernel while the daemon is not running, so that it finds
    /// what was executed meanwhile when it starts again. `shipper unpin` removes them.
    pub pin: bool,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            mode: Mode::Auto,
            ring_buffer_bytes: ByteSize(16 << 20),
            argv_bytes_max: ByteSize(32 << 10),
            env: Vec::new(),
            exit: false,
            failures: Failures::Denied,
            syscall_tracepoints: false,
            exclude: Exclude::default(),
            rate_limit_per_cgroup: None,
            pin: false,
        }
    }
}

/// Capture modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The best of the others that a test exec proves.
    Auto,
    /// LSM hook: needs `bpf` among the active security modules.
    Lsm,
    /// fentry on the security function: needs BTF and trampolines.
    Fentry,
    /// Raw tracepoints alone.
    Tracepoint,
}

/// Which executions that fail are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Failures {
    /// Those that are refused, by whatever: all but those whose file is not there.
    Denied,
    /// All. A shell that looks for a command tries each directory of PATH.
    All,
    /// None.
    None,
}

/// The log on disk between capture and the sinks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Its directory; it is made when missing. One daemon has it to itself. A relative path counts
    /// from the directory in which shipper is started.
    #[schemars(extend("format" = DIRECTORY_PATH_FORMAT, "pattern" = DIRECTORY_PATH_PATTERN))]
    pub dir: PathBuf,
    /// Most bytes it takes on disk, 16MiB to 1024TiB; quarantines are not counted.
    #[schemars(range(min = SPOOL_BYTES_MIN, max = SPOOL_BYTES_MAX))]
    pub bytes_max: ByteSize,
    /// Free space it leaves on its file system: a percentage of it up to 90%, or a size.
    pub disk_free_min: FreeSpace,
    /// What happens when a limit is reached. Each loss is counted and reported as an event.
    pub when_full: WhenFull,
    /// When events are made durable; sinks are given what is.
    pub fsync: Fsync,
    /// Compression of the events in it.
    pub compression: Compression,
}

impl Default for Spool {
    fn default() -> Self {
        Spool {
            dir: PathBuf::from(SPOOL_DIR_DEFAULT),
            bytes_max: ByteSize(4 << 30),
            disk_free_min: FreeSpace::Percent(5),
            when_full: WhenFull::DropNewest,
            fsync: Fsync::Interval(Span(Duration::from_millis(20))),
            compression: Compression::Lz4,
        }
    }
}

/// What happens when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The ring buffer is not read until there is room; it fills, and the kernel counts what is
    /// lost.
    Block,
    /// New events are dropped.
    DropNewest,
    /// The oldest events go, also those that a sink has not got.
    DropOldest,
}

/// When events in the spool are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// With every write.
    Always,
    /// When the system does it: a loss of power may take the last half minute. A crash of the
    /// daemon loses nothing.
    Never,
    /// Together, this long after the first of them, 1ms to 60s.
    Interval(#[schemars(extend("x-minimum" = "1ms", "x-maximum" = "60s"))] Span),
}

/// Compression of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are.
    None,
    /// Fast.
    Lz4,
    /// Smaller, for more CPU time.
    Zstd,
}

/// One sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Sink {
    /// NDJSON files on this machine, rotated.
    File(FileSink),
    /// The terminal or standard output of the daemon.
    Console(ConsoleSink),
    /// A topic of Apache Kafka.
    Kafka(Box<KafkaSink>),
    /// Any HTTP collector that takes lines or arrays of JSON.
    Http(Box<HttpSink>),
    /// Elasticsearch or OpenSearch.
    Elasticsearch(Box<ElasticsearchSink>),
    /// Splunk's HTTP event collector.
    SplunkHec(Box<SplunkHecSink>),
}

/// What every sink has beside its name. It is flattened into each, which serde cannot do and refuse unknown keys: the
/// schema refuses them, by which each document is checked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Delivery {
    /// How each event is written: `ecs` (Elastic Common Schema), `ocsf`, `cim` (Splunk), or `native`,
    /// shipper's own words. Elasticsearch takes `ecs` alone.
    #[serde(default)]
    pub format: Format,
    /// How events are put together.
    #[serde(default)]
    pub batch: Batch,
    /// Pauses between attempts; there is no last attempt.
    #[serde(default)]
    pub retry: Retry,
    /// Which events it gets: an expression as in `rules`, which may also ask for `severity`, `rules` and
    /// `tags` of what matched. Left out: all. Reports of what was lost or left out always pass.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = EXPRESSION_FORMAT, "maxLength" = EXPRESSION_BYTES_MAX))]
    pub when: Option<String>,
    /// Where events go that the sink refuses for good.
    #[serde(default)]
    pub quarantine: Quarantine,
}

/// Batches: whichever limit comes first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Most events, 1 to 100000.
    #[schemars(range(min = 1, max = BATCH_EVENTS_MAX))]
    pub events: u32,
    /// Most bytes as they are sent, before compression, 1KiB to 64MiB. Left out: 1MiB, and 900000
    /// for splunk_hec, since Splunk Cloud takes 1 MB at once. A larger event is a batch of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ByteSize", range(min = BATCH_BYTES_MIN, max = BATCH_BYTES_MAX))]
    pub bytes: Option<ByteSize>,
    /// How long an event may wait for others, at most 60s.
    #[schemars(extend("x-maximum" = "60s"))]
    pub linger: Span,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { events: 1000, bytes: None, linger: Span(Duration::from_millis(50)) }
    }
}

/// Pauses between attempts. Each is random, up to a limit that doubles.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The limit of the first pause, 10ms to 1h.
    #[schemars(extend("x-minimum" = "10ms", "x-maximum" = "1h"))]
    pub initial: Span,
    /// Where the limit no longer grows, 10ms to 1h, not below `initial`.
    #[schemars(extend("x-minimum" = "10ms", "x-maximum" = "1h"))]
    pub max: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { initial: Span(Duration::from_millis(500)), max: Span(Duration::from_secs(60)) }
    }
}

/// Events that a sink refuses for good are kept beside the spool, to be looked at and delivered again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quarantine {
    /// Most bytes, 64KiB to 1TiB. A full quarantine holds up the sink.
    #[schemars(range(min = QUARANTINE_BYTES_MIN, max = QUARANTINE_BYTES_MAX))]
    pub bytes_max: ByteSize,
}

impl Default for Quarantine {
    fn default() -> Self {
        Quarantine { bytes_max: ByteSize(64 << 20) }
    }
}

/// NDJSON files on this machine, rotated.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// The file that is written; no other sink has the same. Rotated ones stand beside it. A
    /// relative path counts from the directory in which shipper is started.
    #[schemars(extend("format" = FILE_PATH_FORMAT, "pattern" = FILE_PATH_PATTERN))]
    pub path: PathBuf,
    /// When a new file is begun.
    #[serde(default)]
    pub rotate: Rotate,
    /// Compression of rotated files.
    #[serde(default)]
    pub compress: Compress,
    /// How much is kept of the rotated files. The oldest goes first.
    #[serde(default)]
    pub keep: Keep,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// Rotation: whichever comes first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// Size of the file, 4KiB to 1TiB.
    #[schemars(range(min = ROTATE_BYTES_MIN, max = ROTATE_BYTES_MAX))]
    pub bytes: ByteSize,
    /// Age of the file, 1s to 3650d.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "3650d"))]
    pub interval: Span,
}

impl Default for Rotate {
    fn default() -> Self {
        Rotate { bytes: ByteSize(100 << 20), interval: Span(Duration::from_secs(24 * 3600)) }
    }
}

/// Compression of rotated files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// gzip, `.gz` appended to the name.
    #[default]
    Gzip,
    /// As they are.
    None,
}

/// Retention of rotated files: every limit holds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Number of rotated files, 0 to 100000.
    #[schemars(range(max = KEEP_FILES_MAX))]
    pub files: u32,
    /// Bytes of all rotated files, at most 1024TiB.
    #[schemars(range(max = KEEP_BYTES_MAX))]
    pub bytes: ByteSize,
    /// Age of a rotated file, by its last change, 1s to 36500d.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "36500d"))]
    pub age: Span,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { files: 7, bytes: ByteSize(1 << 30), age: Span(Duration::from_secs(30 * 24 * 3600)) }
    }
}

/// The terminal or standard output of the daemon.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConsoleSink {
    /// Name of the sink in messages, metrics and files: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// One line an event for people, or JSON in the format of `format`.
    #[serde(default)]
    pub output: ConsoleOutput,
    /// What every sink has.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// What the console shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleOutput {
    /// One line an event, coloured on a terminal.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}
