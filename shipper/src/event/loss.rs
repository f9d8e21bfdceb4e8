//! The report that records were lost, or left out as configured: where, what, how many, when.

use std::sync::Arc;

use super::{Bytes, Host, Id, WallTime};

/// A report that records were lost, or left out as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Identity of the report.
    pub id: Id,
    /// When the loss was noticed.
    pub time: WallTime,
    /// The machine.
    pub host: Arc<Host>,
    /// Where.
    pub stage: LossStage,
    /// What.
    pub kind: LossKind,
    /// The sink that did not get them; `None` when no sink got them.
    pub sink: Option<String>,
    /// The cgroup that had more than its share; `None` for everything else, and when it is not known any
    /// more.
    pub cgroup: Option<Bytes>,
    /// The rule whose matches were left out; `None` for everything else.
    pub rule: Option<String>,
    /// How many records, at least 1.
    pub count: u64,
    /// Not before this moment.
    pub first: WallTime,
    /// Not after this moment.
    pub last: WallTime,
}

impl Loss {
    /// What happened, as a sentence without its full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let Some(rule) = &self.rule {
            let matches = if self.count == 1 { "match was" } else { "matches were" };
            let explain = self.stage.explain();
            return format!("{} {matches} left out of rule {rule}: {explain}", self.count);
        }
        let records = if self.count == 1 { "record was" } else { "records were" };
        let kind = match self.kind {
            LossKind::Record => String::new(),
            kind => format!("{} ", kind.as_str()),
        };
        let sink = match &self.sink {
            Some(sink) => format!(" to sink {sink}"),
            None => String::new(),
        };
        let (count, explain) = (self.count, self.stage.explain());
        if !self.stage.is_wanted() {
            return format!("{count} {kind}{records} lost{sink}: {explain}");
        }
        let cgroup = self.cgroup.as_deref().map_or_else(String::new, |path| {
            format!(" of cgroup {}", String::from_utf8_lossy(path))
        });
        format!("{count} {kind}{records} left out{cgroup}: {explain}")
    }
}

/// Where records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossStage {
    /// The ring buffer was full.
    RingFull,
    /// The kernel did not run our program because it was already running on that CPU.
    KernelRecursion,
    /// The kernel program could not read the process it was about.
    Unreadable,
    /// A record from the kernel could not be understood.
    Undecodable,
    /// The spool was full, or the disk it is on.
    SpoolFull,
    /// A part of the spool could not be read back.
    SpoolDamaged,
    /// An event was larger than the spool takes.
    TooLarge,
    /// A sink refused events; they are kept in its quarantine.
    Quarantined,
    /// Left out: of an excluded process tree.
    ExcludedTree,
    /// Left out: of an excluded user.
    ExcludedUser,
    /// Left out: in an excluded namespace.
    ExcludedNamespace,
    /// Left out: in an excluded cgroup.
    ExcludedCgroup,
    /// Left out: more than a cgroup may have.
    RateLimited,
    /// Left out: matches of a rule for which its `suppress` holds. The events are there.
    RuleSuppressed,
    /// Left out: matches of a rule that had one alike within its `dedup.window`. The events are there.
    RuleFolded,
}

impl LossStage {
    /// Every stage.
    pub const ALL: [LossStage; 15] = [
        LossStage::RingFull,
        LossStage::KernelRecursion,
        LossStage::Unreadable,
        LossStage::Undecodable,
        LossStage::SpoolFull,
        LossStage::SpoolDamaged,
        LossStage::TooLarge,
        LossStage::Quarantined,
        LossStage::ExcludedTree,
        LossStage::ExcludedUser,
        LossStage::ExcludedNamespace,
        LossStage::ExcludedCgroup,
        LossStage::RateLimited,
        LossStage::RuleSuppressed,
        LossStage::RuleFolded,
    ];

