//! How fast the spool takes events, against a bare loop that writes the bytes it wrote, in pieces of
//! the same sizes, with the same syncs, on the same disk, in turn with it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rustix::fs::FallocateFlags;
use serde_json::{Value, json};
use shipper::spool::disk::RealDisk;
use shipper::spool::{
    self, Compression, FreeMin, Fsync, Now, Options, Spool, WhenFull, Writer, Wrote,
};

use super::process;
use super::report::{Aim, Figure};
use super::synthetic::Pool;

/// Records of a round: some hundred MB raw.
const EVENTS: u64 = 300_000;

/// Rounds of each; their medians are compared.
const ROUNDS: usize = 5;

/// As the daemon has it unless told otherwise.
pub const FSYNC: Duration = Duration::from_millis(20);

/// Bytes of the head of a segment and of a block, as the module head of the spool has them.
const HEAD_BYTES: usize = 64;

/// The one sink of a spool that is measured.
pub const SINK: &str = "bench";

/// Measures both, with and without compression.
///
/// # Errors
/// When the directory cannot be used.
pub fn run(dir: &Path, pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), serde_json::Map::new());
    for (compression, names) in [
        (Compression::Lz4, ["spool append", "spool append, of a bare loop", "written, full rate"]),
        (
            Compression::None,
            [
                "spool append, not compressed",
                "spool append, not compressed, of a bare loop",
                "written, full rate, not compressed",
            ],
        ),
    ] {
        eprintln!(
            "{ROUNDS} times {EVENTS} events into a spool ({compression:?}), and a bare loop ..."
        );
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(dir, pool, compression)?);
        }
        let spool = median(rounds.iter().map(|round| round.spool.as_secs_f64()));
        let bare = median(rounds.iter().map(|round| round.bare.as_secs_f64()));
        let Round { file_bytes, written_bytes, payload_bytes, .. } = rounds[0];
        let [rate, ratio, amplification] = names;
        let mb_a_second = |bytes: u64, seconds: f64| bytes as f64 / 1e6 / seconds;
        figures.push(Figure {
            name: rate,
            value: EVENTS as f64 / spool,
            unit: "events/s",
            aim: None,
            how: format!(
                "events of {} bytes ({:.0} MB/s), {:.0} MB/s to the file, synced every 20 ms; median \
                 of {ROUNDS} times {EVENTS} events",
                pool.record_bytes,
                mb_a_second(payload_bytes, spool),
                mb_a_second(file_bytes, spool),
            ),
        });
        figures.push(Figure {
            name: ratio,
            value: 100.0 * bare / spool,
            unit: "%",
            // Compression is not what a bare loop does.
            aim: (compression == Compression::None).then_some(Aim::AtLeast(70.0)),
            how: format!(
                "the loop writes the same blocks at {:.0} MB/s with the same syncs; the two take turns",
                mb_a_second(file_bytes, bare),
            ),
        });
        figures.push(Figure {
            name: amplification,
            value: written_bytes as f64 / payload_bytes as f64,
            unit: "",
            aim: None,
            how: "write_bytes of /proc/self/io while the spool is written, a byte of event"
                .to_owned(),
        });
        details.insert(format!("{compression:?}").to_lowercase(), rounds_json(&rounds));
    }
    Ok((figures, Value::Object(details)))
}

/// One time each.
#[derive(Clone, Copy)]
struct Round {
    spool: Duration,
    bare: Duration,
    /// Of the segments.
    file_bytes: u64,
    /// What the kernel counted as written by this process.
    written_bytes: u64,
    /// Of the events.
    payload_bytes: u64,
}

