//! What rules said of an event: `rule` and `event.severity` of the gravest match. ECS has one rule an event.

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
