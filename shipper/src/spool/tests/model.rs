//! A model of the spool, driven at random over a simulated disk: append, write, sync, read,
//! confirm, kill, power loss, failing disk, rot.
//!
//! The model knows which record has which number. It holds: each sink gets the durable records in
//! order, each once, and unchanged; what it does not get is counted, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rustix::io::Errno;

use crate::spool::disk::sim::{Op, SimDisk};
use crate::spool::*;

const SINKS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    /// Records of these sizes, as one block.
    Write(Vec<u16>),
    /// Time passes, in milliseconds.
    Tick(u16),
    /// A sink reads some blocks.
    Read(usize, u8),
    /// A sink confirms what it read, save the last so many.
    Ack(usize, u8),
    /// The daemon reports losses, if there are any.
    Report,
    Kill,
    PowerLoss(u64),
    /// An operation fails so often, after some more.
    Fail(Op, u8, u8, bool),
    /// A bit flips: which file, where.
    Rot(u16, u32),
    Close,
}

fn step(with_rot: bool) -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        Just(Op::Write),
        Just(Op::Sync),
        Just(Op::SyncDir),
        Just(Op::Create),
        Just(Op::Rename),
        Just(Op::Remove),
        Just(Op::Read),
    ];
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![9 => 0..300u16, 1 => 0..4000u16], 1..6)
            .prop_map(Step::Write),
        4 => (0..50u16).prop_map(Step::Tick),
        4 => (0..SINKS.len(), 1..6u8).prop_map(|(sink, blocks)| Step::Read(sink, blocks)),
        3 => (0..SINKS.len(), 0..4u8).prop_map(|(sink, but)| Step::Ack(sink, but)),
        1 => Just(Step::Report),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
        if with_rot { 0 } else { 2 } => (op, 0..6u8, 1..3u8, any::<bool>())
            .prop_map(|(op, after, times, full)| Step::Fail(op, after, times, full)),
        if with_rot { 1 } else { 0 } => (any::<u16>(), any::<u32>()).prop_map(|(f, at)| Step::Rot(f, at)),
        1 => Just(Step::Close),
    ]
}

struct Sink {
    reader: Reader,
    cursor: Cursor,
    /// The furthest that was to be saved; a save that fails may count all the same.
    tried: u64,
    /// Numbers read since the cursor, in order.
    unconfirmed: Vec<u64>,
    /// Numbers confirmed or read since.
    got: BTreeSet<u64>,
}

struct Model {
    disk: SimDisk,
    options: Options,
    writer: Option<Writer>,
    spool: Option<Spool>,
    sinks: Vec<Sink>,
    now_ms: u64,
    /// The record of each number that is durable or may become so.
    records: BTreeMap<u64, Vec<u8>>,
    next: u64,
    last_id: u64,
    /// Loss reports in the log: the record that reports, and the count.
    counted: Vec<SpoolLoss>,
    is_reporting: Option<u64>,
    /// How many losses were counted before it.
    reported_before: usize,
    /// The disk failed: what is counted may be counted again.
    has_failed: bool,
}

