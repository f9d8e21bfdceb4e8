//! What goes wrong around the daemon: each has its message and exit code, and nothing written is
//! torn.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use rustix::process::Signal;
use serde_json::Value;
use shipper_tests::daemon::{
    self, Daemon, Follower, config, directory, has_arg, parse_whole, program, read_events,
    run_to_end,
};
use shipper_tests::{skip, tiny};

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("needs root");
    }
    root
}

fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn execute(word: &str) -> Result<()> {
    assert!(Command::new("/bin/true").arg(word).status()?.success());
    Ok(())
}

/// A small file system of its own, gone when dropped.
struct Tmpfs {
    dir: PathBuf,
    /// Where it is mounted; removed after it is unmounted, when fields are dropped.
    _place: tempfile::TempDir,
}

impl Tmpfs {
    /// `None`, and the test is skipped, where nothing may be mounted.
    fn mount(bytes: u32) -> Result<Option<Tmpfs>> {
        let place = directory()?;
        let dir = place.path().to_owned();
        let options = std::ffi::CString::new(format!("size={bytes},mode=0755"))?;
        match mount("shipper-test", &dir, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Ok(Some(Tmpfs { dir, _place: place })),
            Err(error) => {
                skip(&format!("no file system may be mounted here: {error}"));
                Ok(None)
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Detached also while a killed daemon is still closing its file.
        if let Err(error) = unmount(&self.dir, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.dir.display());
        }
    }
}

/// Runs a daemon that is to refuse; its exit code and what it said.
fn refusal(command: &mut Command) -> Result<(Option<i32>, String)> {
    daemon::build()?;
    let output = run_to_end(command.env("SHIPPER_LOG", "info"))?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

fn run_with(dir: &Path, yaml: &str) -> Result<Command> {
    let path = dir.join("shipper.yaml");
    std::fs::write(&path, yaml)?;
    let mut command = Command::new(program());
    command.args(["run", "--config"]).arg(path);
    Ok(command)
}

/// A configuration with a spool in `dir` whose file sink writes to the path.
fn writing_to(dir: &Path, path: &Path) -> String {
    let sink = format!("sinks:\n  - name: local\n    type: file\n    path: {}\n", path.display());
    daemon::spool(dir) + &sink
}

#[test]
fn a_broken_configuration_is_told_with_its_place_and_ends_with_2() -> Result<()> {
    let dir = directory()?;
    let cases = [
        // What it says, at which line and column, and a part of the message.
        ("sinks:\n  - name: x\n    type: file\n    paht: /x\n", "4:5", "`path`"),
        ("capture:\n  mode: tracepiont\nsinks: []\n", "2:9", "tracepoint"),
        ("capture: [\n", "", ""),
        ("sinks:\n\t- x\n", "2:", "tab"),
    ];
    for (yaml, place, part) in cases {
        let (code, said) = refusal(&mut run_with(dir.path(), yaml)?)?;
        assert_eq!(code, Some(2), "{said}");
        let wanted = format!("{}:{place}", dir.path().join("shipper.yaml").display());
        assert!(said.contains(&wanted) && said.contains(part), "{yaml}: {said}");
        // Line and column follow in any case.
        let (_, rest) = said.split_once("shipper.yaml:").context("a place")?;
        let numbers: Vec<_> = rest.split(':').take(2).map(str::parse::<u32>).collect();
        assert!(numbers.iter().all(Result::is_ok), "{said}");
    }
    Ok(())
}

#[test]
fn a_missing_configuration_is_told_and_ends_with_2() -> Result<()> {
    let dir = directory()?;
    let path = dir.path().join("none.yaml");
    let (code, said) = refusal(Command::new(program()).args(["run", "--config"]).arg(&path))?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&path.display().to_string()), "{said}");
    assert!(!said.contains("os error"), "in words, not numbers: {said}");
    Ok(())
}

