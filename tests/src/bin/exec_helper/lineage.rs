//! Lineages that are hard to tell: forks without an exec between whose makers are gone, a pid that is
//! used again while a child of its first owner still lives, a child that is made when told to.

use std::ffi::CString;
use std::io::{BufRead as _, Read as _};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, bail, ensure};

use crate::children::{fork, until_adopted};
use crate::ways::{check, execute, spawn, wait};

/// How often another pid may be tried when somebody else took the one that had become free.
const TRIES_MAX: u32 = 100;

/// The exit code that says so.
const TAKEN: i32 = 75;

pub fn run(how: &str, args: &[CString]) -> anyhow::Result<()> {
    match how {
        "forks" => {
            let [depth, program @ ..] = args else { bail!("DEPTH PROGRAM") };
            forks(depth.to_str()?.parse()?, program)
        }
        // It lives on until its input ends, so that it can be looked up.
        "once-told" => once_told(|| {
            wait(spawn(args)?)?;
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }),
        "once-told-orphan" => once_told(|| {
            let parent = std::process::id();
            fork(|| {
                until_adopted(parent);
                execute(args)
            })?;
            Ok(())
        }),
        "leaves" => leaves(args),
        "reuse" => reuse(args),
        _ => bail!("unknown"),
    }
}

/// `DEPTH PROGRAM ARGUMENTS`: each process forks the next one when the one that made it has ended, and
/// the last, the first being this, executes. Their pids are printed.
fn forks(depth: u32, program: &[CString]) -> anyhow::Result<()> {
    let parent = std::process::id();
    println!("FORKED={parent}");
    if depth == 0 {
        return execute(program);
    }
    fork(|| {
        until_adopted(parent);
        forks(depth - 1, program)
    })?;
    Ok(())
}

/// Says that it runs, and does it when standard input has a line.
fn once_told(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("READY");
    std::io::stdin().lock().read_line(&mut String::new())?;
    work()
}

/// `PROGRAM MARK NAME`: executes `PROGRAM MARK early-NAME` as a child, and leaves another one behind that
/// executes `PROGRAM MARK late-NAME` when standard input has ended and this process as well.
fn leaves(args: &[CString]) -> anyhow::Result<()> {
    let [program, mark, name] = args else { bail!("PROGRAM MARK NAME") };
    let child = |when: &str| -> anyhow::Result<Vec<CString>> {
        let name = CString::new(format!("{when}-{}", name.to_str()?))?;
        Ok(vec![program.clone(), mark.clone(), name])
    };
    wait(spawn(&child("early")?)?)?;
    let (parent, late) = (std::process::id(), child("late")?);
    fork(|| {
        std::io::stdin().read_to_end(&mut Vec::new())?;
        until_adopted(parent);
        execute(&late)
    })?;
    Ok(())
}

/// `PROGRAM MARK`: two processes in succession with one pid, the second made by a process of its own, both
/// doing what [`leaves`] does, as `first` and `second`. Their late children execute when both are gone.
fn reuse(args: &[CString]) -> anyhow::Result<()> {
    let [program, mark] = args else { bail!("PROGRAM MARK") };
    let helper = std::fs::canonicalize("/proc/self/exe")?.into_os_string().into_encoded_bytes();
    let helper = CString::new(helper)?;
    let leaves = |name: &str| -> anyhow::Result<Vec<CString>> {
        let (how, name) = (c"leaves".to_owned(), CString::new(name)?);
        Ok(vec![helper.clone(), how, program.clone(), mark.clone(), name])
    };
    // The late children become this process's, so that it can wait for them.
    // SAFETY: a plain number is set.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    for _ in 0..TRIES_MAX {
        let (told, tell) = std::io::pipe()?;
        let as_input = || {
            // SAFETY: two descriptors of this process; the second one is given away.
            check(unsafe { libc::dup2(told.as_raw_fd(), 0) })
        };
        let first = fork(|| {
            as_input()?;
            execute(&leaves("first")?)
        })?;
        wait(first)?;
        until_next_tick()?;
        let middle = fork(|| {
            as_input()?;
            let taken = spawn_as(first, &leaves("second")?)?;
            std::process::exit(if taken { TAKEN } else { 0 })
        })?;
        let mut status = 0;
        // SAFETY: `status` is a local.
        check(unsafe { libc::waitpid(middle, &raw mut status, 0) })?;
        let is_taken = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == TAKEN;
        ensure!(status == 0 || is_taken, "the one in the middle ended with {status:#x}");
        drop((told, tell));
        wait(-1)?;
        if !is_taken {
            wait(-1)?;
            println!("REUSED={first}\nMIDDLE={middle}");
            return Ok(());
        }
    }
    bail!("the pid was taken each time")
}

/// Processes of one pid are told apart by their start in clock ticks, of which there are 100 a second.
fn until_next_tick() -> anyhow::Result<()> {
    let tick = || -> anyhow::Result<i64> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Ok(now.tv_sec * 100 + now.tv_nsec / 10_000_000)
    };
    let now = tick()?;
    while tick()? <= now {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}

/// Executes it in a child with this pid and waits for that; true where somebody else has the pid.
fn spawn_as(pid: libc::pid_t, program: &[CString]) -> anyhow::Result<bool> {
    let pids = [pid];
    // `struct clone_args` up to its field `set_tid_size`; the signal is the fifth field.
    let mut arguments = [0_u64; 10];
    arguments[4] = u64::try_from(libc::SIGCHLD)?;
    arguments[8] = pids.as_ptr() as u64;
    arguments[9] = 1;
    // SAFETY: the kernel reads locals of the sizes it is told. Without a stack of its own the child goes
    // on here with a copy of all memory, as after fork; this process has one thread.
    let child =
        unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
    if child == 0 {
        let result = execute(program);
        eprintln!("exec_helper: the child: {result:?}");
        std::process::exit(1);
    }
    match check(i32::try_from(child)?) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(true),
        other => {
            wait(other.context("clone3 with a pid of choice")?)?;
            Ok(false)
        }
    }
}
