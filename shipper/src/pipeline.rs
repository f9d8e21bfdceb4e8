//! Wires and supervises: capture and enrichment on a thread of their own, one task a sink. The only
//! place that starts threads and tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::decode::{Record, decode, header};
use common::wire::RecordKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::capture::{Capture, CaptureError, Lost, LostStage, Options, Reading, privileges};
use crate::config::settings::{Settings, SinkKind, SinkSettings};
use crate::deliver::{self, Control, Delivered};
use crate::enrich::Enricher;
use crate::enrich::clock::{boot_now_ns, wall_now};
use crate::event::{Event, Loss, LossKind, LossStage};
use crate::sink::Sink;
use crate::sink::console::ConsoleSink;
use crate::sink::file::{FileError, FileSink};

/// Memory the events in one sink's queue may take. When it is full, the ring fills, and what then
/// does not fit is counted by the kernel.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// After a wake-up, how long the ring may fill before it is read: one wake-up for many records.
const RING_LINGER: Duration = Duration::from_millis(10);

/// How often losses and slow changes are looked for.
const TICK: Duration = Duration::from_secs(1);

/// How long sinks may take to deliver the rest when the daemon stops.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// How long a sink may hang in one call when the daemon stops: a file server that does not answer.
const HANG_LIMIT: Duration = Duration::from_secs(15);

/// Why the daemon ends.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Capture cannot be done, or can no longer be done.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A sink cannot be used at all.
    #[error("sink {name}: {source}")]
    Sink {
        /// Which.
        name: String,
        /// Why.
        source: FileError,
    },
    /// The system refuses threads or signals.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Events were not delivered before the daemon had to stop.
    #[error("{count} events were not delivered to sink {sink} before shutdown and are lost")]
    Undelivered {
        /// Which sink.
        sink: String,
        /// How many events.
        count: u64,
    },
    /// A sink did not return from a call.
    #[error("sink {sink} did not answer at shutdown: the events in its queue are lost, uncounted")]
    Hanging {
        /// Which sink.
        sink: String,
    },
}

/// What was captured.
#[derive(Debug, Default)]
struct Counts {
    /// Executions read.
    execs: u64,
    /// Executions lost on the way here.
    lost: u64,
    /// Events that came after a sink had given up, by sink.
    refused: Vec<u64>,
}

/// The queues of all sinks, and how many events each refused.
struct Outlets {
    senders: Vec<(deliver::Sender, u64)>,
    runtime: tokio::runtime::Handle,
}

impl Outlets {
    /// Hands the event to every sink, waiting for room. A sink refuses only once it has given up,
    /// past the deadline of a shutdown.
    fn emit(&mut self, event: Event) {
        let event = Arc::new(event);
        for (sender, refused) in &mut self.senders {
            if self.runtime.block_on(sender.send(event.clone())).is_err() {
                *refused += 1;
            }
        }
    }
}

