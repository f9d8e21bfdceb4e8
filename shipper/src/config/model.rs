//! The configuration as it is written: one struct a section, serde and JSON Schema derived from the
//! same fields. The bounds of each value stand here too, as attributes of the schema, so that an
//! editor knows them; `check` holds a file to them.

use std::path::PathBuf;
use std::time::Duration;

use common::limits::ARGV_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Span};

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

/// Value of `format` in the schema by which the check knows the name of a sink.
pub const SINK_NAME_FORMAT: &str = "sink-name";

/// Value of `format` in the schema by which the check knows the path of a file to write.
pub const FILE_PATH_FORMAT: &str = "file-path";

/// What `sink-name` allows, for editors.
const SINK_NAME_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// What `file-path` allows, for editors: not empty, not a directory.
const FILE_PATH_PATTERN: &str = "[^/]$";

/// Configuration of shipper: what is recorded, what is added, where it is delivered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "shipper configuration")]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is recorded, and how.
    #[serde(default)]
    pub capture: Capture,
    /// What is added to each record.
    #[serde(default)]
    pub enrich: Enrich,
    /// Where events are delivered: 1 to 64 sinks, each with its own name.
    #[schemars(length(min = 1, max = SINKS_MAX))]
    pub sinks: Vec<Sink>,
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
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            mode: Mode::Auto,
            ring_buffer_bytes: ByteSize(16 << 20),
            argv_bytes_max: ByteSize(32 << 10),
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

/// Enrichment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Ancestors listed with each exec, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub ancestry_depth_max: u32,
}

impl Default for Enrich {
    fn default() -> Self {
        Enrich { ancestry_depth_max: 16 }
    }
}

/// One sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Sink {
    /// NDJSON files on this machine, rotated.
    File(FileSink),
    /// The terminal or standard output of the daemon.
    Console(ConsoleSink),
}

/// NDJSON files on this machine, rotated.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// Name of the sink in messages and metrics: 1 to 64 letters, digits, `-` or `_`; unique.
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
#[serde(deny_unknown_fields)]
pub struct ConsoleSink {
    /// Name of the sink in messages and metrics: 1 to 64 letters, digits, `-` or `_`; unique.
    #[schemars(extend("format" = SINK_NAME_FORMAT, "pattern" = SINK_NAME_PATTERN))]
    pub name: String,
    /// One line an event for people, or the JSON of the file sink.
    #[serde(default)]
    pub output: ConsoleOutput,
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
