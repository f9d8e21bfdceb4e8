//! OCSF 1.8.0: Process Activity (1007) for executions and ends of processes, Event Log Activity (1008)
//! for reports of records that were lost or left out: those are about this log and no process. Tests
//! hold every event to the official schema.
//!
//! `actor.process` of an execution is the parent; of an end it is the process itself, since who ended
//! it is not known. What OCSF has no place for lies below `unmapped.shipper`, in the words of
//! [`super::native`]. Times of OCSF have milliseconds; the exact ones are there.

mod cpid;
mod device;
mod process;
pub mod schema;

use std::borrow::Cow;

use serde::Serialize;

use self::device::Device;
use self::process::{Actor, EntityFields, ProcessFields, SessionFields};
use super::native::{self, Part};
use super::text::{Long, Millis};
use super::{errno, write_line};
use crate::event::{
    self, EnforcementAction, Event, Exec, Exit, Id, Loss, RuleMatch, WallTime, gravest,
};

/// The version of OCSF these events follow.
pub const OCSF_VERSION: &str = "1.8.0";

const NS_PER_MS: u64 = 1_000_000;

/// Appends the event as one JSON object and a newline.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Exec(exec) => {
            let rest = native::ExecDocument::new(exec, Part::Unmapped);
            write_line(&Document::new(ExecFields::new(exec), rest), out);
        }
        Event::Exit(exit) => {
            let rest = native::ExitDocument::new(exit, Part::Unmapped);
            write_line(&Document::new(ExitFields::new(exit), rest), out);
        }
        Event::Loss(loss) => {
            let rest = native::LossDocument::new(loss, Part::Unmapped);
            write_line(&Document::new(LossFields::new(loss), rest), out);
        }
    }
}

/// The fields of an event, and the rest.
#[derive(Serialize)]
struct Document<F, R> {
    #[serde(flatten)]
    fields: F,
    unmapped: Unmapped<R>,
}

#[derive(Serialize)]
struct Unmapped<R> {
    shipper: R,
}

impl<F, R> Document<F, R> {
    fn new(fields: F, rest: R) -> Self {
        Document { fields, unmapped: Unmapped { shipper: rest } }
    }
}

/// What kind of event it is, by number and in words.
#[derive(Serialize)]
struct Class {
    activity_id: u32,
    activity_name: &'static str,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    type_uid: u32,
    type_name: &'static str,
}

impl Class {
    const LAUNCH: Class = Class::process(1, "Launch", "Process Activity: Launch");
    const TERMINATE: Class = Class::process(2, "Terminate", "Process Activity: Terminate");
    const LOST: Class = Class::log("Lost");
    const LEFT_OUT: Class = Class::log("Left out");

    const fn process(id: u32, name: &'static str, type_name: &'static str) -> Class {
        Class {
            activity_id: id,
            activity_name: name,
            category_uid: 1,
            category_name: "System Activity",
            class_uid: 1007,
            class_name: "Process Activity",
            type_uid: 1007 * 100 + id,
            type_name,
        }
    }

    /// None of the activities of the class is to lose events.
    const fn log(name: &'static str) -> Class {
        Class {
            activity_id: 99,
            activity_name: name,
            category_uid: 1,
            category_name: "System Activity",
            class_uid: 1008,
            class_name: "Event Log Activity",
            type_uid: 1008 * 100 + 99,
            type_name: "Event Log Activity: Other",
        }
    }
}

/// How grave it is.
#[derive(Clone, Copy, Serialize)]
struct Severity {
    severity_id: u32,
    severity: &'static str,
}

impl Severity {
    const INFORMATIONAL: Severity = Severity { severity_id: 1, severity: "Informational" };
    const MEDIUM: Severity = Severity { severity_id: 3, severity: "Medium" };

    /// Of the gravest rule that matched.
    fn of(matches: &[RuleMatch]) -> Severity {
        match gravest(matches).map(|found| found.severity) {
            None | Some(event::Severity::Informational) => Severity::INFORMATIONAL,
            Some(event::Severity::Low) => Severity { severity_id: 2, severity: "Low" },
            Some(event::Severity::Medium) => Severity::MEDIUM,
            Some(event::Severity::High) => Severity { severity_id: 4, severity: "High" },
            Some(event::Severity::Critical) => Severity { severity_id: 5, severity: "Critical" },
        }
    }
}

