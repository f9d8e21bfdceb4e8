//! Executions that the rows of `tests/behaviours/` cannot say: megabytes of arguments, paths longer
//! than a path may be, files that are not the one they seem to be by their path. Really done, on this
//! kernel in tracepoint mode: each gives exactly one event, and that says what happened.
//!
//! Each case executes a file with a name of its own, by which its event is found.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use shipper_tests::daemon::{Daemon, config};
use shipper_tests::tiny;

/// An ordinary user. Whether it has a name on this machine does not matter.
const USER: u32 = 1000;

/// A level of a deep directory.
const LEVEL: &str = "d";

/// Components of a path that the kernel programs walk (`PATH_COMPONENTS_MAX`).
const COMPONENTS_MAX: usize = 64;

type Check = Box<dyn Fn(&Value) -> Vec<String>>;

/// One execution.
struct Case {
    /// `file.name` of its event.
    name: OsString,
    command: Command,
    /// It runs until its standard input ends, which is when its event has arrived.
    held: bool,
    /// Fields by JSON pointer; null: absent.
    want: Vec<(&'static str, Value)>,
    check: Option<Check>,
}

/// Where the files of the cases are.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(self.name(name))
    }

    /// A name nobody else on this machine has.
    fn name(&self, name: &str) -> String {
        format!("{name}-{}", std::process::id())
    }

    /// An executable file of that name.
    fn file(&self, name: &str, bytes: &[u8], owner: u32, mode: u32) -> Result<PathBuf> {
        self.file_at(self.path(name), bytes, owner, mode)
    }

    fn file_at(&self, path: PathBuf, bytes: &[u8], owner: u32, mode: u32) -> Result<PathBuf> {
        tiny::write(&path, bytes, mode)?;
        chown(&path, Some(owner), Some(owner))?;
        // Changing the owner clears setuid.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
        Ok(path)
    }

    fn tiny(&self, name: &str) -> Result<PathBuf> {
        self.file(name, &tiny::ends_at_once(), 0, 0o755)
    }
}

impl Case {
    /// The case of a command that executes this file.
    fn of(path: &Path, command: Command) -> Case {
        Case {
            name: path.file_name().expect("a file").to_owned(),
            command,
            held: false,
            want: vec![("/event/action", json!("exec")), ("/file/path", text(path))],
            check: None,
        }
    }

    /// The file itself, with arguments.
    fn plain(path: &Path, args: &[&[u8]]) -> Case {
        let mut command = Command::new(path);
        command.args(args.iter().map(|arg| OsStr::from_bytes(arg)));
        Case::of(path, command)
    }

    fn held(mut self) -> Case {
        self.held = true;
        self
    }

    fn want(mut self, pointer: &'static str, value: impl Into<Value>) -> Case {
        self.want.retain(|(have, _)| *have != pointer);
        self.want.push((pointer, value.into()));
        self
    }

    fn check(mut self, check: impl Fn(&Value) -> Vec<String> + 'static) -> Case {
        self.check = Some(Box::new(check));
        self
    }

