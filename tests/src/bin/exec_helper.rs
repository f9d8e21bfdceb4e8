//! Executes programs in the ways a shell does not: from another thread, by descriptor, without
//! arguments, out of a chroot, in masses. Used by the tests under `tests/tests/`; what it is asked
//! for it does, or it ends with a message and exit code 1.

#![allow(unsafe_code, reason = "raw system calls are what this program is for")]

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(how) = args.next().and_then(|how| how.into_string().ok()) else {
        eprintln!("usage: exec_helper HOW ARGUMENTS");
        return ExitCode::FAILURE;
    };
    match run(&how, args.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exec_helper {how}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(how: &str, args: Vec<OsString>) -> anyhow::Result<()> {
    match how {
        "thread" => from_thread(args),
        "spawn" => spawn_and_wait(&strings(args)?),
        "execveat" => by_descriptor(&strings(args)?, libc::O_PATH),
        "memfd" => from_memory(args),
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
            let args = strings(args[at + 1..].to_vec())?;
            execv(args.first().context("a program")?, &args)
        }
        "unshare" => {
            // SAFETY: no memory is involved.
            check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
            let args = strings(args)?;
            execv(args.first().context("a program")?, &args)
        }
        "on-cpu" => {
            let (cpu, program) = args.split_first().context("CPU PROGRAM")?;
            pin(cpu.to_str().context("a number")?.parse()?)?;
            let args = strings(program.to_vec())?;
            execv(args.first().context("a program")?, &args)
        }
        "orphan" => orphan(&strings(args)?),
        "leader-first" => leader_first(&args),
        "together" => together(&args),
        "abort-threads" => abort_with_threads(&args),
        "terminal" => in_terminal(&strings(args)?),
        "storm" => storm(args),
        "stream" => stream(args),
        "bpf-program" => {
            let id = args.first().and_then(|id| id.to_str()).context("ID")?.parse()?;
            println!("{}", if is_loaded(id)? { "loaded" } else { "gone" });
            Ok(())
        }
        _ => bail!("unknown"),
    }
}

fn strings(args: Vec<OsString>) -> anyhow::Result<Vec<CString>> {
    args.into_iter().map(|arg| Ok(CString::new(arg.into_vec())?)).collect()
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Pointers to the strings, ended by null; valid as long as the strings.
fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

fn execv(program: &CString, args: &[CString]) -> anyhow::Result<()> {
    let argv = pointers(args);
    // SAFETY: `program` and the strings of `argv` are NUL-terminated and live past the call.
    unsafe { libc::execv(program.as_ptr(), argv.as_ptr().cast()) };
    Err(io::Error::last_os_error()).context("execv")
}

fn open(path: &CString, flags: i32) -> anyhow::Result<OwnedFd> {
    // SAFETY: the path is NUL-terminated.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: a descriptor that was just opened and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn execveat(file: &OwnedFd, args: &[CString]) -> anyhow::Result<()> {
    let argv = pointers(args);
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: all pointers are to NUL-terminated strings or null-terminated lists that live past
    // the call; the empty path makes the descriptor the file.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(io::Error::last_os_error()).context("execveat")
}

fn by_descriptor(args: &[CString], flags: i32) -> anyhow::Result<()> {
    // Not closed on exec: for a script the interpreter must be able to open it.
    let file = open(args.first().context("a program")?, flags)?;
    execveat(&file, args)
}

/// `FILE NAME ARGUMENTS`: a copy of the file in memory, under that name.
fn from_memory(args: Vec<OsString>) -> anyhow::Result<()> {
    let [file, name, ..] = &args[..] else { bail!("FILE NAME") };
    let bytes = std::fs::read(file)?;
    let name = CString::new(name.clone().into_vec())?;
    // SAFETY: the name is NUL-terminated.
    let fd = check(unsafe { libc::memfd_create(name.as_ptr(), 0) })?;
    // SAFETY: a descriptor that was just opened and has no other owner.
    let memory = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut writer = std::fs::File::from(memory);
    io::Write::write_all(&mut writer, &bytes)?;
    // A file open for writing cannot be executed.
    let path = CString::new(format!("/proc/self/fd/{}", writer.as_raw_fd()))?;
    let memory = open(&path, libc::O_RDONLY)?;
    drop(writer);
    execveat(&memory, &strings(args[1..].to_vec())?)
}

/// Executes from a thread that is not the leader, having printed `PID TID`.
fn from_thread(args: Vec<OsString>) -> anyhow::Result<()> {
    let args = strings(args)?;
    std::thread::spawn(move || {
        // SAFETY: no memory is involved.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        println!("{} {tid}", std::process::id());
        execv(args.first().context("a program")?, &args)
    })
    .join()
    .unwrap_or_else(|_| bail!("the thread panicked"))
}

/// `posix_spawn`, in glibc a vfork: parent and child share an address space until the exec.
fn spawn(args: &[CString]) -> anyhow::Result<libc::pid_t> {
    let argv = pointers(args);
    let environment: [*mut libc::c_char; 1] = [std::ptr::null_mut()];
    let mut pid = 0;
    // SAFETY: the strings are NUL-terminated, the lists null-terminated, and all live past the call.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            args.first().context("a program")?.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            argv.as_ptr(),
            environment.as_ptr(),
        )
    };
    if error == 0 {
        Ok(pid)
    } else {
        Err(io::Error::from_raw_os_error(error)).context("posix_spawn")
    }
}

