//! `shipper spool status`: how full the spool is, and how far each sink has got.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::{Place, WhereArgs, show, text};
use crate::config::units::FreeSpace;
use crate::deliver::status::{self as delivery, State};
use crate::event::LossStage;
use crate::spool::inspect::{self, CursorStatus, EntriesStatus, Rate};
use crate::spool::{self};

/// Over which time the rate is taken.
const RATE_WINDOW_NS: u64 = 60_000_000_000;

/// Show how full the spool is, and how far each sink has got.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    place: WhereArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A spool as JSON shows it. Times are nanoseconds since 1970.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) dir: String,
    /// The daemon that has it, if one runs.
    pub(super) pid: Option<u32>,
    /// In the log.
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Unless only a directory was named, as all limits.
    pub(super) bytes_max: Option<u64>,
    pub(super) segments: usize,
    /// Segments whose head is damaged.
    pub(super) segments_damaged: usize,
    pub(super) disk_free_bytes: u64,
    pub(super) disk_total_bytes: u64,
    pub(super) disk_free_bytes_min: Option<u64>,
    pub(super) oldest_unix_ns: Option<u64>,
    pub(super) newest_unix_ns: Option<u64>,
    pub(super) events_per_second: f64,
    pub(super) bytes_per_second: f64,
    /// Until a limit is reached, if nothing is delivered. Absent when nothing comes in.
    pub(super) full_in_seconds: Option<u64>,
    /// Losses that are not yet in the stream.
    pub(super) losses: Vec<LossReport>,
    pub(super) sinks: Vec<SinkReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct LossReport {
    pub(super) stage: &'static str,
    pub(super) sink: Option<String>,
    pub(super) count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct SinkReport {
    pub(super) name: String,
    /// False for one that is not in the configuration any more: nothing is kept for it.
    pub(super) configured: bool,
    /// Absent while the daemon does not run.
    pub(super) state: Option<&'static str>,
    /// Number of the next event it gets; absent before it ran for the first time.
    pub(super) next: Option<u64>,
    pub(super) lag_events: u64,
    pub(super) lag_bytes: u64,
    /// Since when the oldest event waits that it has not got.
    pub(super) lag_seconds: Option<u64>,
    pub(super) last_success_unix_ns: Option<u64>,
    pub(super) last_error: Option<String>,
    pub(super) last_error_unix_ns: Option<u64>,
    pub(super) quarantined_events: u64,
    pub(super) quarantined_bytes: u64,
    /// Requeued, to be delivered first after the next start.
    pub(super) requeued_events: u64,
    /// What its client library counted last; names end in their units.
    pub(super) figures: std::collections::BTreeMap<String, u64>,
}

/// Looks and prints.
pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let report = examine(&args.place.open()?, now)?;
    if args.json {
        return super::super::print(&format!("{}\n", serde_json::to_string_pretty(&report)?));
    }
    let text = text::status(&report, now, &jiff::tz::TimeZone::system());
    let mut stdout = anstream::stdout();
    // A reader that has gone away wants nothing more.
    let _ = std::io::Write::write_all(&mut stdout, text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn examine(place: &Place, now: Timestamp) -> anyhow::Result<Report> {
    let spool = inspect::status(&*place.disk, &place.dir)?;
    let rate = inspect::rate(&*place.disk, &place.dir, RATE_WINDOW_NS)?;
    let settings = place.settings.as_ref();
    let bytes_max = settings.map(|settings| settings.spool.bytes_max);
    let free_min = settings.map(|settings| match settings.spool.disk_free_min {
        FreeSpace::Bytes(bytes) => bytes,
        FreeSpace::Percent(percent) => spool.space.total / 100 * u64::from(percent),
    });
    let (oldest, newest) = spool.written_wall_ns.unzip();
    let per_second = PerSecond::new(rate, oldest, newest, now);
    let room = [
        bytes_max.map(|max| max.saturating_sub(spool.bytes)),
        free_min.map(|min| spool.space.free.saturating_sub(min)),
    ];
    let room = room.into_iter().flatten().min();
    let pid = holder(&place.dir.join("lock"));
    let first = spool.segments.first().map_or(0, |segment| segment.first);
    let next = spool.segments.last().map_or(0, |segment| segment.next);

    let configured = settings.map(|settings| settings.sinks.as_slice()).unwrap_or_default();
    let is_configured = |name: &str| configured.iter().any(|sink| sink.name == name);
    let mut names: Vec<&str> = configured.iter().map(|sink| sink.name.as_str()).collect();
    let known = spool.cursors.iter().map(|cursor| &*cursor.sink);
    let known = known.chain(spool.quarantines.iter().map(|entries| &*entries.sink));
    for name in known {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let sinks = names.into_iter().map(|name| SinkReport {
        configured: settings.is_none() || is_configured(name),
        ..SinkReport::new(name, &spool, place, pid.is_some(), now)
    });
    Ok(Report {
        dir: place.dir.display().to_string(),
        pid,
        events: next.saturating_sub(first),
        bytes: spool.bytes,
        bytes_max,
        segments: spool.segments.len(),
        segments_damaged: spool.segments.iter().filter(|segment| segment.is_damaged).count(),
        disk_free_bytes: spool.space.free,
        disk_total_bytes: spool.space.total,
        disk_free_bytes_min: free_min,
        oldest_unix_ns: oldest,
        newest_unix_ns: newest,
        events_per_second: per_second.events,
        bytes_per_second: per_second.bytes,
        full_in_seconds: room.and_then(|room| per_second.fills_in_seconds(room)),
        losses: spool
            .losses
            .iter()
            .map(|loss| LossReport {
                stage: stage(loss.stage).as_str(),
                sink: loss.sink.clone(),
                count: loss.count,
            })
            .collect(),
        sinks: sinks.collect(),
    })
}

fn stage(stage: spool::LossStage) -> LossStage {
    match stage {
        spool::LossStage::Full => LossStage::SpoolFull,
        spool::LossStage::Damaged => LossStage::SpoolDamaged,
        spool::LossStage::TooLarge => LossStage::TooLarge,
        spool::LossStage::Quarantined => LossStage::Quarantined,
    }
}

impl SinkReport {
    fn new(
        name: &str,
        spool: &inspect::Status,
        place: &Place,
        is_running: bool,
        now: Timestamp,
    ) -> SinkReport {
        let cursor = spool.cursors.iter().find(|cursor| cursor.sink == name);
        let of = |all: &[EntriesStatus]| all.iter().find(|e| e.sink == name).cloned();
        let quarantine = of(&spool.quarantines);
        let replay = of(&spool.replays);
        // It tells nothing that anything depends on: one that cannot be read is as good as none.
        let delivery = delivery::read(&place.dir, name).unwrap_or_else(|error| {
            eprintln!("warning: {error}");
            None
        });
        let state = delivery.as_ref().map(|delivery| delivery.state).map(State::as_str);
        let delivery = delivery.unwrap_or_default();
        let saved = cursor.map(|cursor| cursor.saved_wall_ns).filter(|saved| *saved > 0);
        let all = spool.segments.first().zip(spool.segments.last());
        let lag = |cursor: Option<&CursorStatus>| match cursor {
            Some(cursor) => (cursor.lag_records, cursor.lag_bytes, cursor.oldest_wall_ns),
            // It begins with the oldest event there is.
            None => (
                all.map_or(0, |(first, last)| last.next - first.first),
                spool.bytes,
                spool.written_wall_ns.map(|(oldest, _)| oldest),
            ),
        };
        let (lag_events, lag_bytes, oldest) = lag(cursor);
        SinkReport {
            name: name.to_owned(),
            configured: true,
            state: state.filter(|_| is_running),
            next: cursor.map(|cursor| cursor.next),
            lag_events,
            lag_bytes,
            lag_seconds: oldest.map(|oldest| show::seconds_since(oldest, now)),
            last_success_unix_ns: delivery.last_success_unix_ns.max(saved),
            last_error: delivery.last_error,
            last_error_unix_ns: delivery.last_error_unix_ns,
            figures: delivery.figures,
            quarantined_events: quarantine.as_ref().map_or(0, |entries| entries.entries),
            quarantined_bytes: quarantine.map_or(0, |entries| entries.bytes),
            requeued_events: replay.map_or(0, |entries| entries.entries),
        }
    }
}

/// What comes in each second, of late.
#[derive(Debug, PartialEq)]
struct PerSecond {
    events: f64,
    bytes: f64,
}

impl PerSecond {
    fn new(rate: Rate, oldest: Option<u64>, newest: Option<u64>, now: Timestamp) -> PerSecond {
        let now = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let Some((oldest, newest)) = oldest.zip(newest) else {
            return PerSecond { events: 0.0, bytes: 0.0 };
        };
        if now.saturating_sub(newest) > RATE_WINDOW_NS {
            return PerSecond { events: 0.0, bytes: 0.0 };
        }
        // A log younger than the window; at least a second, since one block has no length.
        let window = now.saturating_sub(oldest).clamp(1_000_000_000, RATE_WINDOW_NS);
        let seconds = window as f64 / 1e9;
        PerSecond { events: rate.records as f64 / seconds, bytes: rate.bytes as f64 / seconds }
    }

    fn fills_in_seconds(&self, room: u64) -> Option<u64> {
        (self.bytes > 0.0).then_some((room as f64 / self.bytes) as u64)
    }
}

/// The process that holds the lock on this file. Looked up, not tried: a try could keep a daemon
/// from starting.
fn holder(lock: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(lock).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    holder_in(&locks, &format!("{major:02x}:{minor:02x}:{}", metadata.ino()))
}

/// `1: FLOCK  ADVISORY  WRITE 5400 fe:00:9978311 0 EOF`
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        // A process that waits for a lock stands there with `->` before the kind.
        let kind = words.next()?;
        let pid = words.nth(2)?;
        (kind == "FLOCK" && words.next()? == file).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:99 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 fe:00:98 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 fe:00:99 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 5400 fe:00:99 0 EOF\n";
        assert_eq!(holder_in(locks, "fe:00:99"), Some(5400));
        assert_eq!(holder_in(locks, "fe:00:97"), None);
    }

    #[test]
    fn a_lock_of_this_process_is_its() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("lock");
        let file = std::fs::File::create(&path).expect("made");
        assert_eq!(holder(&path), None);
        file.lock().expect("locked");
        assert_eq!(holder(&path), Some(std::process::id()));
    }

    #[test]
    fn the_rate_is_of_the_last_minute_or_of_a_younger_log() {
        let second = 1_000_000_000;
        let now = Timestamp::from_second(1000).expect("a time");
        let rate = Rate { records: 600, bytes: 6_000, span_ns: 0 };
        let at = |oldest: u64, newest: u64| {
            let rate = PerSecond::new(rate, Some(oldest * second), Some(newest * second), now);
            (rate.events, rate.fills_in_seconds(1_000_000))
        };
        assert_eq!(at(0, 1000), (10.0, Some(10_000)));
        assert_eq!(at(990, 1000), (60.0, Some(1_666)));
        assert_eq!(at(1000, 1000).0, 600.0);
        assert_eq!(at(0, 900), (0.0, None), "nothing came for longer than a minute");
        assert_eq!(PerSecond::new(rate, None, None, now).fills_in_seconds(1), None);
    }
}
