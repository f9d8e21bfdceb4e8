//! The thread that reads the ring: capture -> decode -> enrich -> match rules -> redact -> spool.
//!
//! A record stays in the ring until the block that holds its event is written to the spool. So
//! whatever ends the daemon, what was read is in one of them. That goes for events that wait for the
//! hash of a file, too, and for those behind them; what was lost is told in the next block.

mod reports;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::decode::{Record, decode, header};
use common::wire::RecordKind;

use super::waiting::{Held, Waiting};
use crate::capture::{Capture, CaptureError, Lost, LostStage, MARK_BYTES, Place, Reading};
use crate::enrich::Enricher;
use crate::enrich::clock::{boot_now_ns, wall_now};
use crate::enrich::hash::{self, Hasher, Pending};
use crate::event::{Event, LossKind, LossStage, codec};
use crate::redact::Redactor;
use crate::rules::Matcher;
use crate::spool::{MARK_BYTES_MAX, Now, Writer, Wrote};

/// After a wake-up, how long the ring may fill before it is read: one wake-up for many records.
const RING_LINGER: Duration = Duration::from_millis(10);

/// How often losses and slow changes are looked for.
const TICK: Duration = Duration::from_secs(1);

/// How often it is told what rules left out.
const TELL_MATCHES: Duration = Duration::from_secs(60);

/// Longest wait for the ring: a signal does not end it, so it is short enough to be prompt.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// How long events may still wait for hashes at the end.
const LAST_HASHES_MAX: Duration = Duration::from_secs(1);

/// How often a spool that is full is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(100);

// A mark that does not fit is left out, and what was read would be read again.
const _: () = assert!(MARK_BYTES <= MARK_BYTES_MAX);

/// What was captured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Executions read, those that failed included.
    pub execs: u64,
    /// Ends of processes read, where they are recorded.
    pub ends: u64,
    /// What of these was lost on the way to the spool.
    pub lost: u64,
    /// Executions and ends that were left out in the kernel, as configured.
    pub left_out: u64,
    /// Processes that the process table had to let go, or could not take in.
    pub evicted: u64,
}

/// How far the ring was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Until it was empty.
    Empty,
    /// As long as there was time.
    Backlog,
    /// The spool takes nothing more.
    Held,
}

/// The thread's own.
pub struct Work {
    capture: Capture,
    begun: Instant,
    line: ToSpool,
}

/// From a record to the spool.
struct ToSpool {
    enricher: Enricher,
    /// Whether the ends of processes are events.
    ends: bool,
    hasher: Option<Hasher>,
    waiting: Waiting,
    matcher: Matcher,
    redactor: Option<Arc<Redactor>>,
    /// Where the newest record begins that was read.
    position: u64,
    /// Lost executions of which the enricher knows.
    execs_lost: u64,
    writer: Writer,
    counts: Counts,
    encoded: Vec<u8>,
}

impl Work {
    /// Capture runs already: a process that starts while /proc is scanned is in the ring as well.
    /// `ends`: whether the ends of processes are events.
    pub fn new(
        mut capture: Capture,
        mut enricher: Enricher,
        ends: bool,
        (hasher, waiting): (Option<Hasher>, Waiting),
        matcher: Matcher,
        redactor: Option<Arc<Redactor>>,
        writer: Writer,
    ) -> Result<Self, CaptureError> {
        enricher.seed();
        if let Some(mark) = writer.last_mark() {
            capture.resume(mark)?;
        }
        let line = ToSpool {
            enricher,
            ends,
            hasher,
            waiting,
            matcher,
            redactor,
            position: 0,
            execs_lost: capture.execs_lost(),
            writer,
            counts: Counts::default(),
            encoded: Vec::new(),
        };
        Ok(Work { capture, begun: Instant::now(), line })
    }

