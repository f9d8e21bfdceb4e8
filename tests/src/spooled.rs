//! Made-up events in a spool of one sink, and the line of the daemon from there to that sink: what is
//! tested of delivery without capture.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shipper::config;
use shipper::config::settings::DeliverySettings;
use shipper::deliver::Line;
use shipper::event::codec::{self, Decoder};
use shipper::event::{Event, Host, Id, Loss, LossKind, LossStage, WallTime};
use shipper::sink::Sink;
use shipper::spool::disk::{Disk, RealDisk};
use shipper::spool::inspect::{self, Piece};
use shipper::spool::requeue::{self, Place};
use shipper::spool::{
    self, Compression, Entry, FreeMin, Fsync, Now, Options, Spool, WhenFull, Wrote,
    quarantine_directory,
};
use tempfile::TempDir;

/// The name of the sink.
const SINK: &str = "siem";

/// Far more than any test has.
const BYTES_MAX: u64 = 1 << 30;

const NOW: Now = Now { monotonic: Duration::ZERO, wall_ns: 0 };

/// A spool that nothing is added to any more.
pub struct Spooled {
    dir: TempDir,
    /// Ids of its events, in their order.
    pub ids: Vec<String>,
}

/// An event that was put aside.
pub struct Aside {
    /// Number of its record; the first has 1.
    pub number: u64,
    /// What the sink said.
    pub reason: String,
    /// Id of the event.
    pub id: String,
}

impl Spooled {
    /// With these events in it.
    pub fn new(events: &[Event]) -> anyhow::Result<Spooled> {
        let dir = tempfile::Builder::new().prefix("shipper-spooled-").tempdir()?;
        let (mut writer, _spool) = spool::open(options(&dir), Arc::new(RealDisk), &[SINK.into()])?;
        let mut record = Vec::new();
        for (place, event) in (1..).zip(events) {
            record.clear();
            codec::encode(event, &mut record);
            writer.append(&record);
            if writer.is_block_full() || place == events.len() {
                let wrote = writer.write(&[], NOW);
                ensure!(matches!(wrote, Wrote::Done), "the spool is full: {wrote:?}");
            }
        }
        writer.close(NOW)?;
        Ok(Spooled { dir, ids: events.iter().map(id).collect() })
    }

    /// With so many small events in it, each with an id of its own.
    pub fn numbered(count: u64) -> anyhow::Result<Spooled> {
        Spooled::new(&(0..count).map(event).collect::<Vec<_>>())
    }

    fn open(&self) -> anyhow::Result<Spool> {
        let (writer, spool) = spool::open(options(&self.dir), Arc::new(RealDisk), &[SINK.into()])?;
        writer.close(NOW)?;
        Ok(spool)
    }

    /// The line to this sink, from where the last one ended: one life of a daemon. It ends when all is
    /// delivered.
    pub fn line(&self, sink: Box<dyn Sink>, settings: DeliverySettings) -> anyhow::Result<Line> {
        let spool = self.open()?;
        let (reader, cursor) = spool.cursor(SINK)?;
        Ok(Line {
            name: SINK.to_owned(),
            sink,
            reader,
            cursor,
            replay: spool.replay(SINK)?,
            quarantine: spool.quarantine(SINK, settings.quarantine_bytes_max)?,
            settings,
            status_dir: Some(self.dir.path().to_owned()),
        })
    }

    /// The events that count as delivered or put aside: those before the cursor.
    pub fn done_with(&self) -> anyhow::Result<&[String]> {
        let next = self.open()?.cursor(SINK)?.0.position();
        // The first record has the number 1.
        Ok(&self.ids[..usize::try_from(next - 1)?])
    }

    /// Has the next line begin with the first event again.
    pub fn rewind(&self) -> anyhow::Result<()> {
        requeue::set_cursor(&RealDisk, self.dir.path(), SINK, Place::Number(1))?;
        Ok(())
    }

    /// What the sink counted, by the last delivery.
    pub fn figure(&self, name: &str) -> anyhow::Result<u64> {
        let path = self.dir.path().join("status").join(format!("{SINK}.json"));
        let status: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        status["figures"][name].as_u64().context("a figure")
    }

    /// The events that were put aside.
    pub fn quarantined(&self) -> anyhow::Result<Vec<Aside>> {
        let dir = quarantine_directory(self.dir.path(), SINK);
        let mut found = Vec::new();
        if !dir.exists() {
            return Ok(found);
        }
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        for piece in inspect::walk(&disk, &dir, 0)? {
            let Piece::Block { block, .. } = piece? else { continue };
            for (_, record) in block.records() {
                let entry = Entry::decode(record).context("an entry")?;
                found.push(Aside {
                    number: entry.number,
                    reason: entry.reason.to_owned(),
                    id: id(&Decoder::new().decode(entry.payload)?),
                });
            }
        }
        Ok(found)
    }
}

fn options(dir: &TempDir) -> Options {
    Options {
        dir: dir.path().to_owned(),
        bytes_max: BYTES_MAX,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync: Fsync::Never,
        compression: Compression::Lz4,
        segment_bytes: Options::segment_bytes_for(BYTES_MAX),
    }
}

/// What a daemon delivers with unless told otherwise.
pub fn delivery() -> anyhow::Result<DeliverySettings> {
    let settings = config::parse("test", "sinks: [{ name: a, type: file, path: /nowhere/a }]")?;
    Ok(settings.sinks.into_iter().next().context("the sink")?.delivery)
}

/// The id of an event as a sink sends it.
fn id(event: &Event) -> String {
    String::from_utf8_lossy(&event.id().hex()).into_owned()
}

fn event(number: u64) -> Event {
    Event::Loss(Loss {
        id: Id((u128::from(number) << 64 | 0x5eed).to_be_bytes()),
        time: WallTime(1_795_500_000_000_000_000 + number),
        host: Arc::new(Host { name: "helsinki".to_owned(), ..Host::default() }),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        cgroup: None,
        rule: None,
        count: number + 1,
        first: WallTime(0),
        last: WallTime(0),
    })
}