#[derive(Serialize)]
struct Status<'a> {
    status_id: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<String>,
}

impl<'a> Status<'a> {
    const SUCCESS: Status<'static> =
        Status { status_id: 1, status: "Success", status_code: None, status_detail: None };

    fn failure(code: Cow<'a, str>, detail: String) -> Self {
        Status {
            status_id: 2,
            status: "Failure",
            status_code: Some(code),
            status_detail: Some(detail),
        }
    }

    fn of_exec(exec: &Exec) -> Status<'static> {
        match &exec.failure {
            None => Status::SUCCESS,
            Some(failure) => Status::failure(errno::name(failure.errno), errno::what(failure)),
        }
    }
}

#[derive(Serialize)]
struct Metadata {
    version: &'static str,
    product: Product,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    profiles: &'static [&'static str],
    uid: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Long>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processed_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_truncated: Option<bool>,
}

#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

impl Metadata {
    fn new(id: Id) -> Self {
        Metadata {
            version: OCSF_VERSION,
            product: Product {
                name: "shipper",
                vendor_name: "shipper",
                version: env!("CARGO_PKG_VERSION"),
            },
            profiles: &[],
            uid: id,
            sequence: None,
            processed_time: None,
            is_truncated: None,
        }
    }

    fn of_record(id: Id, sequence: u64, read: WallTime) -> Self {
        Metadata {
            sequence: Some(Long(sequence)),
            processed_time: Some(Millis(read)),
            ..Metadata::new(id)
        }
    }
}

/// What a control of the machine made of an execution (profile `security_control`).
#[derive(Serialize)]
struct Control<'a> {
    action_id: u32,
    action: &'static str,
    disposition_id: u32,
    disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy<'a>>,
}

#[derive(Serialize)]
struct Policy<'a> {
    uid: &'a str,
    is_applied: bool,
}

impl<'a> Control<'a> {
    /// A deny rule of ours, or a security module of the kernel: what that refused is denied, whatever a
    /// rule that refuses nothing says.
    fn of_exec(exec: &'a Exec) -> Option<Self> {
        let denied = exec.failure.as_ref().and_then(|failure| failure.denied_by);
        let action = exec.enforcement.as_ref().map(|enforcement| enforcement.action);
        let (action_id, action, disposition_id, disposition) = match (action, denied) {
            (_, Some(_)) | (Some(EnforcementAction::Denied), _) => (2, "Denied", 2, "Blocked"),
            (Some(EnforcementAction::WouldDeny), None) => (3, "Observed", 17, "Logged"),
            (Some(EnforcementAction::NotJudged), None) => (1, "Allowed", 16, "No Action"),
            (None, None) => return None,
        };
        let policy = exec.enforcement.as_ref().map(|enforcement| Policy {
            uid: &enforcement.rule,
            is_applied: enforcement.action == EnforcementAction::Denied,
        });
        Some(Control { action_id, action, disposition_id, disposition, policy })
    }
}

#[derive(Serialize)]
struct ExecFields<'a> {
    #[serde(flatten)]
    class: Class,
    #[serde(flatten)]
    severity: Severity,
    #[serde(flatten)]
    status: Status<'a>,
    time: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    metadata: Metadata,
    #[serde(flatten)]
    control: Option<Control<'a>>,
    launch_type_id: u32,
    launch_type: &'static str,
    actor: Actor<'a>,
    device: Device<'a>,
    process: ProcessFields<'a>,
}

impl<'a> ExecFields<'a> {
    fn new(exec: &'a Exec) -> Self {
        let (process, control) = (&exec.process, Control::of_exec(exec));
        let is_truncated = process.args.truncated || process.env.truncated || exec.ancestry_cut;
        let profiles: &[_] = match control {
            Some(_) => &["container", "linux/linux_users", "security_control"],
            None => &["container", "linux/linux_users"],
        };
        ExecFields {
            class: Class::LAUNCH,
            severity: Severity::of(&exec.matches),
            status: Status::of_exec(exec),
            time: Millis(exec.time),
            message: exec.enforcement.as_ref().map(|enforcement| enforcement.sentence()),
            metadata: Metadata {
                profiles,
                is_truncated: Some(is_truncated),
                ..Metadata::of_record(exec.id, exec.sequence, exec.read)
            },
            control,
            launch_type_id: 3,
            launch_type: "Exec",
            actor: Actor::of_exec(exec),
            device: Device::new(&exec.host),
            process: ProcessFields::new(exec),
        }
    }
}

