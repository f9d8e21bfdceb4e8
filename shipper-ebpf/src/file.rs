//! Files: what the inode says, and the walk that makes a path.
//!
//! `bpf_d_path` is allowed in few hooks and not in raw tracepoints, so the path is walked here: from
//! the entry up to the root of the process, over mount points, as `prepend_path` in fs/d_path.c does.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use common::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_COMPONENTS_MAX};
use common::offsets::MISSING;
use common::wire::{
    FILE_ANONYMOUS, FILE_NOEXEC, FILE_NOSUID, FILE_OVERLAY_LOWER, FILE_OVERLAY_UPPER, FILE_PRESENT,
    FILE_READ_ONLY, FILE_UNHASHED, FileFacts, PATH_CUT, PATH_FAULT, PATH_PRESENT, PATH_UNREACHABLE,
};

use crate::layout::{offset, word};
use crate::read::{Piece, field, field_or_zero, piece_field, read, read_or_zero};

// include/linux/mount.h
const MNT_NOSUID: u32 = 0x01;
const MNT_NOEXEC: u32 = 0x04;
const MNT_READONLY: u32 = 0x40;
// include/linux/fs.h
const SB_RDONLY: u64 = 1;
const SB_I_NOEXEC: u32 = 2;
/// The time of the last change was asked for (`I_CTIME_QUERIED`, 6.13): above what nanoseconds need.
const NANOSECONDS: u32 = 0x3fff_ffff;
/// Up to the times, but for `nsec` of the last on some kernels.
const INODE_WORDS: usize = 18;
/// Up to `s_magic`.
const SUPER_BLOCK_WORDS: usize = 14;
/// Up to `d_name`.
const DENTRY_WORDS: usize = 6;
/// `OVERLAYFS_SUPER_MAGIC`.
const OVERLAYFS: u64 = 0x794c_7630;

/// A `struct path`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Place {
    pub mount: u64,
    pub dentry: u64,
}

/// Reads the `struct path` at an address.
#[inline(always)]
pub fn place(path: u64) -> Option<Place> {
    let (mount, dentry) = (offset!(path_mnt), offset!(path_dentry));
    // Everywhere but where the layout of structures is made up at random. Known when the program is loaded.
    if dentry == mount + 8 {
        return read(path, mount);
    }
    Some(Place { mount: read(path, mount)?, dentry: read(path, dentry)? })
}

/// Address of the `struct path` of a `struct file`; one that cannot be read when there is no file.
#[inline(always)]
pub fn path_of(file: u64) -> u64 {
    file + u64::from(offset!(file_path))
}

/// Where a walk begins and where it ends.
pub struct Walk {
    pub from: Place,
    pub root: Place,
}

/// Fills the facts of a `struct file`. The pieces are in functions of their own, one after the other, since
/// all that call each other have 512 bytes of stack together.
#[inline(never)]
pub fn read_facts(file: u64, out: *mut FileFacts) -> u64 {
    let Some(inode): Option<u64> = field!(file, file_inode) else { return 0 };
    let sb = read_inode(inode, out);
    if sb == 0 {
        return 0;
    }
    // SAFETY: `out` points into a map value.
    let facts = unsafe { &mut *out };
    facts.flags = FILE_PRESENT;
    let mut mount = 0;
    if let Some(place) = place(path_of(file)) {
        mount = place.mount;
        let hash = offset!(dentry_hash_pprev);
        if hash != MISSING && read::<u64>(place.dentry, hash) == Some(0) {
            facts.flags |= FILE_UNHASHED;
        }
        if field!(place.dentry, dentry_parent) == Some(place.dentry) {
            facts.flags |= FILE_ANONYMOUS;
        }
    }
    read_file_system(sb, mount, inode, facts)
}

/// Fills what the inode says. Address of its `struct super_block`; 0 when it cannot be read.
#[inline(never)]
fn read_inode(inode: u64, out: *mut FileFacts) -> u64 {
    let mut piece = Piece::<INODE_WORDS>::new();
    if !piece.fill(inode, 0) {
        return 0;
    }
    let mode: u16 = piece_field!(piece, inode, inode_mode);
    // SAFETY: the caller's map value.
    let facts = unsafe { &mut *out };
    facts.inode = piece_field!(piece, inode, inode_ino);
    facts.size = piece_field!(piece, inode, inode_size);
    facts.uid = piece_field!(piece, inode, inode_uid);
    facts.gid = piece_field!(piece, inode, inode_gid);
    facts.mode = u32::from(mode);
    facts.links = piece_field!(piece, inode, inode_nlink);
    facts.modified_sec = piece_field!(piece, inode, inode_mtime_sec);
    facts.modified_nsec = piece_field!(piece, inode, inode_mtime_nsec);
    facts.changed_sec = piece_field!(piece, inode, inode_ctime_sec);
    let changed_nsec: u32 = piece_field!(piece, inode, inode_ctime_nsec);
    facts.changed_nsec = changed_nsec & NANOSECONDS;
    piece_field!(piece, inode, inode_sb)
}

