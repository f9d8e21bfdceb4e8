//! Executions of every kind, really done, on this kernel in tracepoint mode: each gives exactly one
//! event, and that says what happened.
//!
//! Each case executes a file with a name of its own, by which its event is found: `file.name` is
//! what was asked for, whatever the way.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
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

/// What a case printed and which process it was.
struct Ran {
    pid: u32,
    printed: String,
}

type Check = Box<dyn Fn(&Value, &Ran) -> Vec<String>>;

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

    fn check(mut self, check: impl Fn(&Value, &Ran) -> Vec<String> + 'static) -> Case {
        self.check = Some(Box::new(check));
        self
    }

    fn run(&mut self, daemon: &Daemon) -> Result<Ran> {
        let stdin = if self.held { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{:?} cannot be started", self.name))?;
        let stdin = child.stdin.take();
        if self.held {
            daemon.await_event(|event| is_of(event, &self.name))?;
        }
        drop(stdin);
        let pid = child.id();
        let mut printed = String::new();
        child.stdout.take().context("its output")?.read_to_string(&mut printed)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("{:?} ended with {status}", self.name);
        }
        Ok(Ran { pid, printed })
    }

    /// What is wrong with the events, one line each.
    fn verdict(&self, events: &[Value], ran: &Ran) -> Vec<String> {
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
            wrong.extend(check(event, ran));
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

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
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
fn args_are(wanted: Vec<Vec<u8>>) -> impl Fn(&Value, &Ran) -> Vec<String> {
    move |event, _| {
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

fn binaries(place: &Place) -> Result<Vec<Case>> {
    let plain = place.tiny("a-plain-binary-of-a-long-name")?;
    let owned = place.file("owned", &tiny::ends_at_once(), USER, 0o750)?;
    let setuid = place.file("setuid", &tiny::ends_at_once(), 0, 0o4755)?;
    let setgid = place.file("setgid", &tiny::ends_at_once(), 0, 0o2755)?;
    let elsewhere = place.dir.join("else where\nnew \"line\"");
    std::fs::create_dir(&elsewhere)?;
    let spaced = place.tiny("spaced")?;
    let moved = elsewhere.join(spaced.file_name().context("a name")?);
    std::fs::rename(&spaced, &moved)?;
    let latin = place.dir.join(OsString::from_vec(
        [b"gr\xfcn-".as_slice(), std::process::id().to_string().as_bytes()].concat(),
    ));
    tiny::write(&latin, &tiny::ends_at_once(), 0o755)?;
    let base64 = base64::engine::general_purpose::STANDARD.encode(latin.as_os_str().as_bytes());

    let mut as_user = Case::plain(&setuid, &[]);
    as_user.command.uid(USER).gid(USER).current_dir("/");
    let mut as_group = Case::plain(&setgid, &[]);
    as_group.command.uid(USER).gid(USER).current_dir("/");
    let mut in_dir = Case::plain(&moved, &[]);
    in_dir.command.current_dir(&elsewhere);
    let mut relative =
        Case::of(&place.tiny("relative")?, Command::new(format!("./{}", place.name("relative"))));
    relative.command.current_dir(&place.dir);
    let renamed = place.tiny("renamed")?;
    let mut other_name = Case::plain(&renamed, &[]);
    other_name.command.arg0("not-its-name");

    Ok(vec![
        Case::plain(&plain, &[b"one", b"two"])
            .want("/process/name", place.name("a-plain-binary-of-a-long-name"))
            .want("/process/executable", text(&plain))
            .want("/process/args", json!([text(&plain), "one", "two"]))
            .want("/process/args_count", 3)
            .want("/process/parent/pid", std::process::id())
            .want("/shipper/file_not_root_owned", false)
            .want("/shipper/file_source", "kernel")
            .want("/shipper/interpreter", Value::Null)
            .want("/shipper/args_truncated", Value::Null)
            .want("/shipper/file/deleted", false)
            .want("/shipper/file/memfd", false)
            .want("/shipper/file/links", 1)
            .want("/file/uid", "0")
            .want("/file/owner", "root")
            .want("/file/mode", "0755")
            .want("/file/size", tiny::ends_at_once().len())
            .want("/process/user", json!({"id": "0", "name": "root"}))
            .check(|event, ran| {
                let same = number(&event["process"]["pid"]) == Some(ran.pid.into())
                    && number(&event["process"]["thread"]["id"]) == Some(ran.pid.into());
                if same { vec![] } else { vec![format!("not pid {}", ran.pid)] }
            }),
        Case::plain(&owned, &[])
            .want("/shipper/file_not_root_owned", true)
            .want("/shipper/file_source", "kernel")
            .want("/file/uid", "1000")
            .want("/file/gid", "1000")
            .want("/file/mode", "0750"),
        as_user
            .want("/shipper/credentials_before/euid", "1000")
            .want("/shipper/credentials_before/uid", "1000")
            .want("/process/user/id", "0")
            .want("/process/saved_user/id", "0")
            .want("/process/real_user/id", "1000")
            .want("/user/id", "0")
            .want("/shipper/file/setuid", true)
            .want("/shipper/file/setgid", false)
            .want("/file/mode", "4755"),
        as_group
            .want("/shipper/credentials_before/egid", "1000")
            .want("/process/group/id", "0")
            .want("/process/real_group/id", "1000")
            .want("/process/user/id", "1000")
            .want("/shipper/file/setgid", true),
        in_dir.want("/process/working_directory", text(&elsewhere)),
        relative
            .want("/process/working_directory", text(&place.dir))
            .want("/process/args", json!([format!("./{}", place.name("relative"))])),
        other_name
            .want("/process/args", json!(["not-its-name"]))
            .want("/process/executable", text(&renamed)),
        Case::plain(&latin, &[])
            .want("/shipper/raw/file_path", base64.clone())
            .want("/shipper/raw/executable", base64),
    ])
}

fn scripts(place: &Place) -> Result<Vec<Case>> {
    let interpreter = place.file("interpreter", &tiny::waits_for_input(), 0, 0o755)?;
    let theirs = place.file("their-interpreter", &tiny::waits_for_input(), USER, 0o755)?;
    let quick = place.file("quick-interpreter", &tiny::ends_at_once(), 0, 0o755)?;
    let line = |of: &Path| [b"#!", of.as_os_str().as_bytes(), b" an option\n"].concat();
    let script = |name: &str| place.file(name, &line(&interpreter), USER, 0o755);

    let held = script("script")?;
    let roots = place.file("roots-script", &line(&theirs), 0, 0o755)?;
    let at_once = place.file("quick-script", &line(&quick), USER, 0o755)?;
    let shell = place.file("shell-script", b"#!/bin/sh\nread line\nexit 0\n", USER, 0o700)?;
    let relative = script("relative-script")?;
    let mut by_relative =
        Case::of(&relative, Command::new(format!("./{}", place.name("relative-script"))));
    by_relative.command.current_dir(&place.dir);
    let linked = script("linked-script")?;
    let link = place.dir.join("link");
    symlink(&linked, &link)?;
    let inner = place.file("inner-script", &line(&interpreter), 0, 0o755)?;
    let outer = place.file("outer-script", &line(&inner), USER, 0o755)?;
    let odd = place.file("odd (deleted)", &line(&interpreter), USER, 0o755)?;
    let odd_end = place.dir.join(format!("{} (deleted)", place.name("odd-end")));
    std::fs::rename(&odd, &odd_end)?;
    let by_fd = script("script-by-descriptor")?;
    let mut execveat = helper("execveat");
    execveat.arg(&by_fd);
    let memory = place.file("memory-source", &line(&interpreter), 0, 0o755)?;
    let memory_name = place.name("script-in-memory");
    let mut memfd = helper("memfd");
    memfd.arg(&memory).arg(&memory_name);
    let in_memory = PathBuf::from(format!("/memfd:{memory_name}"));

    let found = |case: Case, by: &Path| {
        case.held()
            .want("/shipper/file_source", "procfs")
            .want("/shipper/file_not_root_owned", true)
            .want("/file/uid", "1000")
            .want("/file/mode", "0755")
            .want("/shipper/interpreter/path", text(by))
            .want("/shipper/interpreter/uid", "0")
            .want("/shipper/interpreter/source", "kernel")
            .want("/process/executable", text(by))
    };
    Ok(vec![
        found(Case::plain(&held, &[b"x"]), &interpreter)
            .want("/process/args", json!([text(&interpreter), "an option", text(&held), "x"]))
            .want("/process/args_count", 4)
            .want("/process/name", place.name("script")),
        Case::plain(&roots, &[])
            .held()
            .want("/shipper/file_not_root_owned", false)
            .want("/shipper/interpreter/path", text(&theirs))
            .want("/shipper/interpreter/uid", "1000"),
        Case::plain(&shell, &[])
            .held()
            .want("/file/uid", "1000")
            .want("/file/mode", "0700")
            .want("/shipper/interpreter/path", text(&std::fs::canonicalize("/bin/sh")?))
            .want("/shipper/interpreter/uid", "0"),
        // Nobody can promise that it still runs when it is looked up: what is said must be true.
        Case::plain(&at_once, &[]).check(|event, _| {
            let source = event["shipper"]["file_source"].as_str().unwrap_or_default();
            let owner = &event["file"]["uid"];
            match (source, owner.as_str()) {
                ("procfs", Some("1000")) | ("unknown", None) => vec![],
                _ => vec![format!("source {source} with owner {owner}")],
            }
        }),
        found(by_relative, &interpreter),
        found(Case::of(&linked, Command::new(&link)), &interpreter),
        found(Case::plain(&outer, &[]), &interpreter),
        found(Case::plain(&odd_end, &[]), &interpreter),
        found(Case::of(&by_fd, execveat), &interpreter),
        Case { name: format!("memfd:{memory_name}").into(), ..Case::of(&in_memory, memfd) }
            .held()
            .want("/shipper/file_source", "procfs")
            .want("/shipper/file/memfd", true)
            .want("/shipper/file/deleted", false),
    ])
}

fn ways(place: &Place) -> Result<Vec<Case>> {
    let case = |how: &str, program: &Path, args: &[&str]| {
        let mut command = helper(how);
        command.arg(program).args(args);
        Case::of(program, command)
    };
    let printed_pid = |event: &Value, ran: &Ran| {
        let pid: Option<u64> = ran.printed.trim().parse().ok();
        let same = pid.is_some() && number(&event["process"]["pid"]) == pid;
        if same { vec![] } else { vec![format!("not the pid printed, {}", ran.printed)] }
    };
    let memory_name = place.name("in-memory");
    let mut memfd = helper("memfd");
    memfd.arg(place.tiny("memory-binary")?).arg(&memory_name);
    let in_memory = PathBuf::from(format!("/memfd:{memory_name}"));
    let mut unshare = case("unshare", &place.tiny("unshared")?, &[]);
    unshare.command.uid(USER).gid(USER).current_dir("/");

    let mut cases = vec![
        case("thread", &place.tiny("from-thread")?, &["x"]).want("/process/args_count", 2).check(
            |event, ran| {
                let wanted =
                    format!("{} {}", event["process"]["pid"], event["process"]["thread"]["id"]);
                let pid = event["process"]["pid"].as_u64();
                let mut wrong = vec![];
                if wanted != ran.printed.trim() {
                    wrong.push(format!("pid and thread {wanted}, not {}", ran.printed.trim()));
                }
                if pid != Some(ran.pid.into()) || pid == event["process"]["thread"]["id"].as_u64() {
                    wrong.push("not the leader's pid and the thread's id".to_owned());
                }
                if event["shipper"]["credentials_before"]["uid"] != "0" {
                    wrong.push("no credentials before".to_owned());
                }
                wrong
            },
        ),
        case("spawn", &place.tiny("spawned")?, &[]).check(printed_pid),
        case("execveat", &place.tiny("by-descriptor")?, &["y"]).want("/process/args_count", 2),
        case("deleted", &place.tiny("deleted")?, &[])
            .want("/shipper/file/deleted", true)
            .want("/shipper/file/links", 0),
        case("deleted-proc", &place.tiny("deleted-by-link")?, &[])
            .want("/shipper/file/deleted", true)
            .want("/shipper/file/memfd", false),
        Case { name: format!("memfd:{memory_name}").into(), ..Case::of(&in_memory, memfd) }
            .want("/shipper/file/memfd", true)
            .want("/shipper/file/deleted", false)
            .want("/shipper/file_source", "kernel"),
        // Since 5.18 the kernel puts one empty argument where there is none.
        case("no-args", &place.tiny("without-arguments")?, &[]).check(|event, _| {
            match (event["process"]["args_count"].as_u64(), &event["process"]["args"]) {
                (Some(1), args) if *args == json!([""]) => vec![],
                (Some(0), args) if *args == json!([]) => vec![],
                other => vec![format!("arguments {other:?}")],
            }
        }),
    ];
    if user_namespaces_allowed() {
        cases.push(
            unshare
                .want("/process/user/name", Value::Null)
                .want("/process/real_user", json!({"id": "1000"}))
                .want("/file/owner", Value::Null)
                .want("/file/uid", "0")
                .check(|event, _| {
                    let own = std::fs::read_link("/proc/self/ns/user").unwrap_or_default();
                    let named = own
                        .to_string_lossy()
                        .contains(&format!("[{}]", event["shipper"]["namespaces"]["user"]));
                    if named {
                        vec!["it is said to be in our user namespace".to_owned()]
                    } else {
                        vec![]
                    }
                }),
        );
    } else {
        println!("left out: this machine allows no user namespace to ordinary users");
    }
    Ok(cases)
}

fn user_namespaces_allowed() -> bool {
    let mut command = helper("unshare");
    command.arg("/bin/true").uid(USER).gid(USER).current_dir("/");
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn arguments(place: &Place) -> Result<Vec<Case>> {
    let nasty: Vec<Vec<&[u8]>> = vec![
        vec![b"", b"", b"x", b""],
        vec![b"new\nline", b"\"quotes\" 'n \\back", b"\t\r\x08\x0c"],
        vec![b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"\x01", b"\x7f", b"\x1f"],
        vec!["\u{2028}\u{2029}\u{202e}\u{feff}\u{0}".trim_end_matches('\0').as_bytes()],
        vec![b"gr\xfcn", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"ok", b""],
        vec!["\u{1f980}\u{10ffff}\u{fffd}".as_bytes(), b"{\"a\":[1,null]}", b"\\u0000", b"%n%s"],
        vec![b" leading and trailing ", b" "],
    ];
    let mut cases = Vec::new();
    for (index, args) in nasty.iter().enumerate() {
        let path = place.tiny(&format!("nasty-{index}"))?;
        let mut wanted = vec![path.as_os_str().as_bytes().to_vec()];
        wanted.extend(args.iter().map(|arg| arg.to_vec()));
        let bytes: usize = wanted.iter().map(|arg| arg.len() + 1).sum();
        cases.push(
            Case::plain(&path, args)
                .want("/process/args_count", wanted.len())
                .want("/shipper/args_bytes", bytes)
                .want("/shipper/args_truncated", Value::Null)
                .check(args_are(wanted)),
        );
    }
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
            .check(move |event, _| {
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
    place.file_at(inside.join(place.name("jailed")), &tiny::ends_at_once(), 0, 0o755)?;
    let chroot = |cwd: &str, program: &str| {
        let mut command = helper("chroot");
        command.arg(&root).arg(cwd).arg(program);
        command
    };
    let seen = format!("/bin/{}", place.name("jailed"));
    let in_chroot = Case::of(Path::new(&seen), chroot("/bin", &seen));

    // A script in a chroot, under a path that outside is another file, of root.
    let decoy = place.file("quick-script-in-chroot", b"#!/bin/sh\n", 0, 0o755)?;
    tiny::write(&inside.join("interpreter"), &tiny::ends_at_once(), 0o755)?;
    tiny::write(&inside.join("held-interpreter"), &tiny::waits_for_input(), 0o755)?;
    let twin = root.join(decoy.strip_prefix("/")?);
    std::fs::create_dir_all(twin.parent().context("a directory")?)?;
    place.file_at(twin, b"#!/bin/interpreter\n", USER, 0o755)?;
    let honest = |event: &Value, _: &Ran| {
        let source = event["shipper"]["file_source"].as_str().unwrap_or_default();
        match (source, event["file"]["uid"].as_str()) {
            ("procfs", Some("1000")) | ("unknown", None) => vec![],
            (_, owner) => vec![format!("source {source} with owner {owner:?}")],
        }
    };
    let jailed_script = inside.join(place.name("jailed-script"));
    place.file_at(jailed_script, b"#!/bin/held-interpreter\n", USER, 0o755)?;
    let seen_script = format!("/bin/{}", place.name("jailed-script"));

    // A script in a directory so deep that its path is cut, whose cut path is another file, of root.
    let script = place.name("deep-script");
    let deep_in_root = |count: usize| root.join(levels(count));
    std::fs::create_dir_all(deep_in_root(COMPONENTS_MAX + 6))?;
    let line = b"#!/bin/held-interpreter\n";
    place.file_at(deep_in_root(COMPONENTS_MAX + 6).join(&script), line, USER, 0o755)?;
    place.file_at(deep_in_root(COMPONENTS_MAX).join(&script), line, 0, 0o755)?;
    let cwd = format!("/{}", levels(COMPONENTS_MAX + 6));
    let deep_script = Case::of(Path::new(&script), chroot(&cwd, &format!("./{script}")));

    let cut = |event: &Value, _: &Ran| {
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
        in_chroot
            .want("/process/executable", seen)
            .want("/process/working_directory", "/bin")
            .want("/shipper/paths_unreachable", Value::Null),
        Case::of(&decoy, chroot("/", decoy.to_str().context("UTF-8")?)).check(honest),
        Case::of(Path::new(&seen_script), chroot("/", &seen_script))
            .held()
            .want("/file/uid", "1000")
            .want("/shipper/file_source", "procfs")
            .want("/shipper/interpreter/path", "/bin/held-interpreter"),
        without_path(deep_script).held().check(move |event, ran| {
            let mut wrong = honest(event, ran);
            if event["shipper"]["file_source"] == "unknown" {
                wrong.extend(marks(event, "paths_cut", "file.path"));
            }
            wrong
        }),
    ])
}

#[test]
fn every_kind_of_execution_gives_one_event_that_says_what_happened() -> Result<()> {
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, "", ""))? else { return Ok(()) };
    let dir = std::fs::canonicalize(daemon.dir())?;
    let place = Place { dir };
    let mut cases = binaries(&place)?;
    cases.extend(scripts(&place)?);
    cases.extend(ways(&place)?);
    cases.extend(arguments(&place)?);
    cases.extend(places(&place)?);

    let mut ran = BTreeMap::new();
    let mut report = String::new();
    for case in &mut cases {
        match case.run(&daemon) {
            Ok(result) => {
                ran.insert(case.name.clone(), result);
            }
            Err(error) => writeln!(report, "{:?}: {error:#}", case.name)?,
        }
    }
    let stopped = daemon.stop()?;
    let events = stopped.events()?;
    for case in &cases {
        let Some(ran) = ran.get(&case.name) else { continue };
        for wrong in case.verdict(&events, ran) {
            writeln!(report, "{:?}: {wrong}", case.name)?;
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(stopped.status.success(), "{}", stopped.log);
    println!("{} executions", cases.len());
    Ok(())
}
