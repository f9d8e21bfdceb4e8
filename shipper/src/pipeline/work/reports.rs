//! What is told in the stream of what is missing in it: lost, left out, or not said by a rule.

use common::filters::{Reason, Subject};

use super::ToSpool;
use crate::capture::LeftOut;
use crate::enrich::Enricher;
use crate::event::{Event, Loss, LossKind, LossStage, WallTime};
use crate::rules::{DEDUP_KEYS_MAX, LeftOutMatches};
use crate::spool::{self, SpoolLoss};

impl ToSpool {
    pub(super) fn lost(
        &mut self,
        stage: LossStage,
        kind: LossKind,
        count: u64,
        first: u64,
        last: u64,
    ) {
        let loss = self.loss(stage, kind, count, first, last);
        self.put(&Event::Loss(loss));
    }

    /// What was left out in the kernel, said in the log.
    pub(super) fn left_out(&mut self, left_out: &LeftOut) {
        let stage = match left_out.reason {
            Reason::Tree => LossStage::ExcludedTree,
            Reason::User => LossStage::ExcludedUser,
            Reason::Namespace => LossStage::ExcludedNamespace,
            Reason::Cgroup => LossStage::ExcludedCgroup,
            Reason::RateLimit => LossStage::RateLimited,
        };
        let kind = match left_out.subject {
            Subject::Exec => LossKind::Exec,
            Subject::End => LossKind::Exit,
        };
        let (first, last) = (left_out.first_boot_ns, left_out.last_boot_ns);
        let (first, last) = (self.enricher.wall(first), self.enricher.wall(last));
        let mut loss = self.enricher.loss(stage, kind, None, left_out.count, first, last);
        loss.cgroup = left_out.cgroup.as_deref().map(Enricher::cgroup_path);
        match left_out.reason {
            Reason::RateLimit => tracing::warn!("{}", loss.sentence()),
            _ => tracing::info!("{}", loss.sentence()),
        }
        self.counts.left_out += loss.count;
        self.put(&Event::Loss(loss));
    }

    /// What rules left out of events, said in the log.
    pub(super) fn tell_matches(&mut self) {
        for LeftOutMatches { rule, stage, count, first, last } in self.matcher.take_left_out() {
            let mut loss = self.enricher.loss(stage, LossKind::Match, None, count, first, last);
            loss.rule = Some(rule.as_ref().to_owned());
            tracing::info!("{}", loss.sentence());
            self.put(&Event::Loss(loss));
        }
        let overfull = self.matcher.take_overfull();
        if overfull > 0 {
            tracing::warn!(
                "{overfull} matches were not folded: a rule remembers {DEDUP_KEYS_MAX} different keys \
                 of its `dedup.by` at once"
            );
        }
    }

    /// A loss on the way from the kernel, said in the log.
    pub(super) fn loss(
        &mut self,
        stage: LossStage,
        kind: LossKind,
        count: u64,
        first: u64,
        last: u64,
    ) -> Loss {
        let (first, last) = (self.enricher.wall(first), self.enricher.wall(last));
        let loss = self.enricher.loss(stage, kind, None, count, first, last);
        self.tell(&loss);
        loss
    }

    /// What the spool lost, and what it has aside for the sinks.
    pub(super) fn report_spool(&mut self) {
        for SpoolLoss { stage, sink, count, first_wall_ns, last_wall_ns } in
            self.writer.take_losses()
        {
            let stage = match stage {
                spool::LossStage::Full => LossStage::SpoolFull,
                spool::LossStage::Damaged => LossStage::SpoolDamaged,
                spool::LossStage::TooLarge => LossStage::TooLarge,
                spool::LossStage::Quarantined => LossStage::Quarantined,
            };
            let (first, last) = (WallTime(first_wall_ns), WallTime(last_wall_ns));
            let loss = self.enricher.loss(stage, LossKind::Record, sink, count, first, last);
            self.tell(&loss);
            self.put(&Event::Loss(loss));
        }
    }

    pub(super) fn tell(&mut self, loss: &Loss) {
        tracing::warn!("{}", loss.sentence());
        // A record that would have been an event is missing from the stream.
        if loss.kind == LossKind::Exec || (loss.kind == LossKind::Exit && self.ends) {
            self.counts.lost += loss.count;
        }
    }
}
