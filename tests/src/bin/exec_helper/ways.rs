//! Ways to execute: by descriptor, from memory, from a thread, as a child.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use anyhow::{Context as _, bail};

pub fn strings(args: Vec<OsString>) -> anyhow::Result<Vec<CString>> {
    args.into_iter().map(|arg| Ok(CString::new(arg.into_vec())?)).collect()
}

pub fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Pointers to the strings, ended by null; valid as long as the strings.
fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

pub fn execv(program: &CString, args: &[CString]) -> anyhow::Result<()> {
    let argv = pointers(args);
    // SAFETY: `program` and the strings of `argv` are NUL-terminated and live past the call.
    unsafe { libc::execv(program.as_ptr(), argv.as_ptr().cast()) };
    Err(io::Error::last_os_error()).context("execv")
}

/// `NAME=VALUE... PROGRAM ARGUMENTS`: with exactly these environment variables, in this order.
pub fn with_environment(args: Vec<OsString>) -> anyhow::Result<()> {
    let args = strings(args)?;
    let variables = args.iter().take_while(|arg| arg.as_bytes().contains(&b'=')).count();
    let (variables, args) = args.split_at(variables);
    let program = args.first().context("a program")?;
    let (argv, envp) = (pointers(args), pointers(variables));
    // SAFETY: the strings are NUL-terminated, the lists null-terminated, and all live past the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()) };
    Err(io::Error::last_os_error()).context("execve")
}

/// Executes `PROGRAM ARGUMENTS` under its own name.
pub fn execute(args: &[CString]) -> anyhow::Result<()> {
    execv(args.first().context("a program")?, args)
}

pub fn open(path: &CString, flags: i32) -> anyhow::Result<OwnedFd> {
    // SAFETY: the path is NUL-terminated.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: a descriptor that was just opened and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub fn execveat(file: &OwnedFd, args: &[CString]) -> anyhow::Result<()> {
    raw_execveat(file, c"", args, libc::AT_EMPTY_PATH).context("execveat")
}

/// `execveat` of a name below a directory, or of the descriptor itself. Comes back where it fails, or
/// where the flags only ask whether it would not.
pub fn raw_execveat(file: &OwnedFd, name: &CStr, args: &[CString], flags: i32) -> io::Result<()> {
    let argv = pointers(args);
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: all pointers are to NUL-terminated strings or null-terminated lists that live past
    // the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            name.as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            flags,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `DIRECTORY NAME ARGUMENTS`: a name below an open directory.
pub fn in_directory(args: &[CString], flags: i32) -> anyhow::Result<()> {
    let [directory, name, ..] = args else { bail!("DIRECTORY NAME") };
    let directory = open(directory, libc::O_PATH | libc::O_DIRECTORY)?;
    raw_execveat(&directory, name, &args[1..], flags).context("execveat")
}

pub fn by_descriptor(args: &[CString], flags: i32) -> anyhow::Result<()> {
    // Not closed on exec: for a script the interpreter must be able to open it.
    let file = open(args.first().context("a program")?, flags)?;
    execveat(&file, args)
}

/// `FILE NAME ARGUMENTS`: a copy of the file in memory, under that name.
pub fn from_memory(args: Vec<OsString>) -> anyhow::Result<()> {
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

/// Executes from a thread that is not the leader, having told both ids.
pub fn from_thread(args: Vec<OsString>) -> anyhow::Result<()> {
    let args = strings(args)?;
    std::thread::spawn(move || {
        // SAFETY: no memory is involved.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        println!("PID={}\nTID={tid}", std::process::id());
        execute(&args)
    })
    .join()
    .unwrap_or_else(|_| bail!("the thread panicked"))
}

/// `posix_spawn`, in glibc a vfork: parent and child share an address space until the exec.
pub fn spawn(args: &[CString]) -> anyhow::Result<libc::pid_t> {
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

pub fn wait(pid: libc::pid_t) -> anyhow::Result<()> {
    let mut status = 0;
    // SAFETY: `status` is a local.
    check(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    if status == 0 { Ok(()) } else { bail!("the program ended with wait status {status:#x}") }
}
