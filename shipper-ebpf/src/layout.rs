//! What the loader tells about the running kernel and the operator's limits: read-only globals, set
//! before loading, which the verifier treats as constants.

use common::maps::{FAILURES_NONE, Settings};
use common::offsets::{Layout, MISSING, Offsets, SYSCALL_ARGUMENTS};

/// Replaced by the loader. All fields missing here, so that an object loaded without it reads
/// nothing instead of reading at offset zero.
#[unsafe(no_mangle)]
pub static OFFSETS: Layout = Layout {
    // SAFETY: `Offsets` is made of u32 only, for which every bit pattern is valid.
    fields: unsafe {
        core::mem::transmute::<[u32; Offsets::COUNT], Offsets>([MISSING; Offsets::COUNT])
    },
    bprm_is_check_byte: MISSING,
    bprm_is_check_mask: 0,
    upid_bytes: 0,
    pids_subsystem: MISSING,
    syscall_arguments: [MISSING; SYSCALL_ARGUMENTS],
    inode_bytes: MISSING,
};

#[unsafe(no_mangle)]
static SETTINGS: Settings =
    Settings { argv_bytes_max: 4096, failures: FAILURES_NONE, cpus: 1, env_bytes_max: 0 };

/// A read-only global, read past the compiler, which would take the value above.
#[inline(always)]
pub fn constant<T: Copy>(global: *const T) -> T {
    // SAFETY: only called by the macros below, on statics of this object.
    unsafe { core::ptr::read_volatile(global) }
}

/// The operator's limits.
#[inline(always)]
pub fn settings() -> Settings {
    constant(&raw const SETTINGS)
}

/// Offset of a field in bytes, [`MISSING`] where this kernel has none.
macro_rules! offset {
    ($field:ident) => {
        $crate::layout::constant(&raw const $crate::layout::OFFSETS.fields.$field)
    };
}

/// A word of the layout that is not an offset in `fields`.
macro_rules! word {
    ($field:ident) => {
        $crate::layout::constant(&raw const $crate::layout::OFFSETS.$field)
    };
}

pub(crate) use {offset, word};
