//! The names of Splunk's Common Information Model, data set Endpoint.Processes, flat, with those of Alerts
//! where a rule matched; and the whole event in the words of [`super::native`] below `shipper`.
//!
//! One object beside the flat names and not names that begin with `shipper_`: Splunk reads nested JSON
//! by dotted names anyway, the words are those that are documented once, and no name of ours can ever be
//! one of the model. It is whole, since the names of the model are views of it (a joined command line,
//! a name or else an id): who looks for the facts finds all of them in one place.
//!
//! Ends of processes and reports of losses have no `action`: the model has executions alone. Nor has an
//! attempt that failed and was refused by nobody: it was neither allowed nor blocked.

pub mod schema;

use serde::Serialize;

use super::native::{self, Part};
use super::text::{CommandLine, Sha256, Shown, Text, some};
use super::write_line;
use crate::event::{Ancestor, Event, Exec, Host, Id, RuleMatch, WallTime, basename, gravest};

/// The version of the model whose names these are.
pub const CIM_VERSION: &str = "6.0";

/// Appends the event as one JSON object and a newline.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Exec(exec) => {
            let whole = native::ExecDocument::new(exec, Part::Whole);
            let process = ProcessFields::executed(exec);
            write_line(
                &Document::new(event, Some(process), exec.ancestry.first(), &exec.matches, whole),
                out,
            );
        }
        Event::Exit(exit) => {
            let whole = native::ExitDocument::new(exit, Part::Whole);
            let process = ProcessFields::ended(&exit.process);
            write_line(
                &Document::new(event, Some(process), exit.ancestry.first(), &exit.matches, whole),
                out,
            );
        }
        Event::Loss(loss) => {
            let whole = native::LossDocument::new(loss, Part::Whole);
            write_line(&Document::new(event, None, None, &[], whole), out);
        }
    }
}

#[derive(Serialize)]
struct Document<'a, W> {
    time: WallTime,
    vendor_product: &'static str,
    dest: &'a str,
    os: &'a str,
    #[serde(flatten)]
    process: Option<ProcessFields<'a>>,
    #[serde(flatten)]
    parent: Option<ParentFields<'a>>,
    #[serde(flatten)]
    alert: Option<AlertFields<'a>>,
    shipper: W,
}

impl<'a, W> Document<'a, W> {
    fn new(
        event: &'a Event,
        process: Option<ProcessFields<'a>>,
        parent: Option<&'a Ancestor>,
        matches: &'a [RuleMatch],
        whole: W,
    ) -> Self {
        let host: &Host = event.host();
        let names = [&host.os_full, &host.os_name];
        let os = names.into_iter().find(|name| !name.is_empty());
        Document {
            time: event.time(),
            vendor_product: "shipper",
            dest: &host.name,
            os: os.map_or("linux", String::as_str),
            process,
            parent: parent.map(ParentFields::new),
            alert: gravest(matches).map(AlertFields::new),
            shipper: whole,
        }
    }
}

#[derive(Serialize)]
struct ProcessFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<CommandLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_current_directory: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_exec: Option<Text<'a>>,
    process_guid: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_hash: Option<Sha256<'a>>,
    process_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_path: Option<Text<'a>>,
}

/// A user by name, or by number where it has none.
#[derive(Serialize)]
#[serde(untagged)]
enum User<'a> {
    Name(&'a str),
    Id(Shown<u32>),
}

#[derive(Serialize)]
struct ParentFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process: Option<CommandLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process_exec: Option<Text<'a>>,
    parent_process_guid: Id,
    parent_process_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_process_path: Option<Text<'a>>,
}

/// Of the gravest match; all of them are below `shipper.rules`.
#[derive(Serialize)]
struct AlertFields<'a> {
    severity: &'static str,
    signature: &'a str,
    signature_id: &'a str,
}

impl<'a> AlertFields<'a> {
    fn new(found: &'a RuleMatch) -> Self {
        AlertFields {
            severity: found.severity.as_str(),
            signature: &found.name,
            signature_id: &found.id,
        }
    }
}

impl<'a> ProcessFields<'a> {
    fn executed(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let euid = Shown(process.credentials.euid);
        let name = process.names.as_ref().and_then(|names| names.euid.as_deref());
        let executable = &*process.executable.bytes;
        ProcessFields {
            action: match &exec.failure {
                None => Some("allowed"),
                Some(failure) => failure.is_refusal().then_some("blocked"),
            },
            user: Some(name.map_or(User::Id(euid), User::Name)),
            user_id: Some(euid),
            process: Some(CommandLine(&process.args.list)),
            process_current_directory: some(&process.working_directory.bytes),
            process_exec: some(basename(executable)),
            process_guid: process.entity_id,
            process_hash: Sha256::of(exec.interpreter.as_ref().unwrap_or(&exec.file)),
            process_id: process.key.pid,
            process_name: some(&process.comm),
            process_path: some(executable),
        }
    }

    fn ended(process: &'a Ancestor) -> Self {
        let executable = process.executable.as_deref();
        ProcessFields {
            action: None,
            user: None,
            user_id: None,
            process: process.args.as_deref().map(|args| CommandLine(&args.list)),
            process_current_directory: None,
            process_exec: executable.map(basename).and_then(some),
            process_guid: process.entity_id,
            process_hash: None,
            process_id: process.key.pid,
            process_name: some(&process.comm),
            process_path: executable.and_then(some),
        }
    }
}

impl<'a> ParentFields<'a> {
    fn new(parent: &'a Ancestor) -> Self {
        let executable = parent.executable.as_deref();
        ParentFields {
            parent_process: parent.args.as_deref().map(|args| CommandLine(&args.list)),
            parent_process_exec: executable.map(basename).and_then(some),
            parent_process_guid: parent.entity_id,
            parent_process_id: parent.key.pid,
            parent_process_name: some(&parent.comm),
            parent_process_path: executable.and_then(some),
        }
    }
}