#[test]
fn a_path_that_cannot_be_written_is_told_once_before_anything_is_captured() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let dir = directory()?;
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder)?;
    let file = dir.path().join("file");
    std::fs::write(&file, "somebody's\n")?;
    let Some(mounted) = Tmpfs::mount(1 << 20)? else { return Ok(()) };
    mount_remount(&mounted.dir, MountFlags::RDONLY, c"")?;
    let cases = [
        (file.join("below"), "that should be a directory is a file"),
        (mounted.dir.join("events.ndjson"), "mount the file system writable"),
    ];
    for (path, advice) in cases {
        let (code, said) = refusal(&mut run_with(dir.path(), &writing_to(dir.path(), &path))?)?;
        assert_eq!(code, Some(1), "{said}");
        for part in ["error: sink local", path.to_str().context("UTF-8")?, advice] {
            assert_eq!(said.matches(part).count(), 1, "`{part}` once: {said}");
        }
    }
    // What is a directory already was a mistake of whoever wrote the configuration.
    let (code, said) = refusal(&mut run_with(dir.path(), &writing_to(dir.path(), &folder))?)?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`sinks[0].path` is a directory; name a file in it"), "{said}");
    assert_eq!(std::fs::read(&file)?, b"somebody's\n");
    Ok(())
}

#[test]
fn without_privileges_it_says_what_is_needed_and_ends_with_1() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    daemon::build()?;
    let dir = directory()?;
    // Where the program was built, another user may have no way in.
    let copy = dir.path().join("shipper");
    std::fs::copy(program(), &copy)?;
    let theirs = dir.path().join("theirs");
    std::fs::create_dir(&theirs)?;
    std::os::unix::fs::chown(&theirs, Some(1000), Some(1000))?;
    std::fs::create_dir(dir.path().join("ours"))?;
    for place in ["theirs", "ours"] {
        let config = dir.path().join("shipper.yaml");
        std::fs::write(
            &config,
            writing_to(dir.path(), &dir.path().join(place).join("events.ndjson")),
        )?;
        let mut command = Command::new(&copy);
        command.args(["run", "--config"]).arg(config).uid(1000).gid(1000).current_dir("/");
        let (code, said) = refusal(&mut command)?;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("capture needs root"), "{place}: {said}");
        assert!(said.contains("CAP_BPF"), "{place}: {said}");
    }
    Ok(())
}

#[test]
fn a_kernel_without_btf_is_told_and_ends_with_1() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    daemon::build()?;
    let dir = directory()?;
    let command = run_with(dir.path(), &writing_to(dir.path(), &dir.path().join("events.ndjson")))?;
    let mut hidden = Command::new("unshare");
    hidden
        .args(["--mount", "--propagation", "unchanged", "sh", "-c"])
        // Private first, so that nothing is hidden from anybody else. In a chroot `/` is no mount.
        .arg(
            "{ mount --make-rprivate / 2>/dev/null || mount --make-rprivate /sys; } \
             && mount -t tmpfs none /sys/kernel/btf || exit 99; exec \"$0\" \"$@\"",
        )
        .arg(command.get_program())
        .args(command.get_args());
    let (code, said) = refusal(&mut hidden)?;
    if code == Some(99) {
        skip(&format!("/sys/kernel/btf cannot be hidden: {said}"));
        return Ok(());
    }
    assert_eq!(code, Some(1), "{said}");
    for part in ["/sys/kernel/btf/vmlinux", "no BTF", "CONFIG_DEBUG_INFO_BTF=y"] {
        assert!(said.contains(part), "`{part}` is missing: {said}");
    }
    Ok(())
}

/// What cannot be used is taken for new, and never without a word.
#[test]
fn a_damaged_cursor_and_a_damaged_record_of_losses_are_told() -> Result<()> {
    let start = Daemon::start_or_skip(|dir| {
        let spool = dir.join("spool");
        std::fs::create_dir_all(spool.join("cursors")).expect("writable");
        let garbage: Vec<u8> = (0..5000_u32).map(|number| (number % 251) as u8).collect();
        for name in ["losses", "cursors/local.cursor"] {
            std::fs::write(spool.join(name), &garbage).expect("writable");
        }
        config(dir, "", "")
    })?;
    let Some(mut daemon) = start else { return Ok(()) };
    daemon.await_log("losses that were not reported in the stream yet may never be")?;
    daemon.await_log("the sink gets everything again that the spool still has")?;
    let word = mark("damaged");
    execute(&word)?;
    daemon.await_event(|event| has_arg(event, &word))?;
    assert!(daemon.stop()?.status.success());
    Ok(())
}

