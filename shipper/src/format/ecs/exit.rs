//! The document of the end of a process.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;

use super::super::alike::{MatchFields, redacted_of_end, tags};
use super::super::text::Long;
use super::fields::{EventFields, HostFields, Ids, Terminal};
use super::leaders::Leaders;
use super::own::{AncestorRaw, Ancestors};
use super::rules::RuleFields;
use super::{AGENT, Agent, ECS, Ext, ParentFields, Version};
use crate::event::{Exit, WallTime};

const NS_PER_SECOND: u64 = 1_000_000_000;

#[derive(Serialize)]
pub(super) struct ExitDocument<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: WallTime,
    ecs: Version,
    event: EventFields<'a>,
    agent: Agent,
    host: HostFields<'a>,
    process: ProcessFields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Ids<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    shipper: Own<'a>,
}

#[derive(Serialize)]
struct ProcessFields<'a> {
    #[serde(flatten)]
    known: ParentFields<'a>,
    end: WallTime,
    uptime: Long,
    exit_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    interactive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<Terminal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Ids<'a>>,
    #[serde(flatten)]
    leaders: Leaders<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentFields<'a>>,
    #[serde(rename = "Ext")]
    ext: Ext<'a>,
}

/// Everything under `shipper.`.
#[derive(Serialize)]
struct Own<'a> {
    source: &'static str,
    exit: Ending,
    ancestry: Ancestors<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ancestry_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    args_bytes: Option<Long>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_unreadable: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    redacted: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<AncestorRaw<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<MatchFields<'a>>,
    boot_ns: Long,
    cpu: u32,
}

#[derive(Serialize)]
struct Ending {
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_name: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    core_dumped: Option<bool>,
    duration_ns: Long,
}

impl<'a> ExitDocument<'a> {
    pub(super) fn new(exit: &'a Exit) -> Self {
        let (process, status) = (&exit.process, exit.status);
        let args = process.args.as_deref();
        let member = &exit.member;
        let user = || member.euid.map(|euid| Ids::new(euid, None));
        ExitDocument {
            timestamp: exit.time,
            ecs: ECS,
            event: EventFields::exit(exit),
            agent: AGENT,
            host: HostFields::new(&exit.host),
            process: ProcessFields {
                known: ParentFields::new(process),
                end: exit.time,
                uptime: Long(exit.duration_ns / NS_PER_SECOND),
                exit_code: status.code(),
                interactive: exit.interactive(),
                tty: member.tty.map(Terminal::new),
                user: user(),
                leaders: Leaders::of_end(exit),
                parent: exit.ancestry.first().map(ParentFields::new),
                ext: Ext { ancestry: &exit.ancestry },
            },
            user: user(),
            rule: RuleFields::new(&exit.matches, None),
            tags: tags(&exit.matches),
            shipper: Own {
                source: process.source.as_str(),
                exit: Ending {
                    signal: status.signal(),
                    signal_name: status.signal_name(),
                    core_dumped: status.signal().map(|_| status.core_dumped()),
                    duration_ns: Long(exit.duration_ns),
                },
                ancestry: Ancestors(&exit.ancestry),
                ancestry_cut: exit.ancestry_cut,
                args_bytes: args.map(|args| Long(args.bytes_total)),
                args_truncated: args.is_some_and(|args| args.truncated),
                args_unreadable: args.is_some_and(|args| args.faulted),
                redacted: redacted_of_end(exit),
                raw: AncestorRaw::new(process),
                rules: MatchFields::all(&exit.matches),
                boot_ns: Long(exit.boot_ns),
                cpu: exit.cpu,
            },
        }
    }
}
