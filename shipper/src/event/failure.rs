//! Why an exec failed.

/// Numbers of the errors that say "you may not", on every architecture.
const EPERM: u32 = 1;
const EACCES: u32 = 13;

/// Why an exec failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the system call returned, as a positive number.
    pub errno: u32,
    /// Who refused, where that is known.
    pub denied_by: Option<DeniedBy>,
}

impl Failure {
    /// Whether it was refused: by a deny rule, a security module, or for lack of rights. A file that is not
    /// there, or is no program, is refused by nobody.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.denied_by.is_some() || matches!(self.errno, EPERM | EACCES)
    }
}

/// Who refused an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedBy {
    /// A security module of the kernel.
    SecurityModule,
    /// A deny rule of shipper.
    Shipper,
}

impl DeniedBy {
    /// The word events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeniedBy::SecurityModule => "lsm",
            DeniedBy::Shipper => "shipper",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_refused_is_no_refusal() {
        const ENOENT: u32 = 2;
        let is_refusal = |errno, denied_by| Failure { errno, denied_by }.is_refusal();
        for errno in [EPERM, EACCES] {
            assert!(is_refusal(errno, None), "{errno}");
        }
        // ENOENT, E2BIG, ENOEXEC, ETXTBSY, ELOOP
        for errno in [ENOENT, 7, 8, 26, 40] {
            assert!(!is_refusal(errno, None), "{errno}");
        }
        // A security module answers what it likes.
        assert!(is_refusal(ENOENT, Some(DeniedBy::SecurityModule)));
    }
}