/// Fills what comes from the file system and its mount, which is 0 where it is not known.
#[inline(never)]
fn read_file_system(sb: u64, mount: u64, inode: u64, out: *mut FileFacts) -> u64 {
    // SAFETY: the caller's map value.
    let facts = unsafe { &mut *out };
    let mut piece = Piece::<SUPER_BLOCK_WORDS>::new();
    piece.fill(sb, 0);
    facts.device = piece_field!(piece, sb, sb_dev);
    let of_mount: u32 = field_or_zero!(mount, vfsmount_flags);
    let of_sb: u64 = piece_field!(piece, sb, sb_flags);
    let internal: u32 = piece_field!(piece, sb, sb_iflags);
    if of_mount & MNT_NOSUID != 0 {
        facts.flags |= FILE_NOSUID;
    }
    if of_mount & MNT_NOEXEC != 0 || internal & SB_I_NOEXEC != 0 {
        facts.flags |= FILE_NOEXEC;
    }
    if of_mount & MNT_READONLY != 0 || of_sb & SB_RDONLY != 0 {
        facts.flags |= FILE_READ_ONLY;
    }
    let magic: u64 = piece_field!(piece, sb, sb_magic);
    facts.flags |= overlay_layer(inode, magic);
    let kind: u64 = piece_field!(piece, sb, sb_type);
    let name: u64 = field_or_zero!(kind, fs_type_name);
    facts.file_system = [0; 16];
    // SAFETY: a field of the map value; the helper checks the source.
    unsafe {
        bpf_probe_read_kernel_str(facts.file_system.as_mut_ptr().cast(), 16, name as *const _);
    }
    1
}

/// On overlayfs, which layer a file is in. `struct ovl_inode` (fs/overlayfs/ovl_entry.h) is a module's
/// own type; since 4.14 its `__upperdentry` follows the embedded `struct inode`.
#[inline(always)]
fn overlay_layer(inode: u64, magic: u64) -> u32 {
    let bytes = word!(inode_bytes);
    if bytes == MISSING || magic != OVERLAYFS {
        return 0;
    }
    let upper: u64 = read_or_zero(inode, bytes);
    if upper != 0 { FILE_OVERLAY_UPPER } else { FILE_OVERLAY_LOWER }
}

/// Writes the names from the leaf to the root, each with its NUL, at `heap[*used..]`, and advances
/// `used`. `MASK + 1` is the size of the heap, a power of two; behind it is room for one name.
/// Returns the flags of the path.
#[inline(always)]
pub fn walk<const MASK: usize>(heap: *mut u8, used: *mut u64, walk: &Walk) -> u32 {
    let Walk { from: Place { mut mount, mut dentry }, root } = *walk;
    // SAFETY: `used` is in the caller's map value.
    let begin = unsafe { core::ptr::read_volatile(used) };
    let mut top: u64 = field_or_zero!(mount, vfsmount_root);
    for _ in 0..PATH_COMPONENTS_MAX {
        if dentry == root.dentry && mount == root.mount {
            return PATH_PRESENT;
        }
        if dentry == top {
            // The root of this file system: go on at the mount point, in the parent mount.
            let this = mount - u64::from(offset!(mount_mnt));
            let Some(parent): Option<u64> = field!(this, mount_parent) else {
                return PATH_PRESENT | PATH_FAULT;
            };
            if parent == this {
                return PATH_PRESENT | PATH_UNREACHABLE;
            }
            dentry = field_or_zero!(this, mount_mountpoint);
            mount = parent + u64::from(offset!(mount_mnt));
            top = field_or_zero!(mount, vfsmount_root);
            continue;
        }
        let mut piece = Piece::<DENTRY_WORDS>::new();
        if top == 0 || !piece.fill(dentry, 0) {
            return PATH_PRESENT | PATH_FAULT;
        }
        let parent: u64 = piece_field!(piece, dentry, dentry_parent);
        let name: u64 = piece_field!(piece, dentry, dentry_name);
        // SAFETY: the position is read past the compiler and masked, so that the verifier sees it
        // inside the heap, with slack for one name behind it.
        unsafe {
            let position = core::ptr::read_volatile(used);
            if position - begin >= u64::from(PATH_BYTES_MAX) {
                return PATH_PRESENT | PATH_CUT;
            }
            let written = bpf_probe_read_kernel_str(
                heap.add(position as usize & MASK).cast(),
                NAME_BYTES_MAX,
                name as *const _,
            );
            if written <= 0 {
                return PATH_PRESENT | PATH_FAULT;
            }
            core::ptr::write_volatile(used, position + written as u64);
        }
        if parent == dentry {
            // A file outside every tree: memfd, pipe.
            return PATH_PRESENT | PATH_UNREACHABLE;
        }
        dentry = parent;
    }
    PATH_PRESENT | PATH_CUT
}
