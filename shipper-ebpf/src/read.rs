//! Reading kernel memory by offset, and the tricks that keep a bound visible to the verifier.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use common::offsets::MISSING;

/// Reads a `T` at `base + offset`. `None` when this kernel has no such field, when `base` is null,
/// or when the memory cannot be read.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if offset == MISSING || base == 0 {
        return None;
    }
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the source itself and fails instead of faulting; the destination is
    // a local of the size given.
    let result = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + u64::from(offset)) as *const _,
        )
    };
    // SAFETY: the helper filled all of it when it returned 0. Every `T` used here is plain data.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// Reads `T` at a field of the layout, or its zero value: for fields whose absence the daemon knows.
macro_rules! field {
    ($base:expr, $field:ident) => {
        $crate::read::read($base, $crate::layout::offset!($field))
    };
}

pub(crate) use field;

/// The value, as something the compiler knows nothing about: a bounds check on it stays in the
/// program, where the verifier needs it.
#[inline(always)]
pub fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction is emitted.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack)) };
    value
}
