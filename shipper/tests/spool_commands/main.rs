//! `shipper spool` as an operator runs it, over a spool made by the library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use shipper::deliver::status::{self, State, Status};
use shipper::event::codec::encode;
use shipper::event::{Event, Host, Id, Loss, LossKind, LossStage, WallTime};
use shipper::spool::disk::RealDisk;
use shipper::spool::{
    Compression, Entry, FreeMin, Fsync, Now, Options, Spool, WhenFull, Writer, Wrote,
};
use tempfile::TempDir;

/// 2026-11-24T10:00:00Z.
const BEGIN_NS: u64 = 1_795_514_400_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

/// A spool of the sinks `local` and `siem`, and a configuration that names it.
struct Fixture {
    root: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// One test at a time: what another one starts has, until its exec, every lock that is held here.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An event of its own: at 10:00 and so many minutes.
fn event(number: u64) -> Vec<u8> {
    let host = Host { name: "host".into(), ..Host::default() };
    let time = WallTime(BEGIN_NS + number * MINUTE_NS);
    let loss = Loss {
        id: Id(u128::from(number).to_be_bytes()),
        time,
        host: Arc::new(host),
        stage: LossStage::RingFull,
        kind: LossKind::Exec,
        sink: None,
        cgroup: None,
        rule: None,
        count: number,
        first: time,
        last: time,
    };
    let mut bytes = Vec::new();
    encode(&Event::Loss(loss), &mut bytes);
    bytes
}

fn at(number: u64) -> Now {
    Now { monotonic: Duration::from_secs(number), wall_ns: BEGIN_NS + number * MINUTE_NS }
}

impl Fixture {
    /// Events 1 to `count`, each in a block of its own; `local` has 4 of them, `siem` refused 2.
    fn new(count: u64) -> Fixture {
        let root = tempfile::tempdir().expect("a temporary directory");
        let fixture = Fixture { root, _alone: alone() };
        let (mut writer, spool) = fixture.open();
        for number in 1..=count {
            writer.append(&event(number));
            assert!(matches!(writer.write(b"", at(number)), Wrote::Done));
        }
        let (_, mut local) = spool.cursor("local").expect("a cursor");
        local.save(5.min(count + 1), b"", at(5).wall_ns).expect("saved");
        let refused = [event(1), event(2)];
        let entries = [(1, "400 Bad Request"), (2, "a field\nof \u{1b}[31mno type")];
        let entries = entries.iter().zip(&refused);
        let entries: Vec<Entry<'_>> = entries
            .map(|((number, reason), payload)| Entry { number: *number, reason, payload })
            .collect();
        let mut quarantine = spool.quarantine("siem", 1 << 20).expect("a quarantine");
        quarantine.put(&entries, at(3).wall_ns).expect("put");
        let (_, mut siem) = spool.cursor("siem").expect("a cursor");
        siem.save(3, b"", at(3).wall_ns).expect("saved");
        writer.close(at(count)).expect("closed");
        let config = format!(
            "spool: {{ dir: {}, bytes_max: 16MiB, disk_free_min: 0% }}\nsinks:\n\
             - {{ name: local, type: file, path: /no/such/x }}\n- {{ name: siem, type: console }}\n\
             - {{ name: later, type: file, path: /no/such/y }}\n",
            fixture.dir().display()
        );
        fs::write(fixture.config(), config).expect("written");
        fixture
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("spool")
    }

    fn config(&self) -> PathBuf {
        self.root.path().join("shipper.yaml")
    }

    fn open(&self) -> (Writer, Spool) {
        let options = Options {
            dir: self.dir(),
            bytes_max: 16 << 20,
            disk_free_min: FreeMin::Bytes(0),
            when_full: WhenFull::Block,
            fsync: Fsync::Always,
            compression: Compression::None,
            segment_bytes: 1 << 20,
        };
        let sinks = ["local".to_owned(), "siem".to_owned()];
        shipper::spool::open(options, Arc::new(RealDisk), &sinks).expect("opens")
    }

    /// Runs `shipper spool` with these words and the configuration.
    fn run(&self, words: &[&str]) -> Output {
        spool(words, &["--config".as_ref(), self.config().as_ref()])
    }