fn wait(pid: libc::pid_t) -> anyhow::Result<()> {
    let mut status = 0;
    // SAFETY: `status` is a local.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    if status == 0 { Ok(()) } else { bail!("the program ended with wait status {status:#x}") }
}

fn spawn_and_wait(args: &[CString]) -> anyhow::Result<()> {
    let pid = spawn(args)?;
    println!("{pid}");
    wait(pid)
}

fn pin(cpu: usize) -> anyhow::Result<()> {
    // SAFETY: plain data, for which zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= size_of::<libc::cpu_set_t>() * 8 {
        bail!("no such CPU");
    }
    // SAFETY: the number was checked to lie within the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is a local of the size given.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// Forks; the parent ends at once, and the child executes only when it is an orphan.
fn orphan(args: &[CString]) -> anyhow::Result<()> {
    let parent = std::process::id();
    // SAFETY: this process has one thread, so the child may do all that the parent may.
    if check(unsafe { libc::fork() })? > 0 {
        return Ok(());
    }
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    execv(args.first().context("a program")?, args)
}

fn number<T: std::str::FromStr>(args: &[OsString]) -> anyhow::Result<T> {
    let number = args.first().and_then(|arg| arg.to_str()).and_then(|arg| arg.parse().ok());
    number.context("a number")
}

/// Ends this thread alone, as no library function does.
fn end_thread(code: i32) -> ! {
    // SAFETY: nothing of this thread is used afterwards: what it borrowed lives as long as the process.
    unsafe { libc::syscall(libc::SYS_exit, code) };
    unreachable!("it has ended")
}

/// `CODE OWN`: the first thread ends with the code `OWN`, and when it has, another one ends the process
/// with exit code `CODE`, or, where that is 0, only itself.
fn leader_first(args: &[OsString]) -> anyhow::Result<()> {
    let (code, own) = (number(args)?, number(args.get(1..).unwrap_or_default())?);
    let leader = format!("/proc/self/task/{}/stat", std::process::id());
    std::thread::spawn(move || {
        let has_ended = || std::fs::read_to_string(&leader).is_ok_and(|stat| stat.contains(") Z "));
        while !has_ended() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if code == 0 { end_thread(0) } else { std::process::exit(code) }
    });
    end_thread(own)
}

/// `THREADS`: aborts, with a core file where this machine writes one, while so many threads sleep.
fn abort_with_threads(args: &[OsString]) -> anyhow::Result<()> {
    let no_limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is a local.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_limit) })?;
    for _ in 0..number(args)? {
        std::thread::spawn(std::thread::park);
    }
    std::process::abort()
}

