//! Sinks and their lines, from the settings.

use std::path::Path;

use super::PipelineError;
use crate::config::model::{Compression, Fsync, WhenFull};
use crate::config::settings::{SinkKind, SinkSettings, SpoolSettings};
use crate::config::units::FreeSpace;
use crate::deliver::Line;
use crate::sink::Sink;
use crate::sink::console::ConsoleSink;
use crate::sink::elasticsearch::ElasticsearchSink;
use crate::sink::file::{FileSink, Housekeeper};
use crate::sink::http::HttpSink;
use crate::sink::kafka::KafkaSink;
use crate::sink::splunk_hec::SplunkHecSink;
use crate::spool::{self, Spool};

/// A sink with its line from the spool.
pub struct OpenSink {
    /// To be run as a task.
    pub line: Line,
    /// To be run on a thread, for a file sink.
    pub housekeeper: Option<Housekeeper>,
}

/// How the spool is kept.
#[must_use]
pub fn spool_options(settings: &SpoolSettings) -> spool::Options {
    spool::Options {
        dir: settings.dir.clone(),
        bytes_max: settings.bytes_max,
        disk_free_min: match settings.disk_free_min {
            FreeSpace::Bytes(bytes) => spool::FreeMin::Bytes(bytes),
            FreeSpace::Percent(percent) => spool::FreeMin::Percent(f64::from(percent)),
        },
        when_full: match settings.when_full {
            WhenFull::Block => spool::WhenFull::Block,
            WhenFull::DropNewest => spool::WhenFull::DropNewest,
            WhenFull::DropOldest => spool::WhenFull::DropOldest,
        },
        fsync: match settings.fsync {
            Fsync::Interval(interval) => spool::Fsync::Interval(interval.0),
            Fsync::Always => spool::Fsync::Always,
            Fsync::Never => spool::Fsync::Never,
        },
        compression: match settings.compression {
            Compression::None => spool::Compression::None,
            Compression::Lz4 => spool::Compression::Lz4,
            Compression::Zstd => spool::Compression::Zstd,
        },
        segment_bytes: spool::Options::segment_bytes_for(settings.bytes_max),
    }
}

/// Opens a sink, so that what is wrong with it is known at start.
pub fn open(
    settings: &SinkSettings,
    spool: &Spool,
    spool_dir: &Path,
) -> Result<OpenSink, PipelineError> {
    let name = settings.name.clone();
    let (sink, housekeeper): (Box<dyn Sink>, _) = match &settings.kind {
        SinkKind::File(file) => {
            let (sink, housekeeper) = FileSink::new(file.clone());
            sink.open().map_err(|error| refused(&name, error))?;
            (Box::new(sink), Some(housekeeper))
        }
        SinkKind::Console(output) => (Box::new(ConsoleSink::new(*output)), None),
        SinkKind::Kafka(kafka) => {
            let sink = KafkaSink::new(kafka, &settings.delivery);
            (Box::new(sink.map_err(|error| refused(&name, error))?), None)
        }
        SinkKind::Http(http) => {
            let sink = HttpSink::new(http).map_err(|error| refused(&name, error))?;
            (Box::new(sink), None)
        }
        SinkKind::Elasticsearch(elasticsearch) => {
            let sink = ElasticsearchSink::new(elasticsearch);
            (Box::new(sink.map_err(|error| refused(&name, error))?), None)
        }
        SinkKind::SplunkHec(splunk) => {
            let sink = SplunkHecSink::new(splunk).map_err(|error| refused(&name, error))?;
            (Box::new(sink), None)
        }
    };
    let (reader, cursor) = spool.cursor(&name)?;
    let line = Line {
        status_dir: Some(spool_dir.to_owned()),
        replay: spool.replay(&name)?,
        quarantine: spool.quarantine(&name, settings.delivery.quarantine_bytes_max)?,
        name,
        sink,
        reader,
        cursor,
        settings: settings.delivery.clone(),
    };
    Ok(OpenSink { line, housekeeper })
}

fn refused(name: &str, source: impl std::error::Error + Send + Sync + 'static) -> PipelineError {
    PipelineError::Sink { name: name.to_owned(), source: Box::new(source) }
}