/// Captures and delivers until SIGINT or SIGTERM.
///
/// # Errors
/// What made it impossible to begin or to go on.
pub fn run(settings: &Settings, options: &Options) -> Result<(), PipelineError> {
    // Before any file is touched: what is told first should be what is wrong first.
    if let Some(missing) = privileges::missing() {
        return Err(CaptureError::NotPermitted(missing).into());
    }
    let system = |what| move |source| PipelineError::System { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("the runtime cannot be started"))?;
    let (control, watched) = watch::channel(Control::default());

    let mut outlets = Outlets { senders: Vec::new(), runtime: runtime.handle().clone() };
    let mut tasks: Vec<(String, JoinHandle<Delivered>)> = Vec::new();
    let mut housekeepers = Vec::new();
    for sink in open_sinks(settings)? {
        let OpenSink { name, mut sink, housekeeper } = sink;
        if let Some(housekeeper) = housekeeper {
            let thread = std::thread::Builder::new()
                .name("housekeeper".to_owned())
                .spawn(move || housekeeper.run())
                .map_err(system("a thread cannot be started"))?;
            housekeepers.push(thread);
        }
        let (sender, mut receiver) = deliver::queue(QUEUE_BYTES_MAX);
        outlets.senders.push((sender, 0));
        let mut watched = watched.clone();
        let task_name = name.clone();
        let task = runtime.spawn(async move {
            deliver::run(&task_name, sink.as_mut(), &mut receiver, &mut watched).await
        });
        tasks.push((name, task));
    }

    let stop = Arc::new(AtomicBool::new(false));
    watch_signals(&runtime, control.clone(), stop.clone())
        .map_err(system("signals cannot be watched"))?;

    let capture = Capture::start(options)?;
    announce(&capture);
    let depth_max = settings.enrich.ancestry_depth_max;
    let work = move || Work::new(capture, depth_max, outlets).run(&stop);
    let captured = std::thread::Builder::new()
        .name("capture".to_owned())
        .spawn(work)
        .map_err(system("a thread cannot be started"))?
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));

    // The queues are closed now: every task ends when its sink has the rest, or at its deadline,
    // which no signal has set when capture failed.
    control.send_modify(|control| {
        control.deadline.get_or_insert(tokio::time::Instant::now() + SHUTDOWN_LIMIT);
    });
    let mut undelivered = None;
    for (index, (name, task)) in tasks.into_iter().enumerate() {
        let ended = runtime.block_on(async { tokio::time::timeout(HANG_LIMIT, task).await });
        let Ok(ended) = ended else {
            tracing::error!(sink = name, "does not answer; leaving without it");
            runtime.shutdown_background();
            return Err(PipelineError::Hanging { sink: name });
        };
        let mut delivered = ended.unwrap_or_else(|error| {
            tracing::error!(sink = name, %error, "the delivery task ended badly");
            Delivered { sent: 0, left: 1 }
        });
        delivered.left += captured.as_ref().map_or(0, |counts| counts.refused[index]);
        tracing::info!(sink = name, events = delivered.sent, "delivered");
        if delivered.left > 0 {
            undelivered = Some(PipelineError::Undelivered { sink: name, count: delivered.left });
        }
    }
    for thread in housekeepers {
        if thread.join().is_err() {
            tracing::error!("the thread that compresses rotated files ended badly");
        }
    }
    let counts = captured?;
    tracing::info!(execs = counts.execs, lost = counts.lost, "capture ended");
    undelivered.map_or(Ok(()), Err)
}

struct OpenSink {
    name: String,
    sink: Box<dyn Sink>,
    housekeeper: Option<crate::sink::file::Housekeeper>,
}

fn open_sinks(settings: &Settings) -> Result<Vec<OpenSink>, PipelineError> {
    settings
        .sinks
        .iter()
        .cloned()
        .map(|SinkSettings { name, kind, .. }| match kind {
            SinkKind::File(file) => {
                let (mut sink, housekeeper) = FileSink::new(file);
                sink.open().map_err(|source| PipelineError::Sink { name: name.clone(), source })?;
                Ok(OpenSink { name, sink: Box::new(sink), housekeeper: Some(housekeeper) })
            }
            SinkKind::Console(output) => {
                Ok(OpenSink { name, sink: Box::new(ConsoleSink::new(output)), housekeeper: None })
            }
        })
        .collect()
}

/// SIGINT and SIGTERM stop, a second one leaves at once; SIGHUP reopens files.
fn watch_signals(
    runtime: &tokio::runtime::Runtime,
    control: watch::Sender<Control>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: reopening files");
                    control.send_modify(|control| control.reopens += 1);
                    continue;
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                tracing::warn!("second signal: leaving at once");
                std::process::exit(1);
            }
            tracing::info!("stopping; a second signal leaves at once");
            let deadline = tokio::time::Instant::now() + SHUTDOWN_LIMIT;
            control.send_modify(|control| control.deadline = Some(deadline));
        }
    });
    Ok(())
}

fn announce(capture: &Capture) {
    for (mode, error) in &capture.passed_over {
        tracing::info!("capture mode {} is not used: {error}", mode.as_str());
    }
    if !capture.missing_fields().is_empty() {
        tracing::warn!(
            "this kernel has no {}: what comes from there is absent from events",
            capture.missing_fields().join(", ")
        );
    }
    if !capture.has_credentials_before() {
        tracing::info!("credentials before an execution are not known in this mode on this kernel");
    }
    if !privileges::in_initial_pid_namespace() {
        tracing::warn!("{}", privileges::OTHER_PID_NAMESPACE);
    }
    tracing::info!(mode = capture.mode().as_str(), "capture has begun");
}