/// `THREADS`: so many threads and the first one end at the same time, each by itself.
fn together(args: &[OsString]) -> anyhow::Result<()> {
    let threads: usize = number(args)?;
    let barrier: &'static std::sync::Barrier =
        Box::leak(Box::new(std::sync::Barrier::new(threads + 1)));
    for _ in 0..threads {
        std::thread::spawn(|| {
            barrier.wait();
            end_thread(0)
        });
    }
    barrier.wait();
    end_thread(0)
}

/// Executes in a session and terminal of its own, as a login does, prints the pid, and waits for its
/// end.
fn in_terminal(args: &[CString]) -> anyhow::Result<()> {
    let (mut master, mut terminal) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: both descriptors are locals; name and settings may be null.
    check(unsafe {
        libc::openpty(&raw mut master, &raw mut terminal, null, null.cast(), null.cast())
    })?;
    // SAFETY: this process has one thread, so the child may do all that the parent may.
    let pid = check(unsafe { libc::fork() })?;
    if pid > 0 {
        println!("{pid}");
        return wait(pid);
    }
    // SAFETY: no memory is involved.
    check(unsafe { libc::setsid() })?;
    // SAFETY: the descriptor is open, and the request takes a number.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) })?;
    execv(args.first().context("a program")?, args)
}

/// Whether the kernel has a BPF program of that id.
fn is_loaded(id: u32) -> anyhow::Result<bool> {
    const BPF_PROG_GET_FD_BY_ID: i32 = 13;
    // The part of `union bpf_attr` that this command reads: id, next id, flags.
    let attributes = [id, 0, 0];
    // SAFETY: the kernel reads as many bytes as it is told of a local.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_GET_FD_BY_ID,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if fd >= 0 {
        // SAFETY: a descriptor that was just opened and has no other owner.
        drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) });
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(false) } else { Err(error.into()) }
}

/// `PROGRAM MARK FIRST COUNT`: spawns `PROGRAM MARK NUMBER` for so many numbers, two at a time, as
/// fast as it can.
fn storm(args: Vec<OsString>) -> anyhow::Result<()> {
    const WORKERS: u32 = 2;
    let args = strings(args)?;
    let [program, mark, first, count] = &args[..] else { bail!("PROGRAM MARK FIRST COUNT") };
    let first: u32 = first.to_str()?.parse()?;
    let count: u32 = count.to_str()?.parse()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn(move || {
                    for number in (first + worker..first + count).step_by(WORKERS as usize) {
                        let number = CString::new(number.to_string())?;
                        wait(spawn(&[program.clone(), mark.clone(), number])?)?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })
}

/// `PROGRAM MARK IN_A_ROW PAUSE_MS PADDING_BYTES`: spawns `PROGRAM MARK NUMBER PADDING`, one after the
/// other, in rows with a pause between, until standard input ends. After each row prints how many it were so
/// far.
fn stream(args: Vec<OsString>) -> anyhow::Result<()> {
    let args = strings(args)?;
    let [program, mark, in_a_row, pause_ms, padding_bytes] = &args[..] else {
        bail!("PROGRAM MARK IN_A_ROW PAUSE_MS PADDING_BYTES")
    };
    let in_a_row: u64 = in_a_row.to_str()?.parse()?;
    let pause = std::time::Duration::from_millis(pause_ms.to_str()?.parse()?);
    let padding = CString::new("x".repeat(padding_bytes.to_str()?.parse()?))?;
    let (ended, end) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(ended);
    });
    let mut count = 0;
    while end.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        for _ in 0..in_a_row {
            let number = CString::new(count.to_string())?;
            wait(spawn(&[program.clone(), mark.clone(), number, padding.clone()])?)?;
            count += 1;
        }
        println!("{count}");
    }
    Ok(())
}