impl Model {
    fn new(options: Options) -> Model {
        let mut model = Model {
            disk: SimDisk::default(),
            options,
            writer: None,
            spool: None,
            sinks: Vec::new(),
            now_ms: 0,
            records: BTreeMap::new(),
            next: 1,
            last_id: 0,
            counted: Vec::new(),
            is_reporting: None,
            reported_before: 0,
            has_failed: false,
        };
        model.open();
        model
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Duration::from_millis(self.now_ms),
            wall_ns: 1_000_000 * (1 + self.now_ms),
        }
    }

    fn open(&mut self) {
        self.disk.heal();
        let confirmed: Vec<u64> = self.sinks.iter().map(|sink| sink.cursor.next()).collect();
        let tried: Vec<u64> = self.sinks.iter().map(|sink| sink.tried).collect();
        let got: Vec<BTreeSet<u64>> = self.sinks.drain(..).map(|sink| sink.got).collect();
        self.writer = None;
        self.spool = None;
        let names = SINKS.map(str::to_owned);
        let (writer, spool) =
            open(self.options.clone(), Arc::new(self.disk.clone()), &names).unwrap();
        let durable = writer.durable();
        // What was not durable may be gone; its numbers are given again.
        self.records.split_off(&(durable + 1));
        self.next = durable + 1;
        for (at, name) in SINKS.iter().enumerate() {
            let (reader, cursor) = spool.cursor(name).unwrap();
            if let Some(&confirmed) = confirmed.get(at) {
                assert!(cursor.next() >= confirmed, "a cursor went back");
            }
            let mut got = got.get(at).cloned().unwrap_or_default();
            // What was read and not confirmed is read again.
            got.split_off(&cursor.next().min(tried.get(at).copied().unwrap_or(1)));
            let tried = cursor.next();
            self.sinks.push(Sink { reader, cursor, tried, unconfirmed: Vec::new(), got });
        }
        self.writer = Some(writer);
        self.spool = Some(spool);
    }

    fn write(&mut self, records: Vec<Vec<u8>>) -> bool {
        let now = self.now();
        let writer = self.writer.as_mut().unwrap();
        if writer.open_records() == 0 {
            for record in &records {
                writer.append(record);
            }
            for (at, record) in (self.next..).zip(records) {
                self.records.insert(at, record);
            }
        }
        let count = u64::from(writer.open_records());
        match writer.write(b"mark", now) {
            Wrote::Done => {
                self.next += count;
                true
            }
            Wrote::Full { .. } => false,
            Wrote::Dropped { .. } => panic!("the policy is to wait"),
        }
    }

    fn record(&mut self, size: u16) -> Vec<u8> {
        self.last_id += 1;
        let mut record = self.last_id.to_le_bytes().to_vec();
        record.resize(8 + usize::from(size), self.last_id as u8);
        record
    }

    fn read(&mut self, sink: usize, blocks: u8) {
        for _ in 0..blocks {
            let sink = &mut self.sinks[sink];
            let block = match sink.reader.try_next() {
                Ok(Some(block)) => block,
                Ok(None) | Err(_) => return,
            };
            for (number, record) in block.records() {
                assert_eq!(self.records.get(&number).map(Vec::as_slice), Some(record), "{number}");
                assert!(sink.got.last().is_none_or(|&last| last < number), "{number} twice");
                sink.got.insert(number);
                sink.unconfirmed.push(number);
            }
        }
    }

    fn report(&mut self) {
        self.settle_report();
        if self.is_reporting.is_some() || self.writer.as_ref().unwrap().open_records() > 0 {
            return;
        }
        let losses = self.writer.as_mut().unwrap().take_losses();
        for loss in &losses {
            assert_eq!(loss.stage, LossStage::Damaged);
        }
        if !losses.is_empty() {
            self.reported_before = self.counted.len();
            self.counted.extend(losses);
            let record = self.record(7);
            self.is_reporting = Some(self.next);
            self.write(vec![record]);
        }
    }

    /// A report is done once it is durable.
    fn settle_report(&mut self) {
        let durable = self.writer.as_ref().unwrap().durable();
        if self.is_reporting.is_some_and(|number| number <= durable) {
            self.is_reporting = None;
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Write(sizes) => {
                let records = sizes.into_iter().map(|size| self.record(size)).collect();
                self.write(records);
            }
            Step::Tick(ms) => {
                self.now_ms += u64::from(ms);
                let now = self.now();
                self.writer.as_mut().unwrap().tick(now);
            }
            Step::Read(sink, blocks) => self.read(sink, blocks),
            Step::Ack(sink, but) => {
                let sink = &mut self.sinks[sink];
                let keep = sink.unconfirmed.len().saturating_sub(usize::from(but));
                let Some(&last) = sink.unconfirmed[..keep].last() else { return };
                sink.tried = last + 1;
                if sink.cursor.save(last + 1, b"position", 1).is_ok() {
                    sink.unconfirmed.drain(..keep);
                }
            }
            Step::Report => self.report(),
            Step::Kill => {
                self.disk.kill();
                self.reopen();
            }
            Step::PowerLoss(mut seed) => {
                self.disk.crash(|bound| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 33) % bound
                });
                self.reopen();
            }
            Step::Fail(op, after, times, full) => {
                self.has_failed = true;
                let errno = if full { Errno::NOSPC } else { Errno::IO };
                self.disk.fail(op, u64::from(after), u64::from(times), errno);
            }
            Step::Rot(file, at) => self.rot(file, at),
            Step::Close => {
                let now = self.now();
                let _ = self.writer.take().unwrap().close(now);
                self.reopen();
            }
        }
    }

    /// What the last report counted is pending again, if the report did not make it.
    fn reopen(&mut self) {
        let reporting = self.is_reporting.take();
        let before = self.reported_before;
        self.open();
        let durable = self.writer.as_ref().unwrap().durable();
        if reporting.is_some_and(|number| number > durable) {
            self.counted.truncate(before);
        }
    }

    /// Flips a bit in a segment, in what is durable.
    fn rot(&mut self, file: u16, at: u32) {
        let log = Path::new("/spool/log");
        let files: Vec<_> =
            self.disk.files().into_iter().filter(|path| path.starts_with(log)).collect();
        if files.is_empty() {
            return;
        }
        let path = &files[usize::from(file) % files.len()];
        let is_newest = files.last() == Some(path);
        let len = self.disk.content(path).len();
        // The newest segment holds what is not durable as well; that is for the other test.
        if is_newest || len == 0 {
            return;
        }
        self.disk.tamper(path, |bytes| bytes[at as usize % len] ^= 1 << (at % 8));
    }

    /// Reads everything to the end, and settles accounts.
    fn finish(mut self) {
        self.disk.heal();
        self.now_ms += 10_000;
        let now = self.now();
        let writer = self.writer.as_mut().unwrap();
        if writer.open_records() > 0 {
            assert!(self.write(Vec::new()));
        }
        self.writer.as_mut().unwrap().sync(now).unwrap();
        for sink in 0..SINKS.len() {
            loop {
                let before = self.sinks[sink].reader.position();
                self.read(sink, u8::MAX);
                if self.sinks[sink].reader.position() == before {
                    break;
                }
            }
            assert_eq!(self.sinks[sink].reader.position(), self.next, "not all was read");
        }
        self.settle_report();
        let now = self.now();
        for _ in 0..3 {
            self.report();
            self.writer.as_mut().unwrap().sync(now).unwrap();
        }
        self.settle_report();
        self.balance();
    }

    /// What no sink got is counted once, what one sink did not get for that sink.
    fn balance(&self) {
        let had: BTreeSet<u64> = self.records.keys().copied().collect();
        let missing = SINKS.iter().zip(&self.sinks).map(|(name, sink)| {
            // The last ones are the reports.
            let missing = had.difference(&sink.got).filter(|&&n| n < sink.reader.position());
            (*name, missing.copied().collect::<BTreeSet<u64>>())
        });
        let missing: Vec<_> = missing.collect();
        let counted = |sink: Option<&str>| {
            let losses = self.counted.iter().filter(|loss| loss.sink.as_deref() == sink);
            losses.map(|loss| loss.count).sum::<u64>()
        };
        let all: BTreeSet<u64> = missing.iter().flat_map(|(_, numbers)| numbers).copied().collect();
        for (sink, numbers) in &missing {
            let claimed = counted(None) + counted(Some(sink));
            assert!(claimed >= numbers.len() as u64, "{sink}: {claimed} of {numbers:?}");
            assert!(self.has_failed || counted(Some(sink)) <= numbers.len() as u64);
        }
        let for_each = SINKS.iter().map(|sink| counted(Some(sink))).sum::<u64>();
        let sum = counted(None) + for_each;
        assert!(sum >= all.len() as u64, "{sum} of {all:?}");
        if !self.has_failed {
            assert!(counted(None) <= all.len() as u64, "{} of {all:?}", counted(None));
        }
    }
}

