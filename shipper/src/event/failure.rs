//! Why an exec failed.

/// Why an exec failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the system call returned, as a positive number.
    pub errno: u32,
    /// Who refused, where that is known.
    pub denied_by: Option<DeniedBy>,
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
