//! What rules said of an event: `rule` and `event.severity` of the gravest match, `tags` of all, and each
//! under `shipper.rules`. ECS has one rule an event.

use serde::Serialize;

use crate::event::{Enforcement, RuleMatch, gravest};

/// `rule.*`.
#[derive(Serialize)]
pub(super) struct RuleFields<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> RuleFields<'a> {
    /// The gravest match, or the deny rule where there is none.
    pub(super) fn new(matches: &'a [RuleMatch], deny: Option<&'a Enforcement>) -> Option<Self> {
        match gravest(matches) {
            Some(found) => Some(RuleFields { id: &found.id, name: Some(&found.name) }),
            None => deny.map(|enforcement| RuleFields { id: &enforcement.rule, name: None }),
        }
    }
}

/// `event.severity`.
pub(super) fn severity(matches: &[RuleMatch]) -> Option<u8> {
    gravest(matches).map(|found| found.severity.number())
}

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

/// An entry of `shipper.rules`.
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