    /// What it prints; it must end well and say nothing on standard error.
    fn prints(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(said(&output), "", "{words:?}");
        assert!(output.status.success(), "{words:?}: {}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What it says is wrong.
    fn refuses(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
        said(&output)
    }

    fn segment(&self) -> PathBuf {
        self.dir().join("log/00000000000000000001.seg")
    }
}

fn spool(words: &[&str], place: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shipper"));
    command.arg("spool").args(words).args(place).env("TZ", "UTC");
    command.output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The numbers of the events in NDJSON.
fn numbers(ndjson: &str) -> Vec<u64> {
    let number = |line: &str| -> u64 {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["shipper"]["loss"]["count"].as_u64().expect("one of ours")
    };
    ndjson.lines().map(number).collect()
}

#[test]
fn status_tells_how_full_the_spool_is_and_how_far_each_sink_has_got() {
    let fixture = Fixture::new(10);
    let failed = Status {
        state: State::Blocked,
        last_success_unix_ns: Some(BEGIN_NS),
        last_error: Some("401 Unauthorized\u{1b}[2J".into()),
        last_error_unix_ns: Some(BEGIN_NS + MINUTE_NS),
        figures: [("brokers_up".to_owned(), 3)].into(),
    };
    status::write(&fixture.dir(), "siem", &failed).expect("written");
    let report: Value = serde_json::from_str(&fixture.prints(&["status", "--json"])).expect("JSON");
    assert_eq!(report["events"], 10);
    assert_eq!(report["bytes_max"], 16 << 20);
    assert_eq!(report["pid"], Value::Null);
    assert_eq!(report["oldest_unix_ns"], BEGIN_NS + MINUTE_NS);
    assert_eq!(report["newest_unix_ns"], BEGIN_NS + 10 * MINUTE_NS);
    let sink = |at: usize, key: &str| report["sinks"][at][key].clone();
    let of = |key: &str| [sink(0, key), sink(1, key), sink(2, key)];
    assert_eq!(of("name"), ["local", "siem", "later"]);
    assert_eq!(of("lag_events"), [6, 8, 10]);
    assert_eq!(of("next"), [5.into(), 3.into(), Value::Null]);
    assert_eq!(of("quarantined_events"), [0, 2, 0]);
    assert_eq!(sink(0, "last_success_unix_ns"), BEGIN_NS + 5 * MINUTE_NS);
    assert_eq!(sink(1, "last_error"), "401 Unauthorized\u{1b}[2J");
    assert_eq!(
        of("state"),
        [Value::Null, Value::Null, Value::Null],
        "nothing is at anything while no daemon runs"
    );

    let text = fixture.prints(&["status"]);
    assert!(!text.contains('\u{1b}'), "plain when it goes to no terminal");
    let line = |begin: &str| {
        let line = text.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
        line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("daemon"), "daemon not running");
    assert_eq!(line("events"), "events 10, from 2026-11-24 10:01:00 to 2026-11-24 10:10:00");
    assert!(line("local").starts_with("local stopped 6 "), "{text}");
    assert!(line("siem  ").ends_with(" 2"), "{text}");
    assert!(line("later").starts_with("later new 10 "), "{text}");
    assert!(line("siem failed").ends_with(r"ago: 401 Unauthorized\x1b[2J"), "{text}");
}

#[test]
fn status_beside_a_running_daemon_names_its_pid_and_what_each_sink_is_at() {
    let fixture = Fixture::new(5);
    status::write(&fixture.dir(), "siem", &Status::default()).expect("written");
    let running = fixture.open();
    let report: Value = serde_json::from_str(&fixture.prints(&["status", "--json"])).expect("JSON");
    drop(running);
    assert_eq!(report["pid"], std::process::id());
    assert_eq!(report["sinks"][1]["state"], "delivering");
}

#[test]
fn the_directory_of_the_spool_is_enough_to_look_at_it() {
    let fixture = Fixture::new(3);
    let output = spool(&["status", "--json"], &["--dir".as_ref(), fixture.dir().as_ref()]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["bytes_max"], Value::Null);
    assert_eq!(report["sinks"][0]["name"], "local");
    assert_eq!(report["sinks"][1]["configured"], true);
    assert_eq!(report["sinks"][2], Value::Null);
}

#[test]
fn a_place_without_a_spool_is_told_and_none_is_made() {
    let _alone = alone();
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("spool");
    for words in [&["status"][..], &["verify"], &["export"], &["requeue", "local"]] {
        let output = spool(words, &["--dir".as_ref(), dir.as_ref()]);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(said(&output).contains("there is no spool here"), "{}", said(&output));
    }
    assert!(!dir.exists());
    let output = spool(&["status"], &["--config".as_ref(), dir.as_ref()]);
    assert_eq!(output.status.code(), Some(2), "a missing configuration is wrong usage");
}

#[test]
fn a_whole_spool_verifies() {
    let fixture = Fixture::new(10);
    let text = fixture.prints(&["verify"]);
    assert!(text.starts_with("the log: 10 events in 10 blocks, "), "{text}");
    assert!(text.contains("the quarantine of sink siem: 2 events in 1 block, "), "{text}");
    assert!(text.ends_with("\nnothing is damaged\n"), "{text}");
}

#[test]
fn a_changed_byte_is_found_with_its_place_and_what_is_missing() {
    let fixture = Fixture::new(10);
    let mut bytes = fs::read(fixture.segment()).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(fixture.segment(), bytes).expect("written");
    let output = fixture.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let damaged: Vec<&str> = text.lines().filter(|line| line.starts_with("damaged: ")).collect();
    let [damaged] = damaged[..] else { panic!("one place is damaged:\n{text}") };
    assert!(damaged.contains(&*fixture.segment().to_string_lossy()), "{damaged}");
    assert!(damaged.ends_with("; 1 event missing"), "{damaged}");
    assert!(text.contains("the log: 9 events in 9 blocks, "), "{text}");
    assert!(text.ends_with(", 1 missing\n") || text.ends_with("the spool is damaged\n"), "{text}");

    let output = fixture.run(&["export"]);
    assert_eq!(output.status.code(), Some(1), "an export that is not whole says so");
    assert_eq!(numbers(&String::from_utf8_lossy(&output.stdout)).len(), 9);
    assert!(said(&output).contains("1 event missing"), "{}", said(&output));
}

#[test]
fn a_block_that_was_being_written_is_no_damage() {
    let fixture = Fixture::new(3);
    let bytes = fs::read(fixture.segment()).expect("a segment");
    fs::write(fixture.segment(), &bytes[..bytes.len() - 1]).expect("written");
    let text = fixture.prints(&["verify"]);
    assert!(text.contains("ends with a block that is not whole"), "{text}");
    assert!(text.ends_with("\nnothing is damaged\n"), "{text}");
}

#[test]
fn an_event_that_cannot_be_decoded_is_damage() {
    let fixture = Fixture::new(2);
    let (mut writer, _spool) = fixture.open();
    writer.append(b"\x0a\x05hello");
    assert!(matches!(writer.write(b"", at(3)), Wrote::Done));
    writer.close(at(3)).expect("closed");
    let output = fixture.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("damaged: event 3 of the log: "), "{text}");
}

#[test]
fn export_prints_the_events_of_a_time() {
    let fixture = Fixture::new(10);
    assert_eq!(numbers(&fixture.prints(&["export"])), (1..=10).collect::<Vec<_>>());
    let from = ["export", "--from", "2026-11-24T10:03:00Z"];
    assert_eq!(numbers(&fixture.prints(&from)), (3..=10).collect::<Vec<_>>());
    let both = ["export", "--from", "2026-11-24 10:03", "--to", "2026-11-24 10:05"];
    assert_eq!(numbers(&fixture.prints(&both)), [3, 4, 5]);
    assert_eq!(fixture.prints(&["export", "--from", "2026-11-25"]), "");
    let wrong = fixture.refuses(&["export", "--from", "teatime"]);
    assert!(wrong.contains("`teatime` is no time; write `2026-11-24T08:00:00Z`"), "{wrong}");
}

#[test]
fn export_ends_quietly_when_its_reader_goes() {
    let fixture = Fixture::new(2_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_shipper"))
        .args(["spool", "export", "--config"])
        .arg(fixture.config())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
}

#[test]
fn the_quarantine_of_a_sink_is_listed_with_reasons() {
    let fixture = Fixture::new(3);
    let text = fixture.prints(&["quarantine", "siem"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "1  2026-11-24 10:03:00  400 Bad Request");
    assert!(lines[1].contains("LOSS 1 exec record was lost"), "{text}");
    assert_eq!(lines[2], r"2  2026-11-24 10:03:00  a field\nof \x1b[31mno type");
    let json = fixture.prints(&["quarantine", "siem", "--json"]);
    let second: Value = serde_json::from_str(json.lines().nth(1).expect("two")).expect("JSON");
    assert_eq!(second["number"], 2);
    assert_eq!(second["reason"], "a field\nof \u{1b}[31mno type");
    assert_eq!(second["event"]["shipper"]["loss"]["count"], 2);

    let nothing = fixture.prints(&["quarantine", "local"]);
    assert_eq!(nothing, "nothing is in the quarantine of sink local\n");
    assert_eq!(fixture.prints(&["quarantine", "local", "--json"]), "");
    let unknown = fixture.refuses(&["quarantine", "splunk"]);
    assert!(
        unknown.contains("has no sink `splunk`; its sinks are later, local, siem"),
        "{unknown}"
    );
}

#[test]
fn what_is_quarantined_is_delivered_again_after_a_requeue() {
    let fixture = Fixture::new(3);
    let text = fixture.prints(&["requeue", "siem"]);
    assert!(text.starts_with("2 events of the quarantine of sink siem: "), "{text}");
    let again = fixture.prints(&["requeue", "siem"]);
    assert_eq!(again, "nothing is in the quarantine of sink siem\n");
    let report: Value = serde_json::from_str(&fixture.prints(&["status", "--json"])).expect("JSON");
    assert_eq!(report["sinks"][1]["quarantined_events"], 0);
    assert_eq!(report["sinks"][1]["requeued_events"], 2);
    let (_writer, spool) = fixture.open();
    let mut replay = spool.replay("siem").expect("readable").expect("there is one");
    let block = replay.reader.try_next().expect("readable").expect("a block");
    let entries: Vec<u64> = block
        .records()
        .map(|(_, record)| Entry::decode(record).expect("an entry").number)
        .collect();
    assert_eq!(entries, [1, 2]);
}

#[test]
fn a_sink_goes_back_to_a_number_or_a_time_and_never_forward() {
    let fixture = Fixture::new(10);
    let next = || {
        let (_writer, spool) = fixture.open();
        spool.cursor("local").expect("a cursor").1.next()
    };
    let text = fixture.prints(&["requeue", "local", "--from", "3"]);
    assert_eq!(
        text,
        "sink local goes on at event 3: 2 events are delivered again when shipper starts\n"
    );
    assert_eq!(next(), 3);
    let text = fixture.prints(&["requeue", "local", "--from", "2026-11-24 10:02"]);
    assert!(text.starts_with("sink local goes on at event 2: 1 event is delivered"), "{text}");
    assert_eq!(next(), 2);
    let ahead = fixture.refuses(&["requeue", "local", "--from", "2026-11-24 10:09"]);
    assert!(ahead.contains("this would skip 7 events"), "{ahead}");
    let ahead = fixture.refuses(&["requeue", "local", "--from", "3"]);
    assert!(ahead.contains("sink local is at event 2, and event 3 comes after"), "{ahead}");
    assert_eq!(next(), 2);
    let text = fixture.prints(&["requeue", "local", "--from", "0"]);
    assert!(text.contains("goes on at event 1, the oldest that the spool still has:"), "{text}");
    assert_eq!(next(), 1);
    let new = fixture.refuses(&["requeue", "later", "--from", "1"]);
    assert!(new.contains("sink later has got nothing yet"), "{new}");
}

#[test]
fn a_running_daemon_is_named_and_nothing_is_requeued() {
    let fixture = Fixture::new(10);
    let running = fixture.open();
    for words in [&["requeue", "siem"][..], &["requeue", "local", "--from", "1"]] {
        let refused = fixture.refuses(words);
        let expected = format!("shipper is running (pid {}): stop it", std::process::id());
        assert!(refused.contains(&expected), "{refused}");
    }
    drop(running);
    let (_writer, spool) = fixture.open();
    assert_eq!(spool.cursor("local").expect("a cursor").1.next(), 5);
    assert!(spool.replay("siem").expect("readable").is_none());
}

#[test]
fn a_segment_of_a_later_version_is_refused_by_its_version() {
    let fixture = Fixture::new(2);
    let mut bytes = fs::read(fixture.segment()).expect("a segment");
    bytes[8] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(fixture.segment(), bytes).expect("written");
    for words in [&["status"][..], &["verify"], &["export"], &["quarantine", "siem"]] {
        let refused = fixture.refuses(words);
        assert!(refused.contains("was written in version 9"), "{refused}");
    }
}
