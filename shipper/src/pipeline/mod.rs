//! Wires and supervises: capture and enrichment on a thread of their own, one task a sink. The only
//! place that starts threads and tasks.

mod sinks;
mod waiting;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::capture::{Capture, CaptureError, Enforce, FailuresSeen, Mode, Options, privileges};
use crate::config::settings::{
    EnrichSettings, HashKeyError, HashSettings, RedactSettings, Settings,
};
use crate::deliver::{Control, Delivered};
use crate::enrich::hash::{self, Hasher};
use crate::enrich::{Enricher, StateDirs};
use crate::rules::Matcher;
use crate::spool::disk::RealDisk;
use crate::spool::{self, SpoolError};
use sinks::OpenSink;
use waiting::Waiting;
use work::{Counts, Work};

/// How long a sink may hang in one call beyond `shutdown_timeout`: a file server that does not answer.
const HANG_LIMIT: Duration = Duration::from_secs(15);

/// Why the daemon ends.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Capture cannot be done, or can no longer be done.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A sink cannot be used at all.
    #[error("sink {name}: {source}")]
    Sink {
        /// Which.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key for the hashes of removed secrets cannot be had.
    #[error(transparent)]
    HashKey(#[from] HashKeyError),
    /// The system refuses threads or signals.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What the signals ask for.
#[derive(Default)]
struct Signals {
    /// SIGINT or SIGTERM came: stop reading, deliver, end.
    stop: AtomicBool,
    /// All that was read is in the spool.
    committed: AtomicBool,
}

/// A sink's task.
struct Task {
    name: String,
    handle: JoinHandle<Delivered>,
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
    let redactor =
        settings.redact.as_ref().map(RedactSettings::redactor).transpose()?.map(Arc::new);
    let system = |what| move |source| PipelineError::System { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("the runtime cannot be started"))?;
    let (control, watched) = watch::channel(Control::default());

    let names: Vec<String> = settings.sinks.iter().map(|sink| sink.name.clone()).collect();
    let (writer, spool) =
        spool::open(sinks::spool_options(&settings.spool), Arc::new(RealDisk), &names)?;
    let mut tasks = Vec::new();
    let mut housekeepers = Vec::new();
    for sink in &settings.sinks {
        let OpenSink { line, housekeeper } = sinks::open(sink, &spool, &settings.spool.dir)?;
        if let Some(housekeeper) = housekeeper {
            let thread = std::thread::Builder::new()
                .name("housekeeper".to_owned())
                .spawn(move || housekeeper.run())
                .map_err(system("a thread cannot be started"))?;
            housekeepers.push(thread);
        }
        let watched = watched.clone();
        let handle = runtime.spawn(line.run(watched));
        tasks.push(Task { name: sink.name.clone(), handle });
    }

    let signals = Arc::new(Signals::default());
    watch_signals(&runtime, control.clone(), signals.clone(), settings.shutdown_timeout)
        .map_err(system("signals cannot be watched"))?;

    let capture = Capture::start(options)?;
    announce(&capture, options);
    for note in settings.notes() {
        tracing::warn!("{note}");
    }
    if let Some(Enforce { rules, dry_run, .. }) = &options.enforce {
        tracing::info!(rules = rules.len(), dry_run, "deny rules are in the kernel");
    }
    let enricher =
        enricher(&settings.enrich).with_env(&settings.capture.env).with_redaction(redactor.clone());
    let ends = settings.capture.exit;
    let hashing = hashing(settings).map_err(system("a thread cannot be started"))?;
    let matcher = Matcher::new(settings.rules.clone());
    let watched_signals = signals.clone();
    let captured = std::thread::Builder::new()
        .name("capture".to_owned())
        .spawn(move || {
            Work::new(capture, enricher, ends, hashing, matcher, redactor, writer)?
                .run(&watched_signals.stop)
        })
        .map_err(system("a thread cannot be started"))?
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    signals.committed.store(true, Ordering::Relaxed);

    // The spool is closed now: every task ends when its sink has the rest, or at its deadline, which
    // no signal has set when capture failed.
    control.send_modify(|control| {
        let deadline = Instant::now() + settings.shutdown_timeout;
        control.deadline.get_or_insert(deadline);
    });
    if await_sinks(&runtime, tasks, watched) {
        for thread in housekeepers {
            if thread.join().is_err() {
                tracing::error!("the thread that compresses rotated files ended badly");
            }
        }
    } else {
        runtime.shutdown_background();
    }
    let Counts { execs, ends, lost, left_out, evicted } = captured?;
    let ends = settings.capture.exit.then_some(ends);
    let filters = !options.filters.describe().is_empty();
    let left_out = (filters || left_out > 0).then_some(left_out);
    let evicted = (evicted > 0).then_some(evicted);
    tracing::info!(execs, lost, ends, left_out, evicted, "capture ended");
    Ok(())
}

/// What hashes files, and where events wait for it. Its threads are not waited for at the end: one that
/// reads from a file server which does not answer cannot be told to stop.
fn hashing(settings: &Settings) -> std::io::Result<(Option<Hasher>, Waiting)> {
    let ring_bytes = settings.capture.ring_buffer_bytes.into();
    let Some(HashSettings { bytes_max, wait_max }) = settings.enrich.hash else {
        return Ok((None, Waiting::new(Duration::ZERO, ring_bytes)));
    };
    let (hasher, workers) = hash::hasher(bytes_max, wait_max);
    for worker in workers {
        std::thread::Builder::new().name("hash".to_owned()).spawn(move || worker.run())?;
    }
    Ok((Some(hasher), Waiting::new(wait_max, ring_bytes)))
}

/// Waits for every sink to end. False when one does not, or is not to be waited for any longer.
fn await_sinks(runtime: &Runtime, tasks: Vec<Task>, mut watched: watch::Receiver<Control>) -> bool {
    for Task { name, handle } in tasks {
        let ended = runtime.block_on(async {
            let limit = async {
                let deadline = watched.borrow().deadline.unwrap_or_else(Instant::now);
                let left = watched.wait_for(|control| control.leave);
                let _ = tokio::time::timeout_at(deadline + HANG_LIMIT, left).await;
            };
            tokio::select! {
                ended = handle => Some(ended),
                () = limit => None,
            }
        });
        match ended {
            Some(Ok(Delivered { sent, quarantined, complete })) => {
                let rest = if complete { "" } else { "; the rest waits in the spool" };
                tracing::info!(sink = name, events = sent, quarantined, "delivered{rest}");
            }
            Some(Err(error)) => {
                tracing::error!(sink = name, %error, "the delivery task ended badly");
            }
            None => {
                tracing::warn!(sink = name, "left while it was busy; the rest waits in the spool");
                return false;
            }
        }
    }
    true
}

/// SIGINT and SIGTERM stop, a second one leaves as soon as all that was read is in the spool; SIGHUP
/// reopens files.
fn watch_signals(
    runtime: &Runtime,
    control: watch::Sender<Control>,
    signals: Arc<Signals>,
    shutdown_timeout: Duration,
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
                    tracing::info!(
                        "SIGHUP: reopening files; configuration and rules are as they were, a restart \
                         takes over new ones"
                    );
                    control.send_modify(|control| control.reopens += 1);
                    continue;
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let now = Instant::now();
            if !signals.stop.swap(true, Ordering::Relaxed) {
                tracing::info!("stopping; a second signal leaves at once");
                let deadline = Some(now + shutdown_timeout);
                control.send_modify(|control| control.deadline = deadline);
            } else if !control.borrow().leave {
                tracing::warn!("second signal: leaving; what is not delivered waits in the spool");
                control.send_modify(|control| {
                    control.deadline = Some(now);
                    control.leave = true;
                });
            } else if !signals.committed.load(Ordering::Relaxed) {
                // The disk hangs. Nobody can write what is in the ring.
                tracing::error!("third signal: leaving; what was captured last is lost");
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

fn enricher(settings: &EnrichSettings) -> Enricher {
    let dirs = settings.container_dirs.clone();
    let state_dirs =
        StateDirs { docker: dirs.docker, containerd: dirs.containerd, storage: dirs.storage };
    Enricher::new(settings.ancestry_depth_max, state_dirs)
        .with_process_table(settings.process_table_max)
}

fn announce(capture: &Capture, options: &Options) {
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
    if let FailuresSeen::No(error) = &capture.failures {
        tracing::info!("executions that fail are not seen: {error}");
    }
    for filter in options.filters.describe() {
        tracing::info!("not recorded, and counted: {filter}");
    }
    if capture.mode() == Mode::Tracepoint {
        for script in capture.tree_scripts() {
            tracing::warn!(
                "capture.exclude.trees: {} is a script, which is not told from others of its \
                 interpreter in mode tracepoint: nothing is left out for it",
                script.display()
            );
        }
    }
    tracing::info!(mode = capture.mode().as_str(), "capture has begun");
}
