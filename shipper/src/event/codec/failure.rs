//! The message `Failure`.

use super::CodecError;
use super::decode::need;
use super::wire::{Fields, Message};
use crate::event::{DeniedBy, Failure};

/// Writes one as the fields of its message.
pub(super) fn encode(message: &mut Message<'_>, failure: &Failure) {
    message.uint(1, failure.errno);
    if let Some(by) = failure.denied_by {
        message.uint(2, denied_by(by));
    }
}

fn denied_by(by: DeniedBy) -> u64 {
    match by {
        DeniedBy::SecurityModule => 1,
        DeniedBy::Shipper => 2,
    }
}

/// Reads its message.
pub(super) fn decode(bytes: &[u8]) -> Result<Failure, CodecError> {
    let (mut errno, mut denied_by) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => errno = Some(field.small()?),
            2 => denied_by = Some(read_denied_by(field.uint()?)?),
            _ => {}
        }
    }
    Ok(Failure { errno: need(errno, "failure.errno")?, denied_by })
}

fn read_denied_by(number: u64) -> Result<DeniedBy, CodecError> {
    match number {
        1 => Ok(DeniedBy::SecurityModule),
        2 => Ok(DeniedBy::Shipper),
        _ => Err(CodecError::Unknown("failure.denied_by")),
    }
}
