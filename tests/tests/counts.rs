//! Counts of real work, held against those of bpftrace in the same run: what stress-ng's stressors, the
//! build of a C project and the installation of packages execute and end. `tests/counts.sh target/counts`
//! fetches what that needs.
//!
//! Each runs in a cgroup of its own, by which bpftrace knows it; the daemon's events are known by their
//! ancestor, the first process in there.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shipper_tests::bpftrace::{Bpftrace, Counted, unified_hierarchy};
use shipper_tests::daemon::{Daemon, config};
use shipper_tests::{skip, tiny};

/// Bytes of a name that a task has.
const COMM_BYTES_MAX: usize = 15;

/// A cgroup of this test; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(name: &str) -> Result<Option<Cgroup>> {
        let Some(top) = unified_hierarchy() else {
            skip("cgroup v2 is not mounted");
            return Ok(None);
        };
        let path = top.join(format!("shipper-test-{name}-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir(&path) {
            skip(&format!("no cgroup can be made: {}: {error}", path.display()));
            return Ok(None);
        }
        Ok(Some(Cgroup(path)))
    }

    fn id(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.0)?.ino())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// What is run: a shell script, and the values it gets as arguments.
struct Work {
    name: &'static str,
    script: &'static str,
    args: Vec<PathBuf>,
    /// Fewer executions than this are no such work.
    execs_min: u64,
}

/// The stressor `exec` executes in each way it knows, from threads as well, and fails on purpose.
/// It does nothing as root.
const STRESS: &str = "cd \"$1\" && chmod 777 . \
                      && setpriv --reuid=65534 --regid=65534 --clear-groups \
                         stress-ng --quiet --exec 2 --exec-max 50 --exec-ops 200 \
                      && stress-ng --quiet --fork 2 --fork-ops 1500 \
                      && stress-ng --quiet --vfork 2 --vfork-ops 500";

const CONFIGURE: &str = "cp -r \"$1\" \"$2\" && cd \"$2\" && ./configure --disable-ssl --disable-gssapi \
                         --disable-zstd --disable-lz4-ext --disable-curl >log 2>&1";

const BUILD: &str = "cp -r \"$1\" \"$2\" && cd \"$2\" && cat >Makefile && make -s -j4";

/// Built without a Makefile of its own in the crate that has these sources.
const MAKEFILE: &str = "S := $(shell find common compress decompress dictBuilder -name '*.c')
libzstd.a: $(S:%.c=build/%.o)
\tar rcs $@ $^
build/%.o: %.c
\t@mkdir -p $(@D)
\t$(CC) -O0 -DZSTD_DISABLE_ASM -c -o $@ $<
";

const INSTALL: &str = "mkdir -p \"$1/var/lib/dpkg\" && : >\"$1/var/lib/dpkg/status\" && root=$1 && shift \
                       && dpkg --root=\"$root\" --force-all --force-script-chrootless -i \"$@\" \
                       >\"$root/log\" 2>&1";

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Where the sources of a crate of this workspace are.
fn sources(metadata: &Value, name: &str) -> Option<PathBuf> {
    let packages = metadata["packages"].as_array()?;
    let package = packages.iter().find(|package| package["name"] == name)?;
    Some(Path::new(package["manifest_path"].as_str()?).parent()?.to_owned())
}

/// What this machine has the programs for; the rest is skipped with a word.
fn works(dir: &Path) -> Result<Vec<Work>> {
    let mut works = Vec::new();
    if has("stress-ng") {
        let stress = dir.join("stress");
        std::fs::create_dir(&stress)?;
        works.push(Work { name: "stress-ng", script: STRESS, args: vec![stress], execs_min: 50 });
    } else {
        skip("stress-ng is not there: run tests/counts.sh target/counts");
    }
    if has("make") && has("cc") {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .current_dir(root)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata = serde_json::from_slice(&output.stdout)?;
        let librdkafka = sources(&metadata, "rdkafka-sys").context("rdkafka-sys")?;
        let zstd = sources(&metadata, "zstd-sys").context("zstd-sys")?;
        let args = vec![librdkafka.join("librdkafka"), dir.join("configured")];
        works.push(Work { name: "configure", script: CONFIGURE, args, execs_min: 100 });
        let args = vec![zstd.join("zstd/lib"), dir.join("built")];
        works.push(Work { name: "make -j4", script: BUILD, args, execs_min: 100 });
    } else {
        skip("no C compiler or no make is there: run tests/counts.sh target/counts");
    }
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/counts");
    let mut args = vec![dir.join("root")];
    for entry in std::fs::read_dir(&packages).into_iter().flatten() {
        args.extend(
            Some(entry?.path()).filter(|path| path.extension().is_some_and(|e| e == "deb")),
        );
    }
    if has("dpkg") && args.len() > 1 {
        works.push(Work { name: "dpkg", script: INSTALL, args, execs_min: 10 });
    } else {
        skip("no dpkg or no packages are there: run tests/counts.sh target/counts");
    }
    Ok(works)
}

