//! How long the daemon takes to begin when its spool is full of what a sink has not got.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use serde_json::{Value, json};
use shipper::spool::{Compression, Fsync};

use super::append::{fill, open, options, segments_of};
use super::report::{Aim, Figure};
use super::synthetic::Pool;
use super::{process, steady};
use crate::daemon::Daemon;

/// Bytes of the backlog, and of a smaller one where the disk has no room for it.
const BYTES: [u64; 2] = [10 << 30, 1 << 30];

/// How long the daemon goes on before its memory is looked at: by then the sink has its batch.
const SETTLE: Duration = Duration::from_secs(2);

/// Most memory aimed at.
const MEMORY_MB: Aim = Aim::AtMost(64.0);

/// Measures it.
///
/// # Errors
/// What could not be run.
pub fn run(pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    let dir = crate::daemon::directory()?;
    let space = rustix::fs::statvfs(dir.path())?;
    let free = space.f_bavail * space.f_frsize;
    let [large, small] = BYTES;
    let bytes = if free > 2 * large { large } else { small };
    let (empty, _) = start(crate::daemon::directory()?)?;
    eprintln!("a backlog of {:.1} GB ...", bytes as f64 / 1e9);
    let spool = dir.path().join("spool");
    // Not compressed: it is made sooner, and what counts is how much there is.
    let (writer, _spool) = open(options(&spool, Compression::None, Fsync::Never))?;
    fill(writer, pool, bytes / (pool.record_bytes + 4))?;
    drop(_spool);
    let mut on_disk = 0;
    for path in segments_of(&spool)? {
        // As after a start of the machine: nothing of it is in memory.
        let file = File::open(path)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        on_disk += file.metadata()?.len();
    }
    let (took, memory) = start(dir)?;
    let gb = on_disk as f64 / 1e9;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let figures = vec![
        Figure {
            name: "start-up with a backlog",
            value: took.as_secs_f64(),
            unit: "s",
            aim: Some(Aim::AtMost(1.0)),
            how: format!(
                "from starting the program to `capture has begun`, {gb:.1} GB in the spool, none of it \
                 cached; {:.2} s with an empty spool",
                empty.as_secs_f64()
            ),
        },
        Figure {
            name: "memory with a backlog",
            value: mb(memory.proportional),
            unit: "MB",
            aim: Some(MEMORY_MB),
            how: format!(
                "Pss {} s later, the sink down; {:.1} MB heap and stacks",
                SETTLE.as_secs(),
                mb(memory.anonymous)
            ),
        },
    ];
    let details = json!({
        "backlog_bytes": on_disk,
        "start_ms": took.as_millis() as u64,
        "start_with_empty_spool_ms": empty.as_millis() as u64,
        "memory": steady::memory_json(&memory),
    });
    Ok((figures, details))
}

/// Starts a daemon over the spool in `dir`, whose sink writes to a pipe that nobody reads: how long
/// until capture has begun, and its memory a little later.
fn start(dir: tempfile::TempDir) -> anyhow::Result<(Duration, process::Memory)> {
    let yaml = format!(
        "spool:\n  dir: {}\n  bytes_max: 1TiB\n  disk_free_min: 1MiB\nsinks:\n  - name: {}\n    \
         type: console\n    output: json\n",
        dir.path().join("spool").display(),
        super::append::SINK,
    );
    crate::daemon::build()?;
    let begin = Instant::now();
    let daemon = Daemon::start_writing_to(dir, &yaml, Stdio::piped())?;
    let took = begin.elapsed();
    std::thread::sleep(SETTLE);
    let memory = process::memory(daemon.pid())?;
    Ok((took, memory))
}
