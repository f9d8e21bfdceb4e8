//! Environment variables of a process.

use std::sync::Arc;

use super::Bytes;

/// The variables that the operator asked for, as the process was executed with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NAME=value`, in the order of the environment; a name that is given twice stands here twice.
    pub list: Vec<Bytes>,
    /// The end of the environment was not kept, or variables were left out: more of those asked for may
    /// have been there, and the last one may be cut.
    pub truncated: bool,
    /// Not all of the environment could be read; the same goes for that.
    pub faulted: bool,
    /// Kinds of secrets that were replaced by a mark, in alphabetical order.
    pub redacted: Vec<Arc<str>>,
}