    /// Reads until told to stop, and then what is left. Pinned kernel programs go on
    /// without us.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Counts, CaptureError> {
        self.capture.keep_enforcing();
        let mut next_tick = Instant::now() + TICK;
        let mut next_tell = Instant::now() + TELL_MATCHES;
        let mut drained = Drained::Empty;
        while !stop.load(Ordering::Relaxed) {
            let left = next_tick.saturating_duration_since(Instant::now()).min(WAIT_MAX);
            if drained == Drained::Held {
                std::thread::sleep(FULL_PAUSE);
            } else if !self.line.waiting.is_empty() {
                // The kernel does not wake us up while a record is kept.
                std::thread::sleep(RING_LINGER);
            } else {
                let sync_at = self.line.writer.sync_at().unwrap_or(Duration::MAX);
                self.capture.wait(left.min(sync_at.saturating_sub(self.begun.elapsed())))?;
                std::thread::sleep(RING_LINGER);
            }
            drained = self.drain(|| false);
            self.line.writer.tick(self.now());
            if Instant::now() >= next_tick {
                self.capture.keep_enforcing();
                self.line.enricher.refresh();
                self.watch_table();
                self.tell_left_out(false)?;
                if Instant::now() >= next_tell {
                    self.line.tell_matches();
                    next_tell = Instant::now() + TELL_MATCHES;
                }
                self.account(drained, Reading::Empty)?;
                next_tick = Instant::now() + TICK;
            }
        }
        self.end()
    }

    /// Reads the rest, accounts for it, and closes the spool.
    fn end(mut self) -> Result<Counts, CaptureError> {
        self.capture.detach();
        let pinned = self.capture.is_pinned();
        // Pinned programs fill the ring on and on: what is there now is enough.
        let until = Instant::now() + TICK;
        let drained = loop {
            match self.drain(|| pinned && Instant::now() >= until) {
                Drained::Empty => break Drained::Empty,
                Drained::Backlog if !pinned => {}
                // The ring is there again at the next start.
                drained if pinned => break drained,
                // It is not: what does not fit is lost, which the spool notes and tells then.
                _ => self.line.writer.drop_what_does_not_fit(),
            }
        };
        self.await_hashes(pinned);
        self.tell_left_out(true)?;
        self.line.tell_matches();
        self.watch_table();
        self.account(drained, Reading::Settled)?;
        self.write();
        let now = self.now();
        if let Err(error) = self.line.writer.close(now) {
            tracing::error!(%error, "the spool could not be closed well");
        }
        Ok(self.line.counts)
    }

    /// Writes what waits, with the hashes that come soon.
    fn await_hashes(&mut self, pinned: bool) {
        self.line.waiting.end_by(Instant::now() + LAST_HASHES_MAX);
        while !self.line.waiting.is_empty() {
            std::thread::sleep(RING_LINGER);
            if !self.write() {
                if pinned {
                    break;
                }
                self.line.writer.drop_what_does_not_fit();
            }
        }
        if let Some(hash::Counts { read, known, missing }) =
            self.line.hasher.as_ref().map(Hasher::counts)
        {
            tracing::info!(read, known, missing, "files hashed");
        }
    }

    fn now(&self) -> Now {
        Now { monotonic: self.begun.elapsed(), wall_ns: wall_now().0 }
    }

    /// Reads until the ring is empty, or long enough that the caller should look around.
    fn drain(&mut self, enough: impl Fn() -> bool) -> Drained {
        // Kept since the spool was full, or reports of losses.
        if self.line.writer.open_records() > 0 && !self.write() {
            return Drained::Held;
        }
        let until = Instant::now() + TICK;
        loop {
            let line = &mut self.line;
            let more = self.capture.next(|record, at| line.read(record, at));
            let drained = if !more {
                Drained::Empty
            } else if Instant::now() >= until || enough() {
                Drained::Backlog
            } else if self.line.writer.is_block_full() || self.line.is_too_far() {
                if self.write() {
                    // A sync may be due while the ring never runs empty.
                    self.line.writer.tick(self.now());
                    continue;
                }
                Drained::Held
            } else {
                continue;
            };
            return if self.write() { drained } else { Drained::Held };
        }
    }

    /// Writes the block and what need not wait any longer, and lets the ring forget that. False when
    /// the spool is full: the block is kept.
    fn write(&mut self) -> bool {
        loop {
            let more = self.line.settle();
            let kept = self.line.waiting.kept();
            let mark = self.capture.mark(kept);
            match self.line.writer.write(&mark, self.now()) {
                // What was dropped is counted.
                Wrote::Done | Wrote::Dropped { .. } => self.capture.release(kept),
                // The spool has said why.
                Wrote::Full { .. } => return false,
            }
            if !more {
                return true;
            }
        }
    }

    /// Says when the process table had to let go: ancestry is less sure from then on.
    fn watch_table(&mut self) {
        let (entries, evicted) = self.line.enricher.table_size();
        let more = evicted - self.line.counts.evicted;
        if more > 0 {
            tracing::warn!(
                entries,
                evicted,
                "the process table is full: {more} processes had to be left out, and what they \
                 started may not name them; raise enrich.process_table_max"
            );
            self.line.counts.evicted = evicted;
        }
    }

    /// Reports what was left out in the kernel, as configured. `ending`: for the last time.
    fn tell_left_out(&mut self, ending: bool) -> Result<(), CaptureError> {
        for left_out in self.capture.left_out(boot_now_ns(), ending)? {
            self.line.left_out(&left_out);
        }
        Ok(())
    }

    /// Reports what was lost since the last time, by the kernel, the spool and the sinks. `empty` is
    /// how the ring was left, if it was read to its end.
    fn account(&mut self, drained: Drained, empty: Reading) -> Result<(), CaptureError> {
        // An older ring is not at its end while something of it is kept.
        let kept = self.capture.is_catching_up() && !self.line.waiting.is_empty();
        let reading = if drained == Drained::Empty && !kept { empty } else { Reading::Backlog };
        let losses = self.capture.losses(boot_now_ns(), reading)?;
        self.line.doubt_after(self.capture.execs_lost());
        if losses.iter().any(|lost| lost.gap.kind == RecordKind::Exit) {
            self.line.enricher.reconcile();
        }
        for Lost { gap, stage } in losses {
            let stage = match stage {
                LostStage::RingFull => LossStage::RingFull,
                LostStage::Recursion => LossStage::KernelRecursion,
                LostStage::Unreadable => LossStage::Unreadable,
            };
            let kind = match gap.kind {
                RecordKind::Fork => LossKind::Fork,
                RecordKind::Exit => LossKind::Exit,
                RecordKind::Exec
                | RecordKind::FailedExecve
                | RecordKind::FailedExecveat
                | RecordKind::FailedCompatExecve
                | RecordKind::FailedCompatExecveat => LossKind::Exec,
            };
            self.line.lost(stage, kind, gap.count, gap.first_boot_ns, gap.last_boot_ns);
        }
        self.line.report_spool();
        Ok(())
    }
}