fn options(fsync: Fsync, compression: Compression) -> Options {
    Options {
        dir: "/spool".into(),
        bytes_max: 1 << 30,
        disk_free_min: FreeMin::Bytes(0),
        when_full: WhenFull::Block,
        fsync,
        compression,
        segment_bytes: 2048,
    }
}

/// How many cases of each property; `SHIPPER_TORTURE=1` raises it.
pub(super) fn cases() -> u32 {
    if std::env::var_os("SHIPPER_TORTURE").is_some() { 20_000 } else { 256 }
}

fn any_options() -> impl Strategy<Value = Options> {
    let fsync = prop_oneof![Just(Fsync::Always), Just(Fsync::Interval(Duration::from_millis(20)))];
    let compression =
        prop_oneof![Just(Compression::None), Just(Compression::Lz4), Just(Compression::Zstd)];
    (fsync, compression).prop_map(|(fsync, compression)| options(fsync, compression))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_durable_is_read_once_in_order_whatever_fails(
        options in any_options(),
        steps in prop::collection::vec(step(false), 1..80),
    ) {
        let mut model = Model::new(options);
        for step in steps {
            model.apply(step);
        }
        model.finish();
    }

    #[test]
    fn what_rots_is_counted_exactly(
        options in any_options(),
        steps in prop::collection::vec(step(true), 1..80),
    ) {
        let mut model = Model::new(options);
        for step in steps {
            model.apply(step);
        }
        model.finish();
    }
}
