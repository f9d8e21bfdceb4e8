//! The smallest program: what is measured is the exec, not what the program does.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Where the one segment is mapped. Any page above `vm.mmap_min_addr` will do.
const BASE: u64 = 0x40_0000;

/// The ELF header and the one program header; the code follows.
const HEADERS_BYTES: u16 = 64 + 56;

/// `e_machine` of x86-64, and: mov eax, 60 (exit); xor edi, edi; syscall.
#[cfg(target_arch = "x86_64")]
const PROGRAM: (u16, &[u8]) = (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);

/// `e_machine` of AArch64, and: mov x8, #93 (exit); mov x0, #0; svc #0.
#[cfg(target_arch = "aarch64")]
const PROGRAM: (u16, &[u8]) =
    (183, &[0xa8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]);

/// Writes a static program that exits with 0 and does nothing else.
pub fn write(path: &Path) -> io::Result<()> {
    std::fs::write(path, image())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// An ELF file of one segment, readable and executable, which is the whole file.
fn image() -> Vec<u8> {
    let (machine, code) = PROGRAM;
    let bytes = u64::from(HEADERS_BYTES) + code.len() as u64;
    let mut elf = Vec::new();
    let half = |values: &[u16], elf: &mut Vec<u8>| {
        elf.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    };
    // 64 bits, little endian, version 1, System V.
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    half(&[2, machine], &mut elf); // ET_EXEC
    elf.extend(1u32.to_le_bytes());
    for value in [BASE + u64::from(HEADERS_BYTES), 64, 0] {
        elf.extend(value.to_le_bytes()); // entry, program headers, section headers
    }
    elf.extend(0u32.to_le_bytes());
    half(&[64, 56, 1, 0, 0, 0], &mut elf); // sizes and counts of the headers
    elf.extend([1u32, 5].into_iter().flat_map(u32::to_le_bytes)); // PT_LOAD, r-x
    for value in [0, BASE, BASE, bytes, bytes, 0x1000] {
        elf.extend(value.to_le_bytes()); // offset, addresses, sizes, alignment
    }
    elf.extend(code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_runs_and_succeeds() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("noop");
        write(&path).expect("writable");
        let status = std::process::Command::new(&path).arg("x").status().expect("runs");
        assert_eq!(status.code(), Some(0));
    }
}