    fn run(&mut self, daemon: &Daemon) -> Result<()> {
        let stdin = if self.held { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .command
            .stdin(stdin)
            .spawn()
            .with_context(|| format!("{:?} cannot be started", self.name))?;
        let stdin = child.stdin.take();
        if self.held {
            daemon.await_event(|event| is_of(event, &self.name))?;
        }
        drop(stdin);
        let status = child.wait()?;
        if !status.success() {
            bail!("{:?} ended with {status}", self.name);
        }
        Ok(())
    }

    /// What is wrong with the events, one line each.
    fn verdict(&self, events: &[Value]) -> Vec<String> {
        let mine: Vec<&Value> = events.iter().filter(|event| is_of(event, &self.name)).collect();
        let [event] = mine[..] else {
            return vec![format!("{} events instead of one", mine.len())];
        };
        let mut wrong: Vec<String> = self
            .want
            .iter()
            .filter_map(|(pointer, wanted)| {
                let found = event.pointer(pointer).unwrap_or(&Value::Null);
                (found != wanted).then(|| format!("{pointer} is {found}, not {wanted}"))
            })
            .collect();
        if let Some(check) = &self.check {
            wrong.extend(check(event));
        }
        wrong
    }
}

fn text(path: &Path) -> Value {
    json!(path.as_os_str().to_string_lossy())
}

fn is_of(event: &Value, name: &OsStr) -> bool {
    event["file"]["name"].as_str() == Some(&*name.to_string_lossy())
}

fn helper(how: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exec_helper"));
    command.arg(how);
    command
}

/// The exact bytes of the arguments: `process.args`, or `shipper.raw.args` where those are not UTF-8.
fn exact_args(event: &Value) -> Vec<Vec<u8>> {
    let list = |value: &Value| -> Vec<String> {
        let args = value.as_array().into_iter().flatten();
        args.map(|arg| arg.as_str().unwrap_or_default().to_owned()).collect()
    };
    match &event["shipper"]["raw"]["args"] {
        Value::Null => list(&event["process"]["args"]).into_iter().map(Into::into).collect(),
        raw => list(raw)
            .iter()
            .map(|arg| base64::engine::general_purpose::STANDARD.decode(arg).unwrap_or_default())
            .collect(),
    }
}

/// The arguments are exactly these, the first one included.
fn args_are(wanted: Vec<Vec<u8>>) -> impl Fn(&Value) -> Vec<String> {
    move |event| {
        let found = exact_args(event);
        if found == wanted { vec![] } else { vec![format!("arguments {found:?}, not {wanted:?}")] }
    }
}

/// Marked as lists of fields.
fn marks(event: &Value, list: &str, field: &str) -> Vec<String> {
    let marked =
        event["shipper"][list].as_array().is_some_and(|names| names.contains(&json!(field)));
    if marked { vec![] } else { vec![format!("shipper.{list} does not name {field}")] }
}

fn arguments(place: &Place) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    // Every byte there is, one argument each.
    let path = place.tiny("every-byte")?;
    let every: Vec<Vec<u8>> = (1..=255u8).map(|byte| vec![byte]).collect();
    let mut wanted = vec![path.as_os_str().as_bytes().to_vec()];
    wanted.extend(every.iter().cloned());
    let every: Vec<&[u8]> = every.iter().map(Vec::as_slice).collect();
    cases.push(Case::plain(&path, &every).check(args_are(wanted)));

    // 2 MB, of which 32 KiB are kept.
    let path = place.tiny("two-megabytes")?;
    let large = vec![b'x'; 100_000];
    let args = [large.as_slice(); 20];
    let bytes = path.as_os_str().len() + 1 + 20 * 100_001;
    cases.push(
        Case::plain(&path, &args)
            .want("/process/args_count", 21)
            .want("/shipper/args_bytes", bytes)
            .want("/shipper/args_truncated", true)
            .want("/shipper/args_unreadable", Value::Null)
            .check(move |event| {
                let args = exact_args(event);
                let kept: usize = args.iter().map(|arg| arg.len() + 1).sum();
                let start = args.len() == 2 && args[1].iter().all(|&byte| byte == b'x');
                if start && (32 << 10..=(32 << 10) + 1).contains(&kept) {
                    vec![]
                } else {
                    vec![format!("{} arguments, {kept} bytes kept", args.len())]
                }
            }),
    );
    // Many small ones, past what is kept: the count is of all.
    let path = place.tiny("many-arguments")?;
    let many = vec![b"ab".as_slice(); 50_000];
    cases.push(
        Case::plain(&path, &many)
            .want("/process/args_count", 50_001)
            .want("/shipper/args_truncated", true),
    );
    Ok(cases)
}

