//! What the rows of `tests/behaviours/` need of the daemon's events, and of attempts that fail.

use std::ffi::{CString, OsString};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use shipper_tests::behaviours::is_sought;

use crate::ways::{execute, execv, open, raw_execveat, strings};

/// How long an event may take that was not lost.
const EVENT_LIMIT: Duration = Duration::from_secs(60);

/// How long is waited for the event of a probe before another one is executed: the kernel may have
/// lost it.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
const PROBES_MAX: u32 = 12;

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Exit code of a way whose event did not come (`EX_TEMPFAIL`): the row is tried again.
const LOST: u8 = 75;

/// Exit code where the kernel has no such thing.
const CANNOT: u8 = 77;

/// The file that the daemon writes, read on as it grows.
struct Events {
    path: OsString,
    file: Option<std::fs::File>,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    /// What the lines have that are parsed and kept.
    word: String,
    kept: Vec<Value>,
}

impl Events {
    fn new(path: &OsString, word: &str) -> Events {
        let (path, word) = (path.clone(), word.to_owned());
        Events { path, file: None, rest: Vec::new(), word, kept: Vec::new() }
    }

    fn read_on(&mut self) -> anyhow::Result<()> {
        if self.file.is_none() && Path::new(&self.path).exists() {
            self.file = Some(std::fs::File::open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines = std::str::from_utf8(&self.rest[..whole]).context("the events are UTF-8")?;
        for line in lines.lines().filter(|line| line.contains(&self.word)) {
            self.kept.push(serde_json::from_str(line)?);
        }
        self.rest.drain(..whole);
        Ok(())
    }

    /// Whether the event with this mark is among those that were read.
    fn have(&self, mark: &str) -> bool {
        self.kept.iter().any(|event| is_sought(event, mark))
    }

    fn await_mark(&mut self, mark: &str, limit: Duration) -> anyhow::Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            self.read_on()?;
            if self.have(mark) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn text(arg: &OsString) -> anyhow::Result<&str> {
    arg.to_str().context("UTF-8")
}

/// `EVENTS MARK PROGRAM ARGUMENTS`: runs it with an open standard input until its event is there.
pub fn held(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let [events, mark, program, rest @ ..] = &args[..] else { bail!("EVENTS MARK PROGRAM") };
    let mut child =
        Command::new(program).args(rest).stdin(Stdio::piped()).spawn().context("spawn")?;
    println!("PID={}\nPARENT={}", child.id(), std::process::id());
    let came = Events::new(events, text(mark)?).await_mark(text(mark)?, EVENT_LIMIT)?;
    drop(child.stdin.take());
    let status = child.wait()?;
    ensure!(status.success(), "the program ended with {status}");
    Ok(if came { ExitCode::SUCCESS } else { ExitCode::from(LOST) })
}

/// `EVENTS MARK`: waits until the event is there.
pub fn awaits(args: &[OsString]) -> anyhow::Result<ExitCode> {
    let [events, mark] = args else { bail!("EVENTS MARK") };
    let came = Events::new(events, text(mark)?).await_mark(text(mark)?, EVENT_LIMIT)?;
    Ok(if came { ExitCode::SUCCESS } else { ExitCode::from(LOST) })
}

/// `EVENTS PROGRAM RUN ATTEMPT ID...`: prints the ids whose event is not there and will not come: the
/// program is executed until an event of it is written, and events come in the order of executions.
pub fn unseen(args: Vec<OsString>) -> anyhow::Result<()> {
    let [path, program, run, attempt, ids @ ..] = &args[..] else { bail!("EVENTS PROGRAM RUN") };
    let (run, attempt) = (text(run)?, text(attempt)?);
    let mut events = Events::new(path, run);
    let mut is_at_end = false;
    for probe in 0..PROBES_MAX {
        let mark = format!("{run}-probe-{attempt}-{probe}");
        ensure!(Command::new(program).arg(&mark).status()?.success(), "the probe failed");
        is_at_end = events.await_mark(&mark, PROBE_LIMIT)?;
        if is_at_end {
            break;
        }
    }
    ensure!(is_at_end, "no event comes any more");
    for id in ids {
        let id = text(id)?;
        if !events.have(&format!("{run}-{id}-{attempt}")) {
            println!("{id}");
        }
    }
    Ok(())
}

/// Errors by which attempts fail.
const ERRORS: [(&str, i32); 9] = [
    ("EACCES", libc::EACCES),
    ("ENOEXEC", libc::ENOEXEC),
    ("ETXTBSY", libc::ETXTBSY),
    ("ENOENT", libc::ENOENT),
    ("ENOTDIR", libc::ENOTDIR),
    ("ELOOP", libc::ELOOP),
    ("E2BIG", libc::E2BIG),
    ("EPERM", libc::EPERM),
    ("ENAMETOOLONG", libc::ENAMETOOLONG),
];

/// `ERROR PROGRAM ARGUMENTS`: the attempt must fail with this error.
pub fn fails(args: Vec<OsString>) -> anyhow::Result<()> {
    let (error, program) = args.split_first().context("ERROR PROGRAM")?;
    let wanted = ERRORS.iter().find(|(name, _)| error == name).context("an error that is known")?.1;
    let mut program = strings(program.to_vec())?;
    if wanted == libc::E2BIG {
        // Twice what one argument may have; no shell could hand it on.
        program.insert(1, CString::new(vec![b'x'; 256 << 10])?);
    }
    let Err(failure) = execute(&program) else { bail!("it came back") };
    let found = failure.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    ensure!(found == Some(wanted), "it failed otherwise: {failure:#}");
    Ok(())
}

/// `PATH... -- ARGUMENTS`: executes the paths, one after the other, until one succeeds.
pub fn try_each(mut paths: Vec<OsString>) -> anyhow::Result<()> {
    let separator = paths.iter().position(|path| path == "--").context("PATHS -- ARGUMENTS")?;
    let args = paths.split_off(separator);
    for path in strings(paths)? {
        let mut args = strings(args.clone())?;
        args[0].clone_from(&path);
        // Only comes back where it failed, which is what all but the last are there for.
        let _ = execv(&path, &args);
    }
    bail!("nothing could be executed")
}

/// Asks whether a program might be executed, and executes nothing.
pub fn check_only(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    /// `AT_EXECVE_CHECK`, since 6.14.
    const CHECK: i32 = 0x10000;
    let args: Vec<CString> = strings(args)?;
    let file = open(args.first().context("a program")?, libc::O_PATH)?;
    match raw_execveat(&file, c"", &args, libc::AT_EMPTY_PATH | CHECK) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            println!("CANNOT=the kernel has no AT_EXECVE_CHECK");
            Ok(ExitCode::from(CANNOT))
        }
        Err(error) => Err(error.into()),
    }
}

/// `PROGRAM ARGUMENTS`: tries to execute it while a security module refuses.
pub fn refused(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    if crate::refusal::tried(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    println!("CANNOT=`bpf` is not among the active security modules, or may not be used");
    Ok(ExitCode::from(CANNOT))
}
