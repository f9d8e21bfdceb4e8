//! The configuration as the daemon uses it: every value there and within its bounds. The only ways
//! to it are `load`, `parse` and `local` of this module's parent, which have checked the document.

use std::path::PathBuf;
use std::time::Duration;

use super::model::{Compress, Config, ConsoleOutput, Mode, Sink};

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is recorded, and how.
    pub capture: CaptureSettings,
    /// What is added to each record.
    pub enrich: EnrichSettings,
    /// Where events are delivered: 1 to 64, with different names, files and terminals.
    pub sinks: Vec<SinkSettings>,
}

/// Capture in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureSettings {
    /// How the kernel is asked.
    pub mode: Mode,
    /// Size of the ring buffer in bytes: a power of two, 64 KiB to 1 GiB.
    pub ring_buffer_bytes: u32,
    /// Most bytes of argv kept for one exec, 256 to `ARGV_BYTES_MAX`.
    pub argv_bytes_max: u32,
}

/// Enrichment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrichSettings {
    /// Ancestors listed with each exec, 1 to 64.
    pub ancestry_depth_max: usize,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkSettings {
    /// NDJSON files on this machine, rotated.
    File {
        /// 1 to 64 of `[A-Za-z0-9_-]`, unique.
        name: String,
        /// The file that is written; its last component is a name.
        path: PathBuf,
        /// Size at which a new file is begun, 4 KiB to 1 TiB.
        rotate_bytes: u64,
        /// Age at which a new file is begun, 1 s to 3650 days.
        rotate_interval: Duration,
        /// Compression of rotated files.
        compress: Compress,
        /// Most rotated files, 0 to 100000.
        keep_files: usize,
        /// Most bytes of all rotated files, 0 to 1 PiB.
        keep_bytes: u64,
        /// Oldest rotated file, 1 s to 36500 days.
        keep_age: Duration,
    },
    /// The terminal or standard output of the daemon.
    Console {
        /// 1 to 64 of `[A-Za-z0-9_-]`, unique.
        name: String,
        /// What it shows.
        output: ConsoleOutput,
    },
}

impl SinkSettings {
    /// The name in messages and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            SinkSettings::File { name, .. } | SinkSettings::Console { name, .. } => name,
        }
    }
}

impl Settings {
    /// Takes over a model whose document was checked.
    pub(super) fn from_checked(config: Config) -> Self {
        let u32_bytes = |size: super::units::ByteSize| {
            u32::try_from(size.0).expect("the schema bounds the size by 1 GiB")
        };
        Settings {
            capture: CaptureSettings {
                mode: config.capture.mode,
                ring_buffer_bytes: u32_bytes(config.capture.ring_buffer_bytes),
                argv_bytes_max: u32_bytes(config.capture.argv_bytes_max),
            },
            enrich: EnrichSettings {
                ancestry_depth_max: config.enrich.ancestry_depth_max as usize,
            },
            sinks: config.sinks.into_iter().map(SinkSettings::from).collect(),
        }
    }
}

impl From<Sink> for SinkSettings {
    fn from(sink: Sink) -> Self {
        match sink {
            Sink::File(file) => SinkSettings::File {
                name: file.name,
                path: file.path,
                rotate_bytes: file.rotate.bytes.0,
                rotate_interval: file.rotate.interval.0,
                compress: file.compress,
                keep_files: file.keep.files as usize,
                keep_bytes: file.keep.bytes.0,
                keep_age: file.keep.age.0,
            },
            Sink::Console(console) => {
                SinkSettings::Console { name: console.name, output: console.output }
            }
        }
    }
}