/// Directories deeper than the walk goes, longer than a path may be, and inside a chroot.
fn places(place: &Place) -> Result<Vec<Case>> {
    let deep = place.dir.join("deep");
    let mut bottom = deep.clone();
    for _ in 0..COMPONENTS_MAX + 6 {
        bottom.push(LEVEL);
    }
    std::fs::create_dir_all(&bottom)?;
    let binary = bottom.join(place.name("deep-binary"));
    tiny::write(&binary, &tiny::ends_at_once(), 0o755)?;
    let mut deep_binary = Case::plain(&binary, &[]);
    deep_binary.command.current_dir(&bottom);
    let levels = |count: usize| vec![LEVEL; count].join("/");

    // A path longer than PATH_MAX can be reached step by step only.
    let long = "l".repeat(200);
    let long_root = place.dir.join("long");
    let mut here = rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())?;
    let long_names: Vec<String> = vec![long; 25];
    std::fs::create_dir(&long_root)?;
    let mut next = long_root.as_os_str().to_owned();
    let name = place.name("long-binary");
    for step in &long_names {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        here = rustix::fs::openat(&here, &next, flags, rustix::fs::Mode::empty())?;
        rustix::fs::mkdirat(&here, step, 0o755.into())?;
        next = step.into();
    }
    here = rustix::fs::openat(&here, &next, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())?;
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&here, &name, flags, 0o755.into())?;
    std::io::Write::write_all(&mut std::fs::File::from(file), &tiny::ends_at_once())?;
    let mut cd = helper("cd");
    cd.arg(&long_root).args(&long_names).arg("--").arg(format!("./{name}"));
    let long_binary = Case::of(Path::new(&name), cd);

    let root = place.dir.join("root");
    let inside = root.join("bin");
    std::fs::create_dir_all(&inside)?;
    let chroot = |cwd: &str, program: &str| {
        let mut command = helper("chroot");
        command.arg(&root).arg(cwd).arg(program);
        command
    };

    // A script in a chroot, under a path that outside is another file, of root.
    let decoy = place.file("quick-script-in-chroot", b"#!/bin/sh\n", 0, 0o755)?;
    tiny::write(&inside.join("interpreter"), &tiny::ends_at_once(), 0o755)?;
    tiny::write(&inside.join("held-interpreter"), &tiny::waits_for_input(), 0o755)?;
    let twin = root.join(decoy.strip_prefix("/")?);
    std::fs::create_dir_all(twin.parent().context("a directory")?)?;
    place.file_at(twin, b"#!/bin/interpreter\n", USER, 0o755)?;
    let honest = |event: &Value| {
        let source = event["shipper"]["file_source"].as_str().unwrap_or_default();
        match (source, event["file"]["uid"].as_str()) {
            ("procfs", Some("1000")) | ("unknown", None) => vec![],
            (_, owner) => vec![format!("source {source} with owner {owner:?}")],
        }
    };
    // A script in a directory so deep that its path is cut, whose cut path is another file, of root.
    let script = place.name("deep-script");
    let deep_in_root = |count: usize| root.join(levels(count));
    std::fs::create_dir_all(deep_in_root(COMPONENTS_MAX + 6))?;
    let line = b"#!/bin/held-interpreter\n";
    place.file_at(deep_in_root(COMPONENTS_MAX + 6).join(&script), line, USER, 0o755)?;
    place.file_at(deep_in_root(COMPONENTS_MAX).join(&script), line, 0, 0o755)?;
    let cwd = format!("/{}", levels(COMPONENTS_MAX + 6));
    let deep_script = Case::of(Path::new(&script), chroot(&cwd, &format!("./{script}")));

    let cut = |event: &Value| {
        let fields = ["file.path", "process.executable", "process.working_directory"];
        fields.iter().flat_map(|field| marks(event, "paths_cut", field)).collect()
    };
    let without_path = |mut case: Case| {
        case.want.retain(|(pointer, _)| *pointer != "/file/path");
        case
    };
    Ok(vec![
        deep_binary
            .want(
                "/file/path",
                format!("{}/{}", levels(COMPONENTS_MAX - 1), place.name("deep-binary")),
            )
            .want("/process/working_directory", levels(COMPONENTS_MAX))
            .check(cut),
        without_path(long_binary).want("/process/args", json!([format!("./{name}")])).check(cut),
        Case::of(&decoy, chroot("/", decoy.to_str().context("UTF-8")?)).check(honest),
        without_path(deep_script).held().check(move |event| {
            let mut wrong = honest(event);
            if event["shipper"]["file_source"] == "unknown" {
                wrong.extend(marks(event, "paths_cut", "file.path"));
            }
            wrong
        }),
    ])
}

#[test]
fn extreme_arguments_and_paths_give_one_event_that_says_what_happened() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let dir = std::fs::canonicalize(daemon.dir())?;
    let place = Place { dir };
    let mut cases = arguments(&place)?;
    cases.extend(places(&place)?);

    let mut report = String::new();
    let mut ran = Vec::new();
    for case in &mut cases {
        match case.run(&daemon) {
            Ok(()) => ran.push(case),
            Err(error) => writeln!(report, "{:?}: {error:#}", case.name)?,
        }
    }
    let stopped = daemon.stop()?;
    let events = stopped.events()?;
    for case in ran {
        for wrong in case.verdict(&events) {
            writeln!(report, "{:?}: {wrong}", case.name)?;
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(stopped.status.success(), "{}", stopped.log);
    println!("{} executions", cases.len());
    Ok(())
}
