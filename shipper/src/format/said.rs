//! What rules and redaction said of an event, alike in all formats.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::event::{Exec, Exit, RuleMatch};

/// `tags`: those of all matches, each once.
pub(super) fn tags(matches: &[RuleMatch]) -> Vec<&str> {
    let mut tags: Vec<&str> = Vec::new();
    for tag in matches.iter().flat_map(|found| found.tags.iter()) {
        if !tags.contains(&&**tag) {
            tags.push(tag);
        }
    }
    tags
}

/// A rule that matched.
#[derive(Serialize)]
pub(super) struct OwnRule<'a> {
    id: &'a str,
    name: &'a str,
    severity: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [Box<str>],
}

impl<'a> OwnRule<'a> {
    /// Of every match.
    pub(super) fn all(matches: &'a [RuleMatch]) -> Vec<OwnRule<'a>> {
        let own = |found: &'a RuleMatch| OwnRule {
            id: &found.id,
            name: &found.name,
            severity: found.severity.as_str(),
            tags: &found.tags,
        };
        matches.iter().map(own).collect()
    }
}

/// Kinds of secrets that were taken out of anything in the event.
pub(super) fn redacted(exec: &Exec) -> BTreeSet<&str> {
    let process = &exec.process;
    let entry = exec.entry_leader.as_ref().map(|entry| &entry.leader);
    let leaders = [&process.group_leader, &process.session_leader].into_iter().chain(entry);
    let others = leaders.filter_map(|leader| leader.args.as_deref());
    let others = others.chain(exec.ancestry.iter().filter_map(|other| other.args.as_deref()));
    let own = [&process.args.redacted, &process.env.redacted];
    let lists = own.into_iter().chain(others.map(|args| &args.redacted));
    lists.flatten().map(|kind| &**kind).collect()
}

/// The same of an end.
pub(super) fn redacted_of_end(exit: &Exit) -> BTreeSet<&str> {
    let processes = [&exit.process].into_iter().chain(&exit.ancestry);
    let lists = processes.filter_map(|process| process.args.as_deref()).map(|args| &args.redacted);
    lists.flatten().map(|kind| &**kind).collect()
}
