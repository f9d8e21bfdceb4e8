//! Changes this process before it executes the rest: ids, capabilities, namespaces, names.

use std::ffi::{CStr, CString};
use std::io::Read as _;

use anyhow::{Context as _, bail};

use crate::children::fork;
use crate::ways::{check, execute, wait};

pub fn run(how: &str, args: Vec<CString>) -> anyhow::Result<()> {
    let (rest, own) = match how {
        "no-new-privileges" | "group" => (&args[..], &args[..0]),
        "ids" => (args.get(3..).context("REAL EFFECTIVE SAVED PROGRAM")?, &args[..3]),
        _ => (args.get(1..).context("an argument")?, &args[..1]),
    };
    match how {
        "no-new-privileges" => {
            // SAFETY: plain numbers.
            check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        }
        "group" => {
            // SAFETY: no memory is involved.
            check(unsafe { libc::setpgid(0, 0) })?;
        }
        "as" => become_user(number(&own[0])?)?,
        "ids" => {
            let [real, effective, saved] = [number(&own[0])?, number(&own[1])?, number(&own[2])?];
            // Groups first: the right to set them goes with the user ids.
            // SAFETY: no memory is involved.
            check(unsafe { libc::setresgid(real, effective, saved) })?;
            // SAFETY: no memory is involved.
            check(unsafe { libc::setresuid(real, effective, saved) })?;
        }
        "securebits" => {
            // SAFETY: plain numbers.
            check(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, number(&own[0])?) })?;
        }
        "without-capability" => {
            // SAFETY: plain numbers.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number(&own[0])?, 0, 0, 0) })?;
        }
        "ambient" => ambient(number(&own[0])?)?,
        "name" => {
            // SAFETY: the name is NUL-terminated; the kernel takes 16 bytes at most.
            check(unsafe { libc::prctl(libc::PR_SET_NAME, own[0].as_ptr()) })?;
        }
        "file-capability" => return file_capability(number(&own[0])?, rest),
        "rewrite-arguments" => return rewrite_arguments(&own[0], rest),
        "unshare" => return unshare(own[0].to_str()?, rest),
        _ => bail!("unknown"),
    }
    execute(rest)
}

fn number(text: &CStr) -> anyhow::Result<u32> {
    Ok(text.to_str()?.parse()?)
}

fn become_user(id: u32) -> anyhow::Result<()> {
    // SAFETY: no groups, so no memory is read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::setresuid(id, id, id) })?;
    Ok(())
}

/// Becomes user 1000 with one capability that stays across an exec.
fn ambient(capability: u32) -> anyhow::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    const USER: u32 = 1000;
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })?;
    become_user(USER)?;
    let bit = 1_u32.checked_shl(capability).context("a capability below 32")?;
    let header = [VERSION_3, 0];
    // Effective, permitted, inheritable: the low halves, then the high ones.
    let data = [bit, bit, bit, 0, 0, 0];
    // SAFETY: the kernel reads the header and, for this version, six words.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    check(i32::try_from(result)?).context("capset")?;
    // SAFETY: plain numbers.
    check(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0)
    })
    .context("ambient")?;
    Ok(())
}

/// `CAPABILITY FILE`: gives the file this one, permitted and effective.
fn file_capability(capability: u32, rest: &[CString]) -> anyhow::Result<()> {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let file = rest.first().context("a file")?;
    let bit = 1_u32.checked_shl(capability).context("a capability below 32")?;
    let words = [REVISION_2_EFFECTIVE, bit, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // SAFETY: names are NUL-terminated, and the value is as long as it says.
    check(unsafe {
        libc::setxattr(
            file.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    })?;
    Ok(())
}

/// Kinds of namespaces and what `unshare` calls them.
const KINDS: [(&str, i32); 8] = [
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("cgroup", libc::CLONE_NEWCGROUP),
    // CLONE_NEWTIME.
    ("time", 0x80),
    ("user", libc::CLONE_NEWUSER),
];

fn unshare(kinds: &str, rest: &[CString]) -> anyhow::Result<()> {
    let mut flags = 0;
    let mut is_root = false;
    for kind in kinds.split(',') {
        match KINDS.iter().find(|(name, _)| *name == kind) {
            Some((_, flag)) => flags |= flag,
            None if kind == "root" => is_root = true,
            None => bail!("no kind of namespace: {kind}"),
        }
    }
    // SAFETY: no memory is involved.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: no memory is involved.
    check(unsafe { libc::unshare(flags) }).context("unshare")?;
    if is_root {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    if flags & libc::CLONE_NEWNS != 0 {
        // What is mounted from here on is seen nowhere else.
        use rustix::mount::{MountPropagationFlags, mount_change};
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    }
    // Children alone are in the new namespace of these kinds.
    if flags & (libc::CLONE_NEWPID | 0x80) == 0 {
        return execute(rest);
    }
    wait(fork(|| execute(rest))?)
}

/// `TEXT`: puts it in the place of this process's own arguments, as a process that hides what it was
/// called with, executes a child (`PROGRAM ARGUMENTS`) and waits until standard input ends.
fn rewrite_arguments(text: &CStr, rest: &[CString]) -> anyhow::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may hold spaces; after it the third field begins. 48 and 49: start and end.
    let after = stat.rsplit_once(") ").context("a name")?.1;
    let field = |number: usize| -> anyhow::Result<usize> {
        Ok(after.split(' ').nth(number - 3).context("a field")?.parse()?)
    };
    let (start, end) = (field(48)?, field(49)?);
    let mut bytes = text.to_bytes().to_vec();
    bytes.resize(end - start, 0);
    // SAFETY: the kernel says that our own arguments are there, writable and so long; nothing holds a
    // reference to them: those of the standard library are copies.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len()) };
    let shown = std::fs::read("/proc/self/cmdline")?;
    if !shown.starts_with(text.to_bytes()) {
        bail!("the arguments were not replaced");
    }
    if !rest.is_empty() {
        wait(crate::ways::spawn(rest)?)?;
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