fn round(dir: &Path, pool: &Pool, compression: Compression) -> anyhow::Result<Round> {
    let dir = tempfile::Builder::new().prefix("append-").tempdir_in(dir)?;
    let options = options(&dir.path().join("spool"), compression, Fsync::Interval(FSYNC));
    let (writer, _spool) = open(options.clone())?;
    let before = process::written(std::process::id())?;
    let begin = Instant::now();
    fill(writer, pool, EVENTS)?;
    let spool = begin.elapsed();
    let written_bytes = process::written(std::process::id())? - before;

    // Read into memory before the time is taken.
    let mut segments = Vec::new();
    for path in segments_of(&options.dir)? {
        segments.push(fs::read(path)?);
    }
    let file_bytes = segments.iter().map(|segment| segment.len() as u64).sum();
    let bare = bare(&dir.path().join("bare"), &segments, options.segment_bytes)?;
    let payload_bytes = (0..EVENTS).map(|number| pool.record(number).len() as u64).sum();
    Ok(Round { spool, bare, file_bytes, written_bytes, payload_bytes })
}

/// A spool in `dir`, with the daemon's sizes.
pub fn options(dir: &Path, compression: Compression, fsync: Fsync) -> Options {
    let bytes_max = 64 << 30;
    Options {
        dir: dir.to_owned(),
        bytes_max,
        disk_free_min: FreeMin::Bytes(1 << 20),
        when_full: WhenFull::Block,
        fsync,
        compression,
        // Of the daemon's default of 4 GiB.
        segment_bytes: Options::segment_bytes_for(4 << 30),
    }
}

/// Opens it for the one sink.
pub fn open(options: Options) -> anyhow::Result<(Writer, Spool)> {
    Ok(spool::open(options, Arc::new(RealDisk), &[SINK.to_owned()])?)
}

/// Appends so many records as fast as the spool takes them, and makes them durable.
pub fn fill(mut writer: Writer, pool: &Pool, events: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    let now = || -> anyhow::Result<Now> {
        let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(Now { monotonic: begun.elapsed(), wall_ns: u64::try_from(wall_ns)? })
    };
    for number in 0..events {
        writer.append(pool.record(number));
        if writer.is_block_full() || number + 1 == events {
            let wrote = writer.write(&[], now()?);
            anyhow::ensure!(matches!(wrote, Wrote::Done), "the spool is full: {wrote:?}");
            writer.tick(now()?);
        }
    }
    Ok(writer.close(now()?)?)
}

/// The segments of a spool, oldest first.
pub fn segments_of(spool: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(spool.join("log"))?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    Ok(paths)
}

/// Writes the segments block by block.
fn bare(dir: &Path, segments: &[Vec<u8>], reserve: u64) -> anyhow::Result<Duration> {
    fs::create_dir(dir)?;
    let mut blocks_of = Vec::new();
    for segment in segments {
        blocks_of.push(blocks(segment).context("a segment that does not add up")?);
    }
    let begin = Instant::now();
    let mut synced = Instant::now();
    for (name, blocks) in blocks_of.iter().enumerate() {
        let file = File::create(dir.join(name.to_string()))?;
        rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, reserve)?;
        let mut at = 0;
        for block in blocks {
            file.write_all_at(block, at)?;
            at += block.len() as u64;
            if synced.elapsed() >= FSYNC {
                file.sync_data()?;
                synced = Instant::now();
            }
        }
        file.set_len(at)?;
        file.sync_data()?;
        synced = Instant::now();
    }
    Ok(begin.elapsed())
}

/// A segment cut into its head and its blocks.
pub fn blocks(segment: &[u8]) -> Option<Vec<&[u8]>> {
    let (head, mut rest) = segment.split_at_checked(HEAD_BYTES)?;
    let mut blocks = vec![head];
    while !rest.is_empty() {
        let stored = u32::from_le_bytes(rest.get(20..24)?.try_into().ok()?) as usize;
        let (block, after) = rest.split_at_checked(HEAD_BYTES + usize::from(rest[13]) + stored)?;
        blocks.push(block);
        rest = after;
    }
    Some(blocks)
}

/// The value in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn rounds_json(rounds: &[Round]) -> Value {
    let round = |round: &Round| {
        json!({
            "spool_ms": round.spool.as_millis() as u64,
            "bare_ms": round.bare.as_millis() as u64,
            "file_bytes": round.file_bytes,
            "written_bytes": round.written_bytes,
            "payload_bytes": round.payload_bytes,
        })
    };
    rounds.iter().map(round).collect()
}
