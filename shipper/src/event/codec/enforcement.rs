//! What a deny rule made of an exec: two fields of the message `Exec`.

use super::CodecError;
use super::decode::need;
use super::wire::Message;
use crate::event::{Enforcement, EnforcementAction};

const RULE: u32 = 70;
const ACTION: u32 = 71;

/// Writes both.
pub(super) fn encode(message: &mut Message<'_>, enforcement: &Enforcement) {
    message.bytes(RULE, &enforcement.rule);
    message.uint(ACTION, number(enforcement.action));
}

/// From both, as they were read.
pub(super) fn decode(
    rule: Option<&str>,
    action: Option<u64>,
) -> Result<Option<Enforcement>, CodecError> {
    let Some(action) = action else { return Ok(None) };
    let known = EnforcementAction::ALL.into_iter().find(|known| number(*known) == action);
    let action = known.ok_or(CodecError::Unknown("enforcement.action"))?;
    Ok(Some(Enforcement { rule: need(rule, "enforcement.rule")?.to_owned(), action }))
}

fn number(action: EnforcementAction) -> u64 {
    match action {
        EnforcementAction::Denied => 1,
        EnforcementAction::WouldDeny => 2,
        EnforcementAction::NotJudged => 3,
    }
}