/// The thread that reads the ring.
struct Work {
    capture: Capture,
    enricher: Enricher,
    outlets: Outlets,
    counts: Counts,
    /// Evictions from the process table that were logged.
    evicted: u64,
}

impl Work {
    fn new(capture: Capture, depth_max: usize, outlets: Outlets) -> Self {
        // Capture runs already: a process that starts during the scan is in the ring as well.
        let mut enricher = Enricher::new(depth_max);
        enricher.seed();
        Work { capture, enricher, outlets, counts: Counts::default(), evicted: 0 }
    }

    fn run(mut self, stop: &AtomicBool) -> Result<Counts, CaptureError> {
        let mut next_tick = Instant::now() + TICK;
        while !stop.load(Ordering::Relaxed) {
            // A signal does not end the wait, so it is short enough to be prompt.
            let left = next_tick.saturating_duration_since(Instant::now());
            self.capture.wait(left.min(Duration::from_millis(200)))?;
            std::thread::sleep(RING_LINGER);
            let emptied = self.drain();
            self.capture.release();
            if Instant::now() >= next_tick {
                self.enricher.refresh();
                self.watch_table();
                self.account(if emptied { Reading::Empty } else { Reading::Backlog })?;
                next_tick = Instant::now() + TICK;
            }
        }
        self.capture.detach();
        while !self.drain() {
            self.capture.release();
        }
        self.account(Reading::Settled)?;
        self.counts.refused = self.outlets.senders.iter().map(|(_, refused)| *refused).collect();
        Ok(self.counts)
    }

    /// Says when the process table had to let go: ancestry is less sure from then on.
    fn watch_table(&mut self) {
        let (entries, evicted) = self.enricher.table_size();
        if evicted > self.evicted {
            let more = evicted - self.evicted;
            tracing::warn!(
                entries,
                "the process table is full: {more} processes had to be left out"
            );
            self.evicted = evicted;
        }
    }

    /// Reads until the ring is empty, or long enough that the caller should look around. True when
    /// the ring was read empty.
    fn drain(&mut self) -> bool {
        let until = Instant::now() + TICK;
        loop {
            let (enricher, outlets, counts) =
                (&mut self.enricher, &mut self.outlets, &mut self.counts);
            if !self.capture.next(|record| read(record, enricher, outlets, counts)) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    fn account(&mut self, reading: Reading) -> Result<(), CaptureError> {
        let losses = self.capture.losses(boot_now_ns(), reading)?;
        if losses.iter().any(|lost| lost.gap.kind == RecordKind::Exit) {
            self.enricher.reconcile();
        }
        for Lost { gap, stage } in losses {
            let stage = match stage {
                LostStage::RingFull => LossStage::RingFull,
                LostStage::Recursion => LossStage::KernelRecursion,
                LostStage::Unreadable => LossStage::Unreadable,
            };
            let kind = match gap.kind {
                RecordKind::Exec => LossKind::Exec,
                RecordKind::Fork => LossKind::Fork,
                RecordKind::Exit => LossKind::Exit,
            };
            let first = self.enricher.wall(gap.first_boot_ns);
            let last = self.enricher.wall(gap.last_boot_ns);
            let loss = self.enricher.loss(stage, kind, None, gap.count, first, last);
            report(loss, &mut self.outlets, &mut self.counts);
        }
        Ok(())
    }
}

/// One record: fork and exit feed the process table, an exec becomes an event.
fn read(record: &[u8], enricher: &mut Enricher, outlets: &mut Outlets, counts: &mut Counts) {
    match decode(record) {
        Ok(Record::Fork(_, fork)) => enricher.fork(&fork),
        Ok(Record::Exit(_, exit)) => enricher.exit(&exit),
        Ok(Record::Exec(exec)) => {
            counts.execs += 1;
            outlets.emit(Event::Exec(Box::new(enricher.exec(&exec))));
        }
        Err(error) => {
            tracing::error!(%error, "a record from the kernel is broken");
            let now = wall_now();
            let loss = enricher.loss(LossStage::Undecodable, kind_of(record), None, 1, now, now);
            report(loss, outlets, counts);
        }
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

fn report(loss: Loss, outlets: &mut Outlets, counts: &mut Counts) {
    tracing::warn!("{}", loss.sentence());
    if loss.kind == LossKind::Exec {
        counts.lost += loss.count;
    }
    outlets.emit(Event::Loss(loss));
}
