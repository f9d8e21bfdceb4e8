//! Executes programs in the ways a shell does not: from another thread, by descriptor, without
//! arguments, out of a chroot, in masses. Used by the tests under `tests/tests/` and by the rows of
//! `tests/behaviours/`; what it is asked for it does, or it ends with a message and exit code 1.
//!
//! Most ways take `PROGRAM ARGUMENTS` last and execute it in their own place, so that they can be
//! put one before the other: `exec_helper as 1000 exec_helper no-new-privileges PROGRAM`. What a row
//! wants to know is printed as `NAME=value`.

#![allow(unsafe_code, reason = "raw system calls are what this program is for")]

mod children;
mod lineage;
mod masses;
mod refusal;
mod rows;
mod state;
mod threads;
mod ways;

use std::ffi::{CString, OsString};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use ways::{by_descriptor, execute, execv, execveat, open, strings};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(how) = args.next().and_then(|how| how.into_string().ok()) else {
        eprintln!("usage: exec_helper HOW ARGUMENTS");
        return ExitCode::FAILURE;
    };
    match run(&how, args.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("exec_helper {how}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(how: &str, args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    match how {
        "held" => return rows::held(args),
        "await" => return rows::awaits(&args),
        "check" => return rows::check_only(args),
        "refused" => return rows::refused(args),
        "unseen" => rows::unseen(args),
        "fails" => rows::fails(args),
        "try" => rows::try_each(args),
        "as" | "ids" | "no-new-privileges" | "securebits" | "without-capability" | "ambient"
        | "file-capability" | "name" | "unshare" | "group" | "rewrite-arguments" => {
            state::run(how, strings(args)?)
        }
        "session" | "terminal" | "subreaper" | "orphan" | "into-cgroup" | "spawn" => {
            children::run(how, &strings(args)?)
        }
        "forks" | "once-told" | "once-told-orphan" | "leaves" | "reuse" => {
            lineage::run(how, &strings(args)?)
        }
        _ => way(how, args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn way(how: &str, args: Vec<OsString>) -> anyhow::Result<()> {
    match how {
        "thread" => ways::from_thread(args),
        "execveat" => by_descriptor(&strings(args)?, libc::O_PATH),
        "no-follow" => ways::in_directory(&strings(args)?, libc::AT_SYMLINK_NOFOLLOW),
        "memfd" => ways::from_memory(args),
        "deleted" => {
            let args = strings(args)?;
            let file = open(args.first().context("a program")?, libc::O_PATH | libc::O_CLOEXEC)?;
            std::fs::remove_file(args[0].to_str()?)?;
            execveat(&file, &args)
        }
        "deleted-proc" => {
            let args = strings(args)?;
            let file = open(args.first().context("a program")?, libc::O_RDONLY)?;
            std::fs::remove_file(args[0].to_str()?)?;
            let link = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            execv(&link, &args)
        }
        "no-args" => execv(strings(args)?.first().context("a program")?, &[]),
        "env" => ways::with_environment(args),
        "named" => {
            let args = strings(args)?;
            let [program, rest @ ..] = &args[..] else { bail!("PROGRAM ARGV0 ARGUMENTS") };
            execv(program, rest)
        }
        "chroot" => {
            let [root, cwd, program, rest @ ..] = &args[..] else { bail!("ROOT CWD PROGRAM") };
            std::os::unix::fs::chroot(root)?;
            std::env::set_current_dir(cwd)?;
            Err(Command::new(program).args(rest).exec().into())
        }
        "cd" => {
            // One name at a time: together they may be longer than a path may be.
            let at = args.iter().position(|arg| arg == "--").context("NAMES -- PROGRAM")?;
            for name in &args[..at] {
                std::env::set_current_dir(name)?;
            }
            execute(&strings(args[at + 1..].to_vec())?)
        }
        "on-cpu" => {
            let (cpu, program) = args.split_first().context("CPU PROGRAM")?;
            masses::pin(cpu.to_str().context("a number")?.parse()?)?;
            execute(&strings(program.to_vec())?)
        }
        "leader-first" => threads::leader_first(&args),
        "together" => threads::together(&args),
        "abort-threads" => threads::abort_with_threads(&args),
        "storm" => masses::storm(args),
        "stream" => masses::stream(args),
        "bpf-program" => {
            let id = args.first().and_then(|id| id.to_str()).context("ID")?.parse()?;
            println!("{}", if masses::is_loaded(id)? { "loaded" } else { "gone" });
            Ok(())
        }
        _ => bail!("unknown"),
    }
}
