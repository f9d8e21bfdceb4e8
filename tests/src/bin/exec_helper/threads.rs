//! Ends of processes with several threads, in each order.

use std::ffi::OsString;

use anyhow::Context as _;

use crate::ways::check;

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
pub fn leader_first(args: &[OsString]) -> anyhow::Result<()> {
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
pub fn abort_with_threads(args: &[OsString]) -> anyhow::Result<()> {
    let no_limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is a local.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_limit) })?;
    for _ in 0..number(args)? {
        std::thread::spawn(std::thread::park);
    }
    std::process::abort()
}

/// `THREADS`: so many threads and the first one end at the same time, each by itself.
pub fn together(args: &[OsString]) -> anyhow::Result<()> {
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
