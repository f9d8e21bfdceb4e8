//! The report of records that were lost or left out, written and read.

use super::decode::{Decoder, need, read_bytes, read_id};
use super::wire::{Fields, Message};
use super::{CodecError, host};
use crate::event::{Loss, LossKind, LossStage, WallTime};

/// Writes a report.
pub(super) fn encode(message: &mut Message<'_>, loss: &Loss) {
    message.bytes(1, loss.id.0);
    message.fixed(2, loss.time.0);
    message.message(3, |message| host(message, &loss.host));
    message.uint(4, stage(loss.stage));
    message.uint(5, kind(loss.kind));
    message.uint(6, loss.count);
    message.fixed(7, loss.first.0);
    message.fixed(8, loss.last.0);
    if let Some(sink) = &loss.sink {
        message.bytes(9, sink);
    }
    if let Some(cgroup) = &loss.cgroup {
        message.bytes(80, cgroup);
    }
    if let Some(rule) = &loss.rule {
        message.bytes(110, rule);
    }
}

fn stage(stage: LossStage) -> u64 {
    match stage {
        LossStage::RingFull => 1,
        LossStage::KernelRecursion => 2,
        LossStage::Unreadable => 3,
        LossStage::Undecodable => 4,
        LossStage::SpoolFull => 5,
        LossStage::SpoolDamaged => 6,
        LossStage::TooLarge => 7,
        LossStage::Quarantined => 8,
        LossStage::ExcludedTree => 80,
        LossStage::ExcludedUser => 81,
        LossStage::ExcludedNamespace => 82,
        LossStage::ExcludedCgroup => 83,
        LossStage::RateLimited => 84,
        LossStage::RuleSuppressed => 100,
        LossStage::RuleFolded => 101,
    }
}

fn kind(kind: LossKind) -> u64 {
    match kind {
        LossKind::Exec => 1,
        LossKind::Fork => 2,
        LossKind::Exit => 3,
        LossKind::Record => 4,
        LossKind::Match => 100,
    }
}

impl Decoder {
    pub(super) fn loss(&mut self, bytes: &[u8]) -> Result<Loss, CodecError> {
        let (mut id, mut time, mut host, mut stage, mut kind) = (None, None, None, None, None);
        let (mut count, mut first, mut last, mut sink) = (None, None, None, None);
        let (mut cgroup, mut rule) = (None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => id = Some(read_id(&field)?),
                2 => time = Some(WallTime(field.uint()?)),
                3 => host = Some(self.host(field.bytes()?)?),
                4 => stage = Some(read_stage(field.uint()?)?),
                5 => kind = Some(read_kind(field.uint()?)?),
                6 => count = Some(field.uint()?),
                7 => first = Some(WallTime(field.uint()?)),
                8 => last = Some(WallTime(field.uint()?)),
                9 => sink = Some(field.text()?.to_owned()),
                80 => cgroup = Some(read_bytes(&field)?),
                110 => rule = Some(field.text()?.to_owned()),
                _ => {}
            }
        }
        Ok(Loss {
            id: need(id, "loss.id")?,
            time: need(time, "loss.time")?,
            host: need(host, "loss.host")?,
            stage: need(stage, "loss.stage")?,
            kind: need(kind, "loss.kind")?,
            sink,
            cgroup,
            rule,
            count: need(count, "loss.count")?,
            first: need(first, "loss.first")?,
            last: need(last, "loss.last")?,
        })
    }
}

fn read_stage(number: u64) -> Result<LossStage, CodecError> {
    let known = LossStage::ALL.into_iter().find(|stage| self::stage(*stage) == number);
    known.ok_or(CodecError::Unknown("loss.stage"))
}

fn read_kind(number: u64) -> Result<LossKind, CodecError> {
    let known = LossKind::ALL.into_iter().find(|kind| self::kind(*kind) == number);
    known.ok_or(CodecError::Unknown("loss.kind"))
}
