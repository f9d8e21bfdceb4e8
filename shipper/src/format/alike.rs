//! What has the same words below `shipper` in ECS as in the native format: what rules, redaction, deny rules
//! and the kernel said of an event, and namespaces.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::event::{DeniedBy, Enforcement, Exec, Exit, Failure, Namespaces, RuleMatch};

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
pub(super) struct MatchFields<'a> {
    id: &'a str,
    name: &'a str,
    severity: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [Box<str>],
}

impl<'a> MatchFields<'a> {
    /// Of every match.
    pub(super) fn all(matches: &'a [RuleMatch]) -> Vec<MatchFields<'a>> {
        let own = |found: &'a RuleMatch| MatchFields {
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
    let processes = processes.filter_map(|process| process.args.as_deref());
    let leaders = exit.member.leaders().filter_map(|leader| leader.args.as_deref());
    let lists = processes.chain(leaders).map(|args| &args.redacted);
    lists.flatten().map(|kind| &**kind).collect()
}

/// Why an attempt failed.
#[derive(Serialize)]
pub(super) struct FailureFields {
    errno: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied_by: Option<&'static str>,
}

impl FailureFields {
    pub(super) fn new(failure: &Failure) -> Self {
        FailureFields { errno: failure.errno, denied_by: failure.denied_by.map(DeniedBy::as_str) }
    }
}

/// What a deny rule made of an execution.
#[derive(Serialize)]
pub(super) struct EnforcementFields<'a> {
    rule: &'a str,
    action: &'static str,
}

impl<'a> EnforcementFields<'a> {
    pub(super) fn new(enforcement: &'a Enforcement) -> Self {
        EnforcementFields { rule: &enforcement.rule, action: enforcement.action.as_str() }
    }
}

/// Inode numbers of namespaces.
#[derive(Serialize)]
pub(super) struct NamespaceFields {
    mnt: u32,
    pid: u32,
    net: u32,
    uts: u32,
    ipc: u32,
    cgroup: u32,
    time: u32,
    user: u32,
}

impl NamespaceFields {
    pub(super) fn new(numbers: &Namespaces) -> Self {
        let Namespaces { mnt, pid, net, uts, ipc, cgroup, time, user } = *numbers;
        NamespaceFields { mnt, pid, net, uts, ipc, cgroup, time, user }
    }
}