#[test]
fn a_directory_in_the_place_of_a_file_of_the_spool_is_told_with_what_to_do() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    for place in ["cursors/local.cursor", "log/00000000000000000001.seg"] {
        let dir = directory()?;
        let path = dir.path().join("spool").join(place);
        std::fs::create_dir_all(&path)?;
        let (code, said) = refusal(&mut run_with(dir.path(), &config(dir.path(), "", ""))?)?;
        assert_eq!(code, Some(1), "{said}");
        for part in [path.to_str().context("UTF-8")?, "move it away"] {
            assert!(said.contains(part), "`{part}`: {said}");
        }
    }
    Ok(())
}

#[test]
fn a_second_daemon_on_the_same_file_is_refused() -> Result<()> {
    let Some(first) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let other = directory()?;
    let mut second = run_with(other.path(), &writing_to(other.path(), &first.events_path()))?;
    let (code, said) = refusal(&mut second)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("locked by another process"), "{said}");
    let word = mark("undisturbed");
    execute(&word)?;
    first.await_event(|event| has_arg(event, &word))?;
    assert!(first.stop()?.status.success());
    Ok(())
}

#[test]
fn sighup_goes_on_in_a_new_file_after_the_old_one_was_moved_away() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let (before, after) = (mark("before"), mark("after"));
    execute(&before)?;
    daemon.await_event(|event| has_arg(event, &before))?;
    let moved = daemon.dir().join("moved.ndjson");
    std::fs::rename(daemon.events_path(), &moved)?;
    daemon.signal(Signal::HUP)?;
    execute(&after)?;
    daemon.await_event(|event| has_arg(event, &after))?;
    let stopped = daemon.stop()?;
    assert!(stopped.status.success());
    let old = parse_whole(&std::fs::read(stopped.dir.path().join("moved.ndjson"))?)?;
    let new = stopped.events()?;
    let count = |events: &[Value], word: &str| events.iter().filter(|e| has_arg(e, word)).count();
    assert_eq!((count(&old, &before), count(&new, &before)), (1, 0));
    assert_eq!(count(&old, &after) + count(&new, &after), 1);
    Ok(())
}

/// Ids of the BPF programs, links and maps that this process holds.
fn held_by(pid: u32) -> Result<BTreeSet<String>> {
    let mut held = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let Ok(info) = std::fs::read_to_string(entry?.path()) else { continue };
        let ids = ["prog_id:", "link_id:", "map_id:"];
        held.extend(
            info.lines()
                .filter(|line| ids.iter().any(|id| line.starts_with(id)))
                .map(str::to_owned),
        );
    }
    Ok(held)
}

