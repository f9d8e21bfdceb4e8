//! Rules that matched, written and read: field 110 of an exec and of an end.

use std::sync::Arc;

use super::CodecError;
use super::decode::need;
use super::wire::{Fields, Message};
use crate::event::{RuleMatch, Severity};

/// Number of the field.
pub(super) const NUMBER: u64 = 110;

/// Writes all of them.
pub(super) fn encode(message: &mut Message<'_>, matches: &[RuleMatch]) {
    for RuleMatch { id, name, severity, tags } in matches {
        message.message(NUMBER as u32, |message| {
            message.bytes(1, &**id);
            message.bytes(2, &**name);
            message.uint(3, number(*severity));
            for tag in tags.iter() {
                message.bytes(4, &**tag);
            }
        });
    }
}

/// Reads one.
pub(super) fn decode(bytes: &[u8]) -> Result<RuleMatch, CodecError> {
    let (mut id, mut name, mut severity, mut tags) = (None, None, None, Vec::new());
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => id = Some(Arc::from(field.text()?)),
            2 => name = Some(Arc::from(field.text()?)),
            3 => severity = Some(read_severity(field.uint()?)?),
            4 => tags.push(Box::from(field.text()?)),
            _ => {}
        }
    }
    Ok(RuleMatch {
        id: need(id, "match.id")?,
        name: need(name, "match.name")?,
        severity: need(severity, "match.severity")?,
        tags: tags.into(),
    })
}

fn number(severity: Severity) -> u64 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn read_severity(value: u64) -> Result<Severity, CodecError> {
    let known = Severity::ALL.into_iter().find(|known| number(*known) == value);
    known.ok_or(CodecError::Unknown("match.severity"))
}
