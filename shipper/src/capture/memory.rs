//! Memory that was needed only to load.
#![allow(unsafe_code)]

/// Gives free memory back to the system. Reading the kernel's types takes 25 MB for a moment, and
/// glibc keeps what lies below anything still in use: all of it, for as long as the daemon runs.
pub fn give_back() {
    // SAFETY: takes no pointer; glibc locks each arena while it looks for free pages.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
