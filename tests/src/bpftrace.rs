//! bpftrace as an independent count: it counts in the kernel, by programs of its own, what happens in some
//! cgroups.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Name of the program by whose executions it is known that everything is counted.
const PROBE: &str = "count-probe";

/// What was counted in one cgroup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Executions, by the name of the task afterwards: 15 bytes of the program's at most.
    pub execs: BTreeMap<String, u64>,
    /// Ends of processes.
    pub ends: u64,
}

/// A bpftrace at work. Dropping it ends it, and with it its programs in the kernel.
pub struct Bpftrace {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The unified hierarchy of cgroups, wherever it is mounted.
#[must_use]
pub fn unified_hierarchy() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    // `ID PARENT DEVICE ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS`
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

impl Bpftrace {
    /// Counts in these cgroups, by their numbers, which are the inodes of their directories.
    pub fn start(cgroups: &[u64]) -> anyhow::Result<Bpftrace> {
        let here: Vec<String> = cgroups.iter().map(|id| format!("cgroup == {id}")).collect();
        let here = format!("({}) && comm != \"{PROBE}\"", here.join(" || "));
        // The end of a process is that of its last thread.
        let program = format!(
            "tracepoint:sched:sched_process_exec /{here}/ {{ @execs[cgroup, comm] = count(); }}
             tracepoint:sched:sched_process_exit /{here} && curtask->signal->live.counter == 0/
                 {{ @ends[cgroup] = count(); }}
             tracepoint:sched:sched_process_exec /comm == \"{PROBE}\"/ {{ printf(\"probe-begun\"); }}
             tracepoint:sched:sched_process_exit /comm == \"{PROBE}\"/ {{ printf(\"probe-ended\"); }}"
        );
        // It finds tracepoints in tracefs; what is mounted for it is seen by nobody else.
        let script =
            "mount -t tracefs nodev /sys/kernel/tracing; mount -t debugfs nodev /sys/kernel/debug
                      exec bpftrace -f json -e \"$0\"";
        let mut child = Command::new("unshare")
            .args(["--mount", "/bin/sh", "-c", script, &program])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("unshare of util-linux is needed")?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        Ok(Bpftrace { child, lines })
    }

    /// Executes a copy of this program until both its beginning and its end were counted, so that all that
    /// comes after is counted as well. Fails where bpftrace ends instead.
    pub fn await_counting(&mut self, program: &Path, dir: &Path) -> anyhow::Result<()> {
        let probe = dir.join(PROBE);
        std::fs::copy(program, &probe)?;
        // Probes are executed on and on by a thread, while this one reads what bpftrace says.
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    let _ = Command::new(&probe).status();
                    std::thread::sleep(crate::process::LOOK_INTERVAL);
                }
            });
            let (mut begun, mut ended) = (false, false);
            for line in &mut self.lines {
                let line = line?;
                begun |= line.contains("probe-begun");
                ended |= line.contains("probe-ended");
                if begun && ended {
                    drop(stop);
                    return Ok(());
                }
            }
            bail!("bpftrace does not work on this machine")
        })
    }

    /// What was counted, by cgroup.
    pub fn end(mut self) -> anyhow::Result<BTreeMap<u64, Counted>> {
        // Not reaped yet, so the pid is still its own.
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let mut counted: BTreeMap<u64, Counted> = BTreeMap::new();
        for line in &mut self.lines {
            let Ok(Value::Object(line)) = serde_json::from_str(&line?) else { continue };
            let Some(Value::Object(maps)) = line.get("data") else { continue };
            for (name, map) in maps {
                let (true, Value::Object(map)) = (name.starts_with('@'), map) else { continue };
                for (key, count) in map {
                    let count = count.as_u64().context("a count")?;
                    let (cgroup, comm) = key.split_once(',').unwrap_or((key, ""));
                    let counted = counted.entry(cgroup.parse()?).or_default();
                    match name.as_str() {
                        "@execs" => _ = counted.execs.insert(comm.to_owned(), count),
                        _ => counted.ends = count,
                    }
                }
            }
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "bpftrace ended with {status}");
        Ok(counted)
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // Ended and reaped already after `end`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
