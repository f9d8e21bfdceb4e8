//! What an expression asks for. What a configuration does not record, or no rule says, it asks in vain.

use super::field::Field;

/// What an expression asks for, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Fields, wherever they stand in it.
    pub fields: Vec<Field>,
    /// Environment variables that it looks at by name.
    pub variables: Vec<String>,
    /// It is about the ends of processes by their `event.action`.
    pub ends: bool,
    /// Ids of rules that it looks for by name.
    pub rules: Vec<String>,
    /// Tags that it looks for by name.
    pub tags: Vec<String>,
    /// It compares the gravest severity.
    pub severity: bool,
}

impl Asks {
    /// Adds a value that is not there yet.
    pub(super) fn add<T: PartialEq>(list: &mut Vec<T>, value: T) {
        if !list.contains(&value) {
            list.push(value);
        }
    }
}