    /// Whether it is no loss: the operator wants it so.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        matches!(
            self,
            LossStage::ExcludedTree
                | LossStage::ExcludedUser
                | LossStage::ExcludedNamespace
                | LossStage::ExcludedCgroup
                | LossStage::RateLimited
                | LossStage::RuleSuppressed
                | LossStage::RuleFolded
        )
    }

    /// The word events and metrics carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LossStage::RingFull => "ring_full",
            LossStage::KernelRecursion => "kernel_recursion",
            LossStage::Unreadable => "unreadable",
            LossStage::Undecodable => "undecodable",
            LossStage::SpoolFull => "spool_full",
            LossStage::SpoolDamaged => "spool_damaged",
            LossStage::TooLarge => "too_large",
            LossStage::Quarantined => "quarantined",
            LossStage::ExcludedTree => "excluded_tree",
            LossStage::ExcludedUser => "excluded_user",
            LossStage::ExcludedNamespace => "excluded_namespace",
            LossStage::ExcludedCgroup => "excluded_cgroup",
            LossStage::RateLimited => "rate_limited",
            LossStage::RuleSuppressed => "rule_suppressed",
            LossStage::RuleFolded => "rule_folded",
        }
    }

    /// What happened, to follow "records were lost: " or "records were left out: ".
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            LossStage::RingFull => "the ring buffer was full (capture.ring_buffer_bytes)",
            LossStage::KernelRecursion => "the kernel did not run the program for them",
            LossStage::Unreadable => "the process could not be read in the kernel",
            LossStage::Undecodable => "they could not be understood",
            LossStage::SpoolFull => {
                "the spool was full (spool.bytes_max, spool.disk_free_min, spool.when_full)"
            }
            LossStage::SpoolDamaged => "the spool was damaged on disk (shipper spool verify)",
            LossStage::TooLarge => "they were larger than the spool takes",
            LossStage::Quarantined => {
                "the sink refused them; its quarantine has them (shipper spool quarantine)"
            }
            LossStage::ExcludedTree => "their process tree is excluded (capture.exclude.trees)",
            LossStage::ExcludedUser => "their user is excluded (capture.exclude.uids)",
            LossStage::ExcludedNamespace => {
                "their namespace is excluded (capture.exclude.namespaces)"
            }
            LossStage::ExcludedCgroup => "their cgroup is excluded (capture.exclude.cgroups)",
            LossStage::RateLimited => "more than a cgroup may have (capture.rate_limit_per_cgroup)",
            LossStage::RuleSuppressed => "its `suppress` holds; the events went on without it",
            LossStage::RuleFolded => {
                "one alike was there within its `dedup.window`; the events went on without it"
            }
        }
    }
}

/// What was lost: events of the stream, or forks and exits, whose loss makes ancestry less sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossKind {
    /// Program executions: events that are missing from the stream.
    Exec,
    /// New processes: an ancestor may be missing.
    Fork,
    /// Ended processes: an entry of the process table stays too long. With `capture.exit` they are
    /// events that are missing from the stream.
    Exit,
    /// Events of the stream, of any kind: lost after they were captured.
    Record,
    /// What a rule said of events.
    Match,
}

impl LossKind {
    /// Every kind.
    pub const ALL: [LossKind; 5] =
        [LossKind::Exec, LossKind::Fork, LossKind::Exit, LossKind::Record, LossKind::Match];

    /// The word events and metrics carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LossKind::Exec => "exec",
            LossKind::Fork => "fork",
            LossKind::Exit => "exit",
            LossKind::Record => "record",
            LossKind::Match => "match",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::event::testing;

    #[test]
    fn what_is_left_out_is_not_called_lost_and_names_its_cgroup() {
        let Event::Loss(mut loss) = testing::loss() else { unreachable!("a loss") };
        loss.stage = LossStage::RateLimited;
        loss.count = 1;
        loss.cgroup = Some(b"/a.slice".as_slice().into());
        assert_eq!(
            loss.sentence(),
            "1 exec record was left out of cgroup /a.slice: more than a cgroup may have \
             (capture.rate_limit_per_cgroup)"
        );
        for stage in LossStage::ALL {
            let said = Loss { stage, cgroup: None, ..loss.clone() }.sentence();
            assert_eq!(said.contains(" lost"), !stage.is_wanted(), "{said}");
        }
        loss.stage = LossStage::RuleFolded;
        loss.rule = Some("exec.memfd".to_owned());
        assert_eq!(
            loss.sentence(),
            "1 match was left out of rule exec.memfd: one alike was there within its \
             `dedup.window`; the events went on without it"
        );
    }
}