#[test]
fn sigterm_ends_with_0_and_leaves_nothing_loaded() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let held = held_by(daemon.pid())?;
    let programs: Vec<u32> =
        held.iter().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()).collect();
    assert!(programs.len() >= 3, "fork, exec and exit at least: {held:?}");
    for &id in &programs {
        assert!(is_loaded(id)?, "program {id} is held and not found: this test proves nothing");
    }
    let word = mark("last");
    execute(&word)?;
    let stopped = daemon.stop()?;
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(stopped.events()?.iter().any(|event| has_arg(event, &word)));
    // The kernel frees a program after a grace period.
    let deadline = Instant::now() + Duration::from_secs(60);
    for id in programs {
        while is_loaded(id)? {
            assert!(Instant::now() < deadline, "program {id} is still loaded");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Whether the kernel has a BPF program of that id, by the helper's `bpf(BPF_PROG_GET_FD_BY_ID)`.
fn is_loaded(id: u32) -> Result<bool> {
    let output = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
        .args(["bpf-program", &id.to_string()])
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout == b"loaded\n")
}

#[test]
fn when_the_reader_of_the_console_goes_the_other_sink_goes_on_and_the_rest_is_kept() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    daemon::build()?;
    let dir = directory()?;
    let yaml = format!(
        "{}  - name: screen\n    type: console\n    output: json\n",
        // The screen will not take the rest, however long it is waited for.
        config(dir.path(), "", "").replace("shutdown_timeout: 5m", "shutdown_timeout: 1s")
    );
    let mut child = run_with(dir.path(), &yaml)?
        .env("SHIPPER_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (seen, unseen) = (mark("seen"), mark("unseen"));
    let mut stdout = child.stdout.take().context("its output")?;
    let mut shown = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let needle = seen.as_bytes();
    // Capture begins at some moment; from then on what is executed is shown.
    while !shown.windows(needle.len()).any(|window| window == needle) {
        assert!(Instant::now() < deadline, "nothing is shown");
        execute(&seen)?;
        let mut piece = [0; 65536];
        let count = stdout.read(&mut piece)?;
        assert!(count > 0, "the daemon ended");
        shown.extend_from_slice(&piece[..count]);
    }
    drop(stdout);
    execute(&unseen)?;
    let path = dir.path().join("events.ndjson");
    let mut follower = Follower::new(path.clone());
    while !follower.more()?.iter().any(|event| has_arg(event, &unseen)) {
        assert!(Instant::now() < deadline, "the file sink is held up");
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("the reader of standard output is gone"), "{said}");
    assert!(said.contains("the rest waits in the spool"), "{said}");
    parse_whole(&std::fs::read(&path)?)?;
    Ok(())
}

#[test]
fn a_full_disk_of_a_sink_tears_no_line_and_loses_nothing() -> Result<()> {
    /// Many times what the disk of the sink takes; the spool has all of it.
    const COUNT: usize = 6000;
    if !is_root() {
        return Ok(());
    }
    let dir = directory()?;
    let Some(disk) = Tmpfs::mount(256 << 10)? else { return Ok(()) };
    let events = disk.dir.join("events.ndjson");
    let ballast = disk.dir.join("ballast");
    std::fs::write(&ballast, vec![0; 128 << 10])?;
    let no_op = dir.path().join("no-op");
    tiny::write(&no_op, &tiny::ends_at_once(), 0o755)?;
    let yaml = format!(
        "capture:\n  mode: tracepoint\n{}    rotate: {{ bytes: 1GiB }}\n",
        writing_to(dir.path(), &events)
    );
    let mut daemon = match Daemon::start_with(dir, &yaml) {
        Ok(daemon) => daemon,
        Err(error) => {
            skip(&error.to_string());
            return Ok(());
        }
    };
    let mark = mark("full");
    let storm = |first: usize, count: usize| -> Result<()> {
        let status = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
            .arg("storm")
            .args([no_op.as_os_str(), mark.as_ref()])
            .args([first.to_string(), count.to_string()])
            .status()?;
        assert!(status.success());
        Ok(())
    };
    storm(0, COUNT)?;
    daemon.await_log("no space left for")?;
    // Whole lines only, at any moment while it is full.
    parse_whole(&std::fs::read(&events)?)?;
    // Space for the rest: the size is of the mount, the ballast is somebody's clean-up.
    std::fs::remove_file(&ballast)?;
    mount_remount(&disk.dir, MountFlags::empty(), c"size=512m")?;
    daemon.await_log("delivering again")?;
    storm(COUNT, COUNT)?;
    let stopped = daemon.stop()?;
    assert!(stopped.status.success(), "{}", stopped.log);
    let found = parse_whole(&std::fs::read(&events)?)?;
    assert_eq!(read_events(&events)?.len(), found.len());
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for event in found.iter().filter(|event| event["process"]["args"][1] == *mark) {
        *times.entry(event["process"]["args"][2].to_string()).or_default() += 1;
    }
    assert!(times.values().all(|&count| count == 1), "none arrived twice");
    let lost: u64 = found
        .iter()
        .map(|event| &event["shipper"]["loss"])
        .filter(|loss| loss["kind"] == "exec")
        .filter_map(|loss| loss["count"].as_u64())
        .sum();
    let missing = (2 * COUNT - times.len()) as u64;
    println!("{} of {} arrived, {lost} execs lost", times.len(), 2 * COUNT);
    assert_eq!((missing, lost), (0, 0), "the ring never filled behind the full disk");
    Ok(())
}
