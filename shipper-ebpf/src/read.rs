//! Reading kernel memory by offset, and the tricks that keep a bound visible to the verifier.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use common::offsets::MISSING;

/// Reads a `T` at `base + offset`. `None` when this kernel has no such field, or when the memory
/// cannot be read, as at null.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u32) -> Option<T> {
    if offset == MISSING {
        return None;
    }
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    let result = probe(base, offset, &mut value);
    // SAFETY: the helper filled all of it when it returned 0. Every `T` used here is plain data.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// The same, zero where [`read`] gives `None`. There is no branch on the outcome, on purpose: the
/// verifier follows both sides of each, and a chain of twenty such reads, each of which may give the
/// constant 0 that the next one is tested for, takes it beyond its limit of a million steps (6.1 and
/// before).
#[inline(always)]
pub fn read_or_zero<T: Copy>(base: u64, offset: u32) -> T {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // Known when the program is loaded: no branch is left for the verifier.
    if offset != MISSING {
        // The helper fills the destination with zeros when it fails.
        let _ = probe(base, offset, &mut value);
    }
    // SAFETY: every `T` used here is plain data, for which zero is a value.
    unsafe { value.assume_init() }
}

#[inline(always)]
fn probe<T>(base: u64, offset: u32, value: &mut core::mem::MaybeUninit<T>) -> i64 {
    // SAFETY: the helper checks the source itself and fails instead of faulting; the destination is
    // a local of the size given.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(u64::from(offset)) as *const _,
        )
    }
}

/// Some words of a kernel structure, read at once: a call of the helper costs more than the bytes. Never
/// more than the structure has.
pub struct Piece<const WORDS: usize>(core::mem::MaybeUninit<[u64; WORDS]>);

impl<const WORDS: usize> Piece<WORDS> {
    /// Nothing read yet.
    #[inline(always)]
    pub fn new() -> Self {
        Piece(core::mem::MaybeUninit::uninit())
    }

    /// Reads it from the structure at this address, from the word on that the offset `from` is in; whether
    /// that could be read. If not it is all zeros.
    #[inline(always)]
    pub fn fill(&mut self, base: u64, from: u32) -> bool {
        probe(base, from & !7, &mut self.0) == 0
    }

    /// A field of the structure that `fill` was told of in the same way; where it is outside of what
    /// was read, or not aligned, the memory is read again. Zero where this kernel has no such field.
    ///
    /// `from` is not kept in here: the verifier would not know it any more when the compiler has put it
    /// aside.
    #[inline(always)]
    pub fn get<T: Copy>(&self, base: u64, from: u32, offset: u32) -> T {
        let last = (8 * WORDS - size_of::<T>()) as u32;
        let within = offset.wrapping_sub(from & !7);
        // Known when the program is loaded. Capabilities are two halves before 6.3, aligned as such.
        if within > last || within % align_of::<T>() as u32 != 0 {
            return read_or_zero(base, offset);
        }
        // SAFETY: inside of what `fill` wrote, and aligned, by the tests above.
        unsafe { self.0.as_ptr().cast::<u8>().add(within as usize).cast::<T>().read() }
    }
}

/// Reads a field of the layout from a piece of the structure at that address, which begins with another
/// field or, where none is named, with the structure.
macro_rules! piece_field {
    ($piece:expr, $base:expr, $field:ident) => {
        $piece.get($base, 0, $crate::layout::offset!($field))
    };
    ($piece:expr, $base:expr, $field:ident, from $first:ident) => {
        $piece.get($base, $crate::layout::offset!($first), $crate::layout::offset!($field))
    };
}

/// Reads a field of the layout.
macro_rules! field {
    ($base:expr, $field:ident) => {
        $crate::read::read($base, $crate::layout::offset!($field))
    };
}

/// Reads a field of the layout, or its zero value: for fields whose absence the daemon knows.
macro_rules! field_or_zero {
    ($base:expr, $field:ident) => {
        $crate::read::read_or_zero($base, $crate::layout::offset!($field))
    };
}

pub(crate) use {field, field_or_zero, piece_field};

/// The value, as something the compiler knows nothing about: a bounds check on it stays in the
/// program, where the verifier needs it.
#[inline(always)]
pub fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction is emitted.
    unsafe { core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack)) };
    value
}
