//! Made-up events in a spool, delivered by the line of the daemon.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shipper::config;
use shipper::config::settings::{DeliverySettings, ElasticsearchSettings, SinkKind};
use shipper::deliver::{Control, Delivered};
use shipper::event::Event;
use shipper::event::codec::{self, Decoder};
use shipper::sink::elasticsearch::ElasticsearchSink;
use shipper::sink::{Batch, Item, Outcome, Sink as _};
use shipper::spool::disk::{Disk, RealDisk};
use shipper::spool::inspect::{self, Piece};
use shipper::spool::requeue::{self, Place};
use shipper::spool::{Compression, Entry, Fsync, Now, Wrote, quarantine_directory};
use shipper_tests::bench::append::{SINK, open, options};
use shipper_tests::bench::drain::line;
use shipper_tests::bench::synthetic::Pool;
use tokio::sync::watch;

/// So many events of a pool.
pub fn events(count: u64) -> anyhow::Result<Vec<Event>> {
    let pool = Pool::new(0);
    let mut decoder = Decoder::new();
    let decoded = (0..count).map(|number| Ok(decoder.decode(pool.record(number))?));
    decoded.collect()
}

/// The YAML of a sink `siem` that is quick to try again, with these further lines.
pub fn yaml(url: &str, data_stream: &str, more: &str) -> String {
    format!(
        "  - name: siem\n    type: elasticsearch\n    urls: [\"{url}\"]\n    \
         data_stream: {data_stream}\n    retry: {{ initial: 50ms, max: 500ms }}\n{more}"
    )
}

/// The settings of such a sink.
pub fn settings(
    url: &str,
    data_stream: &str,
    more: &str,
) -> anyhow::Result<(ElasticsearchSettings, DeliverySettings)> {
    let yaml = format!("sinks:\n{}", yaml(url, data_stream, more));
    let sink = config::parse("test", &yaml)?.sinks.into_iter().next().context("a sink")?;
    let SinkKind::Elasticsearch(settings) = sink.kind else { anyhow::bail!("another sink") };
    Ok((*settings, sink.delivery))
}

/// A spool of one sink.
pub struct Spooled {
    dir: tempfile::TempDir,
    count: usize,
}

impl Spooled {
    /// With these events in it.
    pub fn new(events: &[Event]) -> anyhow::Result<Spooled> {
        let dir = tempfile::tempdir()?;
        let (mut writer, _spool) = open(options(dir.path(), Compression::Lz4, Fsync::Never))?;
        let begun = Instant::now();
        let now = || -> anyhow::Result<Now> {
            let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
            Ok(Now { monotonic: begun.elapsed(), wall_ns: u64::try_from(wall_ns)? })
        };
        let mut record = Vec::new();
        for event in events {
            record.clear();
            codec::encode(event, &mut record);
            writer.append(&record);
            if writer.is_block_full() {
                ensure!(matches!(writer.write(&[], now()?), Wrote::Done), "the spool is full");
            }
        }
        ensure!(matches!(writer.write(&[], now()?), Wrote::Done), "the spool is full");
        writer.close(now()?)?;
        Ok(Spooled { dir, count: events.len() })
    }

    /// Delivers all that is there.
    pub fn deliver(
        &self,
        settings: &ElasticsearchSettings,
        delivery: &DeliverySettings,
    ) -> anyhow::Result<Delivered> {
        let (writer, spool) = open(options(self.dir.path(), Compression::Lz4, Fsync::Never))?;
        writer.close(Now { monotonic: Duration::ZERO, wall_ns: 0 })?;
        let sink = ElasticsearchSink::new(settings)?;
        let dir = self.dir.path().to_owned();
        let line = line(&spool, SINK, Box::new(sink), delivery.clone(), dir)?;
        let (_control, watched) = watch::channel(Control::default());
        let runtime = tokio::runtime::Runtime::new()?;
        let delivered = runtime.block_on(async { runtime.spawn(line.run(watched)).await })?;
        ensure!(delivered.complete, "not all went through: {delivered:?}");
        ensure!(delivered.sent + delivered.quarantined == self.count as u64, "{delivered:?}");
        Ok(delivered)
    }

    /// What the sink counted, by the last delivery.
    pub fn figure(&self, name: &str) -> anyhow::Result<u64> {
        let path = self.dir.path().join("status").join(format!("{SINK}.json"));
        let status: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        status["figures"][name].as_u64().context("a figure")
    }

    /// Has the next delivery begin with the first event again.
    pub fn rewind(&self) -> anyhow::Result<()> {
        requeue::set_cursor(&RealDisk, self.dir.path(), SINK, Place::Number(1))?;
        Ok(())
    }

    /// Number and reason of each event that was put aside.
    pub fn quarantined(&self) -> anyhow::Result<Vec<(u64, String)>> {
        let dir = quarantine_directory(self.dir.path(), SINK);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let mut found = Vec::new();
        for piece in inspect::walk(&disk, &dir, 0)? {
            let Piece::Block { block, .. } = piece? else { continue };
            for (_, record) in block.records() {
                let entry = Entry::decode(record).context("an entry")?;
                found.push((entry.number, entry.reason.to_owned()));
            }
        }
        Ok(found)
    }
}

/// One batch of these events.
pub fn send(settings: &ElasticsearchSettings, events: &[Event]) -> anyhow::Result<Outcome> {
    let sink = ElasticsearchSink::new(settings)?;
    let (mut buffer, mut items) = (Vec::new(), Vec::new());
    for (number, event) in (1..).zip(events) {
        let start = buffer.len();
        sink.encode(event, &mut buffer);
        items.push(Item { id: event.id(), number, start, end: buffer.len() });
    }
    let runtime = tokio::runtime::Runtime::new()?;
    Ok(runtime.block_on(sink.send(Batch::new(&buffer, &items))))
}
