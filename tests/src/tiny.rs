//! The smallest programs there are: static ELF files of some hundred bytes, written by hand so that
//! a test needs no compiler. They start in microseconds and run inside a bare chroot.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A child that was forked executes, or ends, long before.
const SPAWN_LIMIT: Duration = Duration::from_secs(10);

/// Where the file is mapped.
const BASE: u64 = 0x40_0000;
const ELF_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;

#[cfg(target_arch = "x86_64")]
mod machine {
    /// `EM_X86_64`.
    pub const MACHINE: u16 = 62;
    /// `read(0, rsp - 16, 1)`.
    pub const READ: &[u8] =
        &[0x31, 0xff, 0x48, 0x8d, 0x74, 0x24, 0xf0, 0xba, 1, 0, 0, 0, 0x31, 0xc0, 0x0f, 0x05];
    /// `exit(0)`.
    pub const EXIT: &[u8] = &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
}

#[cfg(target_arch = "aarch64")]
mod machine {
    /// `EM_AARCH64`.
    pub const MACHINE: u16 = 183;
    /// `read(0, sp - 16, 1)`.
    pub const READ: &[u8] = &[
        0x00, 0x00, 0x80, 0xd2, 0xe1, 0x43, 0x00, 0xd1, 0x22, 0x00, 0x80, 0xd2, 0xe8, 0x07, 0x80,
        0xd2, 0x01, 0x00, 0x00, 0xd4,
    ];
    /// `exit(0)`.
    pub const EXIT: &[u8] =
        &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
}

/// A program that ends at once with exit code 0.
#[must_use]
pub fn ends_at_once() -> Vec<u8> {
    elf(machine::EXIT)
}

/// A program that ends once its standard input has a byte or its end.
#[must_use]
pub fn waits_for_input() -> Vec<u8> {
    elf(&[machine::READ, machine::EXIT].concat())
}

/// The same in 32 bits, for x86-64 with its emulation of i386.
#[must_use]
pub fn ends_at_once_32() -> Vec<u8> {
    /// `exit(0)`: `xor ebx, ebx; mov eax, 1; int 0x80`.
    const EXIT: &[u8] = &[0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
    const HEADERS: u32 = 52 + 32;
    let base = 0x0804_8000_u32;
    let total = HEADERS + u32::try_from(EXIT.len()).unwrap_or(u32::MAX);
    let mut file = b"\x7fELF\x01\x01\x01".to_vec(); // 32 bit, little endian, version 1
    file.resize(16, 0);
    // ET_EXEC, EM_386
    file.extend([2_u16, 3].into_iter().flat_map(u16::to_le_bytes));
    // Version, entry, program headers, no section headers, flags.
    file.extend([1, base + HEADERS, 52, 0, 0].into_iter().flat_map(u32::to_le_bytes));
    // Sizes and counts: this header, one program header, no section headers.
    file.extend([52_u16, 32, 1, 0, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    // PT_LOAD from 0 to the end, readable and executable.
    let load = [1, 0, base, base, total, total, 5, 0x1000];
    file.extend(load.into_iter().flat_map(u32::to_le_bytes));
    file.extend(EXIT);
    file
}

/// Writes an executable file. The descriptor is closed before this returns; where another thread
/// forks meanwhile, its child holds it a moment longer and an exec may see `ETXTBSY`: [`spawn`] waits.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    std::fs::write(path, bytes)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Starts a program that was written just now, as soon as no child of another thread holds it any more.
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let until = Instant::now() + SPAWN_LIMIT;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until =>
            {
                std::thread::yield_now();
            }
            result => return result,
        }
    }
}

fn elf(code: &[u8]) -> Vec<u8> {
    let start = u64::from(ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES);
    let total = start + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec(); // 64 bit, little endian, version 1
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2); // ET_EXEC
    half(&mut file, machine::MACHINE);
    word(&mut file, 1);
    long(&mut file, BASE + start); // entry
    long(&mut file, u64::from(ELF_HEADER_BYTES)); // program headers
    long(&mut file, 0); // no section headers
    word(&mut file, 0);
    for value in [ELF_HEADER_BYTES, PROGRAM_HEADER_BYTES, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    word(&mut file, 1); // PT_LOAD
    word(&mut file, 5); // readable, executable
    for value in [0, BASE, BASE, total, total, 0x1_0000] {
        long(&mut file, value);
    }
    file.extend(code);
    file
}
