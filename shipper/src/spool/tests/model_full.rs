//! A small spool driven at random under the policies that drop: each record reaches a sink or is
//! counted as lost to it, exactly.

use proptest::prelude::*;

use super::model::cases;
use super::*;

const SINKS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    /// Records of these sizes, as one block.
    Write(Vec<u16>),
    Tick(u16),
    /// A sink reads some blocks and confirms them.
    Deliver(usize, u8),
    Kill,
    Close,
    /// The disk has so much room, in bytes beyond what the cursors and the ledger take.
    Disk(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(0..300u16, 1..6).prop_map(Step::Write),
        3 => (0..2000u16).prop_map(Step::Tick),
        3 => (0..SINKS.len(), 1..4u8).prop_map(|(sink, blocks)| Step::Deliver(sink, blocks)),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => (0..10_000u16).prop_map(Step::Disk),
    ]
}

struct Model {
    disk: SimDisk,
    options: Options,
    running: Option<(Writer, Spool)>,
    now_ms: u64,
    /// Records written or dropped.
    total: u64,
    /// The highest record that each sink got, and how many.
    got: [(u64, u64); 2],
}

impl Model {
    fn open(&mut self) {
        self.running = None;
        let names = SINKS.map(str::to_owned);
        self.running =
            Some(open(self.options.clone(), Arc::new(self.disk.clone()), &names).unwrap());
    }

    fn write(&mut self, sizes: &[u16]) {
        let now = at(self.now_ms);
        let (writer, _) = self.running.as_mut().unwrap();
        for &size in sizes {
            self.total += 1;
            let mut record = self.total.to_le_bytes().to_vec();
            record.resize(8 + usize::from(size), 7);
            writer.append(&record);
        }
        let wrote = writer.write(b"mark", now);
        assert!(matches!(wrote, Wrote::Done | Wrote::Dropped { .. }));
        writer.tick(now);
    }

    fn deliver(&mut self, sink: usize, blocks: u8) -> bool {
        let (_, spool) = self.running.as_ref().unwrap();
        let (mut reader, mut cursor) = spool.cursor(SINKS[sink]).unwrap();
        let (last, count) = &mut self.got[sink];
        for _ in 0..blocks {
            let Some(block) = reader.try_next().unwrap() else { return false };
            for (_, record) in block.records() {
                let id = u64::from_le_bytes(record[..8].try_into().unwrap());
                assert!(id > *last, "{id} after {last}");
                (*last, *count) = (id, *count + 1);
            }
            cursor.save(block.next_number(), b"", 0).unwrap();
        }
        true
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Write(sizes) => self.write(&sizes),
            Step::Tick(ms) => {
                self.now_ms += u64::from(ms);
                let now = at(self.now_ms);
                self.running.as_mut().unwrap().0.tick(now);
            }
            Step::Deliver(sink, blocks) => {
                self.deliver(sink, blocks);
            }
            Step::Kill => {
                self.disk.kill();
                self.open();
            }
            Step::Close => {
                let now = at(self.now_ms);
                let (writer, _) = self.running.take().unwrap();
                writer.close(now).unwrap();
                self.open();
            }
            Step::Disk(bytes) => self.disk.set_total(147_456 + u64::from(bytes)),
        }
    }

    fn finish(mut self) {
        self.disk.set_total(1 << 40);
        self.now_ms += 10_000;
        let now = at(self.now_ms);
        self.running.as_mut().unwrap().0.sync(now).unwrap();
        (0..SINKS.len()).for_each(|sink| while self.deliver(sink, 9) {});
        let (writer, _) = self.running.as_mut().unwrap();
        writer.tick(now);
        let losses = writer.take_losses();
        for (name, (_, got)) in SINKS.iter().zip(self.got) {
            let mine = losses.iter().filter(|loss| loss.sink.as_deref().is_none_or(|s| s == *name));
            let lost = mine.map(|loss| loss.count).sum::<u64>();
            assert_eq!(got + lost, self.total, "{name}: {got} delivered, {losses:?}");
        }
        assert!(losses.iter().all(|loss| loss.stage == LossStage::Full), "{losses:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_dropped_for_want_of_room_is_counted_exactly(
        when_full in prop_oneof![Just(WhenFull::DropNewest), Just(WhenFull::DropOldest)],
        bytes_max in 2000..8000u64,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let fsync = Fsync::Interval(Duration::from_millis(20));
        let options = Options { when_full, bytes_max, fsync, segment_bytes: 600, ..options() };
        let disk = SimDisk::default();
        let mut model = Model { disk, options, running: None, now_ms: 0, total: 0, got: [(0, 0); 2] };
        model.open();
        for step in steps {
            model.apply(step);
        }
        model.finish();
    }
}
