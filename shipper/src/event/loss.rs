//! The report that records were lost: where, what, how many, when.

use std::sync::Arc;

use super::{Host, Id, WallTime};

/// A report that records were lost.
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
        let records = if self.count == 1 { "record was" } else { "records were" };
        let kind = match self.kind {
            LossKind::Record => String::new(),
            kind => format!("{} ", kind.as_str()),
        };
        let sink = match &self.sink {
            Some(sink) => format!(" to sink {sink}"),
            None => String::new(),
        };
        format!("{} {kind}{records} lost{sink}: {}", self.count, self.stage.explain())
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
}

impl LossStage {
    /// Every stage.
    pub const ALL: [LossStage; 8] = [
        LossStage::RingFull,
        LossStage::KernelRecursion,
        LossStage::Unreadable,
        LossStage::Undecodable,
        LossStage::SpoolFull,
        LossStage::SpoolDamaged,
        LossStage::TooLarge,
        LossStage::Quarantined,
    ];

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
        }
    }

    /// What happened, to follow "records were lost: ".
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
}

impl LossKind {
    /// Every kind.
    pub const ALL: [LossKind; 4] =
        [LossKind::Exec, LossKind::Fork, LossKind::Exit, LossKind::Record];

    /// The word events and metrics carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LossKind::Exec => "exec",
            LossKind::Fork => "fork",
            LossKind::Exit => "exit",
            LossKind::Record => "record",
        }
    }
}