impl Work {
    /// Does it in that cgroup. Returns the pid of the first process in there.
    fn run(&self, cgroup: &Cgroup) -> Result<u32> {
        use std::io::Write as _;
        let mut child = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
            .arg("into-cgroup")
            .arg(&cgroup.0)
            .args(["/bin/sh", "-c", &format!("{}; code=$?; exit $code", self.script), self.name])
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("its input")?;
        // What does not read it has ended by then.
        let _ = input.write_all(MAKEFILE.as_bytes());
        drop(input);
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{} failed", self.name);
        let said = String::from_utf8_lossy(&output.stdout);
        let pid = said.lines().find_map(|line| line.strip_prefix("PID=")).context("a pid")?;
        Ok(pid.parse()?)
    }
}

/// What the events say of the process with this entity id and all that descend from it.
fn told(events: &[Value], top: &Value) -> Counted {
    let descends = |event: &&Value| {
        event["process"]["entity_id"] == *top
            || event["shipper"]["ancestry"]
                .as_array()
                .is_some_and(|ancestors| ancestors.iter().any(|one| one["entity_id"] == *top))
    };
    let mut told = Counted::default();
    for event in events.iter().filter(descends) {
        match event["event"]["action"].as_str() {
            Some("exec") => {
                let name = event["process"]["name"].as_str().unwrap_or_default();
                let comm = name.get(..COMM_BYTES_MAX).unwrap_or(name);
                *told.execs.entry(comm.to_owned()).or_default() += 1;
            }
            Some("end") => told.ends += 1,
            _ => {}
        }
    }
    told
}

fn lost(events: &[Value], kind: &str) -> u64 {
    let losses = events.iter().map(|event| &event["shipper"]["loss"]);
    losses.filter(|loss| loss["kind"] == kind).filter_map(|loss| loss["count"].as_u64()).sum()
}

#[test]
fn what_real_work_executes_and_ends_is_counted_as_bpftrace_counts_it() -> Result<()> {
    if !rustix::process::geteuid().is_root() || !has("bpftrace") {
        skip("bpftrace and root are needed: run tests/counts.sh target/counts");
        return Ok(());
    }
    let capture = "  exit: true\n  ring_buffer_bytes: 64MiB\nenrich:\n  ancestry_depth_max: 64\n";
    let sink = "    rotate: { bytes: 1TiB }\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, capture, sink))? else {
        return Ok(());
    };
    let works = works(daemon.dir())?;
    let mut cgroups = Vec::new();
    for (number, _) in works.iter().enumerate() {
        let Some(cgroup) = Cgroup::make(&format!("counts-{number}"))? else { return Ok(()) };
        cgroups.push((cgroup.id()?, cgroup));
    }
    let mut bpftrace = Bpftrace::start(&cgroups.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
    let probe = daemon.dir().join("probe");
    tiny::write(&probe, &tiny::ends_at_once(), 0o755)?;
    if let Err(error) = bpftrace.await_counting(&probe, daemon.dir()) {
        skip(&error.to_string());
        return Ok(());
    }
    let mut tops = Vec::new();
    for (work, (_, cgroup)) in works.iter().zip(&cgroups) {
        let begun = std::time::Instant::now();
        tops.push(work.run(cgroup)?);
        println!("{}: {:.1?}", work.name, begun.elapsed());
    }
    let mut counted = bpftrace.end()?;
    let stopped = daemon.stop()?;
    ensure!(stopped.status.success(), "{}", stopped.log);
    let events = stopped.events()?;
    let (execs_lost, ends_lost) = (lost(&events, "exec"), lost(&events, "exit"));
    for ((work, (id, _)), pid) in works.iter().zip(&cgroups).zip(tops) {
        let is_top = |event: &&Value| {
            event["process"]["pid"] == pid && event["process"]["args"][3] == work.name
        };
        let top =
            events.iter().find(is_top).with_context(|| format!("{} has no event", work.name))?;
        let told = told(&events, &top["process"]["entity_id"]);
        let counted = counted.remove(id).unwrap_or_default();
        let execs = counted.execs.values().sum::<u64>();
        println!("{}: {execs} execs, {} ends, by bpftrace", work.name, counted.ends);
        assert!(execs >= work.execs_min, "{} did not do its work", work.name);
        if execs_lost == 0 {
            assert_eq!(told.execs, counted.execs, "{}", work.name);
        }
        let told_execs = told.execs.values().sum::<u64>();
        assert_agree(&format!("{}: execs", work.name), told_execs, execs, execs_lost);
        assert_agree(&format!("{}: ends", work.name), told.ends, counted.ends, ends_lost);
    }
    Ok(())
}

/// To the last one, where nothing was lost; else nothing is missing that is not reported as lost.
fn assert_agree(what: &str, told: u64, counted: u64, lost: u64) {
    let missing = counted.checked_sub(told);
    let missing = missing.unwrap_or_else(|| panic!("{what}: {told} told, only {counted} counted"));
    assert!(missing <= lost, "{what}: {told} told of {counted}, and {lost} reported as lost");
}