impl ToSpool {
    /// One record: fork and exit feed the process table, an exec becomes an event, and so does an
    /// exit if that is wanted.
    fn read(&mut self, record: &[u8], at: Place) {
        self.position = at.position;
        self.doubt_after(at.execs_lost);
        match decode(record) {
            Ok(Record::Fork(_, fork)) => self.enricher.fork(&fork),
            Ok(Record::Exit(_, exit)) if !self.ends => self.enricher.exit(&exit),
            Ok(Record::Exit(header, exit)) => {
                if let Some(exit) = self.enricher.end(&header, &exit) {
                    self.counts.ends += 1;
                    self.hold(Event::Exit(Box::new(exit)), Pending::default());
                }
            }
            Ok(Record::Exec(exec) | Record::Failure(exec)) => {
                self.counts.execs += 1;
                let mut exec = Box::new(self.enricher.exec(&exec));
                let pending = match &mut self.hasher {
                    // What was not executed was not loaded either.
                    Some(hasher) if exec.failure.is_none() => hasher.begin(&mut exec),
                    _ => Pending::default(),
                };
                self.hold(Event::Exec(exec), pending);
            }
            Err(error) => {
                tracing::error!(%error, "a record from the kernel is broken");
                self.enricher.doubt();
                let now = boot_now_ns();
                let loss = self.loss(LossStage::Undecodable, kind_of(record), 1, now, now);
                // Found again where the record is read again, so it must not be stored before it.
                self.hold(Event::Loss(loss), Pending::default());
            }
        }
    }

    /// So many executions are known to be lost by now. Another count, be it of another ring: what living
    /// processes run is in doubt.
    fn doubt_after(&mut self, execs_lost: u64) {
        if execs_lost != self.execs_lost {
            self.execs_lost = execs_lost;
            self.enricher.doubt();
        }
    }

    /// An event in its turn: at once, unless it has to wait or another one before it does.
    fn hold(&mut self, event: Event, pending: Pending) {
        if self.waiting.is_empty() && pending.is_over() {
            self.complete(event, pending);
        } else {
            self.waiting.push(event, pending, self.position, Instant::now());
        }
    }

    /// Whether so much was read while an event waits that it has to go.
    fn is_too_far(&self) -> bool {
        self.waiting.is_too_far(self.position)
    }

    /// Puts into the block what need not wait any longer. True when the block is full and there may be
    /// more.
    fn settle(&mut self) -> bool {
        if let Some(hasher) = &mut self.hasher {
            hasher.take();
        }
        let now = Instant::now();
        while !self.writer.is_block_full() {
            let Some(Held { event, pending, .. }) = self.waiting.pop(now, self.position) else {
                return false;
            };
            self.complete(event, pending);
        }
        !self.waiting.is_empty()
    }

    fn complete(&mut self, mut event: Event, pending: Pending) {
        if let (Some(hasher), Event::Exec(exec)) = (&mut self.hasher, &mut event) {
            hasher.complete(pending, exec);
        }
        self.matcher.apply(&mut event);
        // What others have of arguments comes from the process table, which has it without secrets.
        if let (Some(redactor), Event::Exec(exec)) = (&self.redactor, &mut event) {
            redactor.exec(exec);
        }
        self.put(&event);
    }

    fn put(&mut self, event: &Event) {
        self.encoded.clear();
        codec::encode(event, &mut self.encoded);
        self.writer.append(&self.encoded);
    }
}

/// What a broken record was about; an exec, when not even that can be told.
fn kind_of(record: &[u8]) -> LossKind {
    match header(record).map(|header| header.kind) {
        Some(kind) if kind == RecordKind::Fork as u16 => LossKind::Fork,
        Some(kind) if kind == RecordKind::Exit as u16 => LossKind::Exit,
        _ => LossKind::Exec,
    }
}
