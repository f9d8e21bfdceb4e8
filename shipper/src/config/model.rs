//! The configuration as it is written: one struct a section, serde and JSON Schema derived from the
//! same fields. Values that need more than their type are checked in `settings`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The whole file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is recorded, and how.
    #[serde(default)]
    pub capture: Capture,
    /// What is added to each record.
    #[serde(default)]
    pub enrich: Enrich,
    /// Where events are delivered. At least one.
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
    pub ring_buffer_bytes: ByteSize,
    /// Most bytes of the arguments kept for one exec, 256 to 64KiB. Longer ones are cut and marked.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// Name of the sink in messages and metrics: letters, digits, `-` and `_`; unique.
    pub name: String,
    /// The file that is written. Rotated ones stand beside it.
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
    /// Size of the file, at least 4KiB.
    pub bytes: ByteSize,
    /// Age of the file, at least 1s.
    pub interval: Span,
}

impl Default for Rotate {
    fn default() -> Self {
        Rotate { bytes: ByteSize(100 << 20), interval: Span(Duration::from_secs(24 * 3600)) }
    }
}

/// Compression of rotated files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
    pub files: u32,
    /// Bytes of all rotated files.
    pub bytes: ByteSize,
    /// Age of a rotated file, by its last change.
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
    /// Name of the sink in messages and metrics: letters, digits, `-` and `_`; unique.
    pub name: String,
    /// One line an event for people, or the JSON of the file sink.
    #[serde(default)]
    pub output: ConsoleOutput,
}

/// What the console shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleOutput {
    /// One line an event, coloured on a terminal.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// A number of bytes: `4096`, `64KiB`, `100MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time: `500ms`, `20s`, `24h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);