#[derive(Serialize)]
struct ExitFields<'a> {
    #[serde(flatten)]
    class: Class,
    #[serde(flatten)]
    severity: Severity,
    time: Millis,
    duration: Long,
    metadata: Metadata,
    exit_code: u16,
    actor: Actor<'a>,
    device: Device<'a>,
    process: EndedFields<'a>,
}

/// A process that has ended.
#[derive(Serialize)]
struct EndedFields<'a> {
    #[serde(flatten)]
    known: EntityFields<'a>,
    terminated_time: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process: Option<EntityFields<'a>>,
    ancestry: process::Ancestry<'a>,
}

impl<'a> ExitFields<'a> {
    fn new(exit: &'a Exit) -> Self {
        let known = || EntityFields::new(&exit.process);
        let is_cut = exit.process.args.as_ref().is_some_and(|args| args.truncated);
        ExitFields {
            class: Class::TERMINATE,
            severity: Severity::of(&exit.matches),
            time: Millis(exit.time),
            duration: Long(exit.duration_ns / NS_PER_MS),
            metadata: Metadata {
                is_truncated: Some(is_cut || exit.ancestry_cut),
                ..Metadata::of_record(exit.id, exit.sequence, exit.read)
            },
            exit_code: exit.status.code(),
            actor: Actor { process: known() },
            device: Device::new(&exit.host),
            process: EndedFields {
                known: known(),
                terminated_time: Millis(exit.time),
                session: SessionFields::new(&exit.member.session_leader, exit.member.tty),
                parent_process: exit.ancestry.first().map(EntityFields::new),
                ancestry: process::Ancestry(&exit.ancestry),
            },
        }
    }
}

#[derive(Serialize)]
struct LossFields<'a> {
    #[serde(flatten)]
    class: Class,
    #[serde(flatten)]
    severity: Severity,
    #[serde(flatten)]
    status: Status<'a>,
    time: Millis,
    start_time: Millis,
    end_time: Millis,
    count: Long,
    message: String,
    metadata: Metadata,
    log_name: &'static str,
    log_provider: &'static str,
    device: Device<'a>,
}

impl<'a> LossFields<'a> {
    fn new(loss: &'a Loss) -> Self {
        let sentence = loss.sentence();
        let (class, severity, status) = if loss.stage.is_wanted() {
            (Class::LEFT_OUT, Severity::INFORMATIONAL, Status::SUCCESS)
        } else {
            let failure = Status::failure(loss.stage.as_str().into(), sentence.clone());
            (Class::LOST, Severity::MEDIUM, failure)
        };
        LossFields {
            class,
            severity,
            status,
            time: Millis(loss.time),
            start_time: Millis(loss.first),
            end_time: Millis(loss.last),
            count: Long(loss.count),
            message: sentence,
            metadata: Metadata::new(loss.id),
            log_name: "shipper.process",
            log_provider: "shipper",
            device: Device::new(&loss.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeniedBy, Enforcement, Failure, testing};

    #[test]
    fn what_a_security_module_refused_is_denied_also_where_a_rule_let_it_go() {
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("an execution") };
        exec.failure = Some(Failure { errno: 13, denied_by: Some(DeniedBy::SecurityModule) });
        for action in [EnforcementAction::WouldDeny, EnforcementAction::NotJudged] {
            exec.enforcement = Some(Enforcement { rule: "no-user-files".to_owned(), action });
            let control = Control::of_exec(&exec).expect("both had a say");
            assert_eq!((control.action_id, control.action), (2, "Denied"));
            assert_eq!((control.disposition_id, control.disposition), (2, "Blocked"));
            let policy = control.policy.expect("a rule was for it");
            assert_eq!((policy.uid, policy.is_applied), ("no-user-files", false));
        }
    }
}
