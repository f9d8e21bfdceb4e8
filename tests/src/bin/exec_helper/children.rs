//! Ways that need a child: its own session or terminal, an orphan, another cgroup, a vfork.

use std::ffi::CString;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::parent_id;

use anyhow::{Context as _, bail};

use crate::ways::{check, execute, open, spawn, wait};

pub fn run(how: &str, args: &[CString]) -> anyhow::Result<()> {
    match how {
        // `posix_spawn`, in glibc a vfork: parent and child share an address space until the exec.
        "spawn" => {
            let pid = spawn(args)?;
            println!("PID={pid}\nPARENT={}", std::process::id());
            wait(pid)
        }
        "session" => {
            let child = fork(|| {
                // SAFETY: no memory is involved.
                check(unsafe { libc::setsid() })?;
                execute(args)
            })?;
            println!("PID={child}");
            wait(child)
        }
        "terminal" => terminal(args),
        "subreaper" => subreaper(args),
        "orphan" => {
            let parent = std::process::id();
            let child = fork(|| {
                until_adopted(parent);
                execute(args)
            })?;
            println!("PID={child}\nPARENT={parent}");
            Ok(())
        }
        "into-cgroup" => into_cgroup(args),
        _ => bail!("unknown"),
    }
}

/// A child that does this; its failure is its exit code 1.
pub fn fork(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<libc::pid_t> {
    // SAFETY: this process has one thread, so the child may do all that the parent may.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        let code = match work() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("exec_helper: the child: {error:#}");
                1
            }
        };
        std::process::exit(code);
    }
    Ok(pid)
}

/// Waits until that process, the one that made this one, has ended.
pub fn until_adopted(parent: u32) {
    while parent_id() == parent {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The grandchild executes when its parent has ended and this process has adopted it.
fn subreaper(args: &[CString]) -> anyhow::Result<()> {
    // SAFETY: a plain number is set.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })?;
    let middle = fork(|| {
        let parent = std::process::id();
        fork(|| {
            until_adopted(parent);
            execute(args)
        })?;
        Ok(())
    })?;
    println!("MIDDLE={middle}\nREAPER={}", std::process::id());
    wait(middle)?;
    wait(-1)
}

/// The program has a terminal of its own as the controlling one.
fn terminal(args: &[CString]) -> anyhow::Result<()> {
    let master = open(&CString::new("/dev/ptmx")?, libc::O_RDWR | libc::O_NOCTTY)?;
    let (mut number, unlock) = (0_u32, 0_i32);
    // SAFETY: the kernel reads and writes locals of the sizes that these requests have.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) })?;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) })?;
    let child = fork(|| {
        // SAFETY: no memory is involved.
        check(unsafe { libc::setsid() })?;
        let name = CString::new(format!("/dev/pts/{number}"))?;
        let slave = open(&name, libc::O_RDWR | libc::O_NOCTTY)?;
        // SAFETY: no memory is involved.
        check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
        execute(args)
    })?;
    // The master stays open until the program has ended: else it would be hung up on.
    println!("PID={child}\nMINOR={number}");
    wait(child)?;
    drop(master);
    Ok(())
}

/// `CGROUP PROGRAM ARGUMENTS`: `clone3` puts the child there before it runs.
fn into_cgroup(args: &[CString]) -> anyhow::Result<()> {
    /// `CLONE_INTO_CGROUP`.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let [cgroup, program @ ..] = args else { bail!("CGROUP PROGRAM") };
    let cgroup = open(cgroup, libc::O_PATH | libc::O_DIRECTORY)?;
    // `struct clone_args` up to its field `cgroup`; the signal is the fifth field.
    let mut arguments = [0_u64; 11];
    arguments[0] = INTO_CGROUP;
    arguments[4] = u64::try_from(libc::SIGCHLD)?;
    arguments[10] = u64::try_from(cgroup.as_raw_fd())?;
    // SAFETY: the kernel reads a local of the size it is told. Without a stack of its own the child
    // goes on here with a copy of all memory, as after fork; this process has one thread.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
    let pid = check(i32::try_from(pid)?).context("clone3")?;
    if pid == 0 {
        let result = execute(program);
        eprintln!("exec_helper: the child: {result:?}");
        std::process::exit(1);
    }
    println!("PID={pid}");
    wait(pid)
}
