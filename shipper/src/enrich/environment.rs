//! Environment variables, by the operator's list. A record has the whole environment of a process,
//! passwords and keys in it: what is not on the list ends here.

use std::collections::HashSet;

use common::decode::ExecRecord;
use common::wire::EXEC_ENV_FAULT;

use crate::event::{Bytes, Environment};

/// The names on the list.
#[derive(Debug, Default)]
pub struct Allowed(HashSet<Bytes>);

impl Allowed {
    /// Of these names.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        Allowed(names.iter().map(|name| name.as_bytes().into()).collect())
    }

    /// The variables of an exec that are on the list.
    #[must_use]
    pub fn of(&self, record: &ExecRecord<'_>) -> Environment {
        let bytes = record.bytes(record.exec.env);
        let faulted = record.exec.flags & EXEC_ENV_FAULT != 0;
        // A ring that another run filled may have what is not wanted any more.
        if self.0.is_empty() {
            return Environment::default();
        }
        Environment {
            list: self.among(bytes),
            truncated: !faulted && (bytes.len() as u64) < record.exec.env_bytes,
            faulted,
            redacted: Vec::new(),
        }
    }

    /// What is on the list, of variables that are each ended by NUL.
    fn among(&self, bytes: &[u8]) -> Vec<Bytes> {
        let is_wanted = |variable: &&[u8]| {
            let name = variable.iter().position(|&byte| byte == b'=').map(|end| &variable[..end]);
            name.is_some_and(|name| self.0.contains(name))
        };
        bytes.split(|&byte| byte == 0).filter(is_wanted).map(Bytes::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(names: &[&str], bytes: &[u8]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let shown = |variable: &Bytes| String::from_utf8_lossy(variable).into_owned();
        Allowed::new(&names).among(bytes).iter().map(shown).collect()
    }

    #[test]
    fn only_variables_on_the_list_are_kept_in_their_order() {
        let bytes = b"PASSWORD=x\0B=2\0A=1\0BB=3\0b=4\0";
        assert_eq!(among(&["A", "B"], bytes), ["B=2", "A=1"]);
        assert_eq!(among(&[], bytes), [""; 0]);
    }

    #[test]
    fn a_variable_that_is_given_twice_is_kept_twice() {
        assert_eq!(among(&["A"], b"A=1\0B=2\0A=\0"), ["A=1", "A="]);
    }

    #[test]
    fn what_has_no_equals_sign_is_no_variable_and_a_value_may_have_more_of_them() {
        assert_eq!(among(&["A"], b"A\0=A=1\0A=b=c\0\0A"), ["A=b=c"]);
    }

    #[test]
    fn a_variable_that_is_cut_in_its_value_is_kept_and_one_cut_in_its_name_is_not() {
        assert_eq!(among(&["A", "LONG"], b"A=1\0LONG=va"), ["A=1", "LONG=va"]);
        assert_eq!(among(&["A", "LONG"], b"A=1\0LON"), ["A=1"]);
    }
}
