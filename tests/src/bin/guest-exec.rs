//! Executes programs in the ways a shell cannot, for the tests in guests. Does nothing when its
//! first argument is none of these:
//!
//!     guest-exec try PATH... -- ARG...   executes the paths, one after the other, until one succeeds
//!     guest-exec fd PATH ARG...          executes an open descriptor (execveat with an empty path)
//!     guest-exec thread PATH ARG...      executes from a thread that is not the leader
//!
//! Exit code 1 when nothing could be executed.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, fcntl};

fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let way = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    match way.to_str() {
        Some("try") => try_each(rest),
        Some("fd") => by_descriptor(rest),
        Some("thread") => std::thread::spawn(move || try_each(with_separator(rest)))
            .join()
            .unwrap_or_else(|_| bail!("the thread panicked")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// `PATH ARG...` as `PATH -- ARG...`.
fn with_separator(mut args: Vec<OsString>) -> Vec<OsString> {
    args.insert(args.len().min(1), "--".into());
    args
}

fn try_each(mut paths: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let separator = paths.iter().position(|path| path == "--").context("no --")?;
    let args = paths.split_off(separator);
    for path in strings(paths)? {
        let mut args = strings(args.clone())?;
        args[0] = path.clone();
        // Not `execvp`, which gives what the kernel does not know to a shell.
        let Err(error) = nix::unistd::execv(&path, &args);
        eprintln!("{}: {error}", path.to_string_lossy());
    }
    bail!("nothing could be executed")
}

fn strings(list: Vec<OsString>) -> anyhow::Result<Vec<CString>> {
    Ok(list.into_iter().map(|one| CString::new(one.into_vec())).collect::<Result<_, _>>()?)
}

fn by_descriptor(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let file = File::open(args.first().context("no path")?)?;
    // The interpreter of a script opens it once more by its number.
    fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    let args = strings(args)?;
    let environment: [CString; 0] = [];
    nix::unistd::execveat(file.as_fd(), c"", &args, &environment, AtFlags::AT_EMPTY_PATH)?;
    bail!("execveat came back")
}
