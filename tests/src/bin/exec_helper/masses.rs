//! Executions in masses, on a CPU of choice; and whether a kernel program is loaded.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use anyhow::bail;

use crate::ways::{check, spawn, strings, wait};

pub fn pin(cpu: usize) -> anyhow::Result<()> {
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

/// Whether the kernel has a BPF program of that id.
pub fn is_loaded(id: u32) -> anyhow::Result<bool> {
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
pub fn storm(args: Vec<OsString>) -> anyhow::Result<()> {
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
pub fn stream(args: Vec<OsString>) -> anyhow::Result<()> {
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
