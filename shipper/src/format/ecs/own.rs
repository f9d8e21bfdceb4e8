//! Everything under `shipper.`: what ECS has no field for.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use super::super::alike::{
    EnforcementFields, FailureFields, MatchFields, NamespaceFields, redacted,
};
use super::super::capabilities::{CapabilityNames, CapabilitySets, SecureBits};
use super::super::text::{Exact, Exacts, Long, Shown, Text, exact, exact_list, some};
use super::fields::Hash;
use super::{Facts, ParentFields};
use crate::event::{
    Ancestor, Credentials, Exec, ExecutedFile, HashMissing, InsideIds, Layer, Path,
};

/// Everything under `shipper.`.
#[derive(Serialize)]
pub(super) struct Own<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file_not_root_owned: Option<bool>,
    file_source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<OwnFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<Interpreter<'a>>,
    ancestry: Ancestors<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ancestry_cut: bool,
    args_bytes: Long,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_unreadable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    env_truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    env_unreadable: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    redacted: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths_cut: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths_unreachable: Vec<&'static str>,
    #[serde(skip_serializing_if = "Raw::is_empty")]
    raw: Raw<'a>,
    credentials: OwnCredentials,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_before: Option<CredentialsBefore>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_new_privs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_namespace: Option<UserNamespace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_session: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcement: Option<EnforcementFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<MatchFields<'a>>,
    namespaces: NamespaceFields,
    cgroup: Cgroup<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_source: Option<&'static str>,
    boot_ns: Long,
    cpu: u32,
}

#[derive(Serialize)]
struct OwnFile<'a> {
    #[serde(flatten)]
    facts: Option<OwnFacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_missing: Option<&'static str>,
}

#[derive(Serialize)]
struct OwnFacts<'a> {
    links: u32,
    setuid: bool,
    setgid: bool,
    deleted: bool,
    memfd: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_system: Option<Text<'a>>,
    nosuid: bool,
    noexec: bool,
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay_layer: Option<&'static str>,
}

#[derive(Serialize)]
struct Interpreter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Hash<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_missing: Option<&'static str>,
}

/// All ancestors, the parent first.
pub(super) struct Ancestors<'a>(pub(super) &'a [Ancestor]);

impl Serialize for Ancestors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(OwnAncestor::new))
    }
}

#[derive(Serialize)]
struct OwnAncestor<'a> {
    #[serde(flatten)]
    process: ParentFields<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<AncestorRaw<'a>>,
    source: &'static str,
}

/// Exact bytes of what is not UTF-8 in an ancestor.
#[derive(Serialize)]
pub(super) struct AncestorRaw<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Exacts<'a>>,
}

/// Exact bytes of what is not UTF-8.
#[derive(Serialize)]
struct Raw<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Exact<'a>>,
    /// All arguments, when any of them needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Exacts<'a>>,
    /// All variables, when any of them needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_vars: Option<Exacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<Exact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_path: Option<Exact<'a>>,
}

#[derive(Serialize)]
struct OwnCredentials {
    fsuid: Shown<u32>,
    fsgid: Shown<u32>,
    securebits: u32,
    #[serde(skip_serializing_if = "SecureBits::is_empty")]
    securebits_set: SecureBits,
    capabilities: CapabilitySets,
    #[serde(skip_serializing_if = "CapabilityNames::is_empty")]
    inheritable: CapabilityNames,
    #[serde(skip_serializing_if = "CapabilityNames::is_empty")]
    ambient: CapabilityNames,
    #[serde(skip_serializing_if = "CapabilityNames::is_empty")]
    bounding_dropped: CapabilityNames,
}

/// Ids as the process sees them itself.
#[derive(Serialize)]
struct UserNamespace {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    euid: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egid: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suid: Option<Shown<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sgid: Option<Shown<u32>>,
}

#[derive(Serialize)]
struct CredentialsBefore {
    uid: Shown<u32>,
    gid: Shown<u32>,
    euid: Shown<u32>,
    egid: Shown<u32>,
    suid: Shown<u32>,
    sgid: Shown<u32>,
    #[serde(flatten)]
    more: OwnCredentials,
}

#[derive(Serialize)]
struct Cgroup<'a> {
    id: Shown<u64>,
    path: Text<'a>,
}

impl<'a> Own<'a> {
    /// Of an execution.
    pub(super) fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        let paths: [(&'static str, &Path); 3] = [
            ("process.executable", &process.executable),
            ("process.working_directory", &process.working_directory),
            ("file.path", &exec.file.path),
        ];
        let with = |test: fn(&Path) -> bool| {
            paths.iter().filter(|(_, path)| test(path)).map(|(name, _)| *name).collect()
        };
        Own {
            file_not_root_owned: exec.file.not_root_owned(),
            file_source: exec.file.source.as_str(),
            file: OwnFile::new(&exec.file),
            interpreter: exec.interpreter.as_ref().map(Interpreter::new),
            ancestry: Ancestors(&exec.ancestry),
            ancestry_cut: exec.ancestry_cut,
            args_bytes: Long(process.args.bytes_total),
            args_truncated: process.args.truncated,
            args_unreadable: process.args.faulted,
            env_truncated: process.env.truncated,
            env_unreadable: process.env.faulted,
            redacted: redacted(exec),
            paths_cut: with(|path| path.cut),
            paths_unreachable: with(|path| path.unreachable),
            raw: Raw::new(exec),
            credentials: OwnCredentials::new(&process.credentials),
            credentials_before: process.credentials_before.as_ref().map(CredentialsBefore::new),
            no_new_privs: process.no_new_privs,
            user_namespace: process.inside.map(UserNamespace::new),
            audit_session: process.audit_session.map(Shown),
            failure: exec.failure.as_ref().map(FailureFields::new),
            enforcement: exec.enforcement.as_ref().map(EnforcementFields::new),
            rules: MatchFields::all(&exec.matches),
            namespaces: NamespaceFields::new(&process.namespaces),
            cgroup: Cgroup { id: Shown(process.cgroup_id), path: Text(&process.cgroup) },
            container_source: exec
                .container
                .as_ref()
                .filter(|container| container.from_runtime)
                .map(|_| "runtime"),
            boot_ns: Long(exec.boot_ns),
            cpu: exec.cpu,
        }
    }
}

impl<'a> OwnFile<'a> {
    fn new(file: &'a ExecutedFile) -> Option<Self> {
        let facts = file.facts.as_ref().map(|facts| OwnFacts {
            links: facts.links,
            setuid: facts.mode & 0o4000 != 0,
            setgid: facts.mode & 0o2000 != 0,
            deleted: facts.deleted,
            memfd: facts.memfd,
            file_system: facts.file_system.as_ref().map(|kind| Text(kind.name())),
            nosuid: facts.nosuid,
            noexec: facts.noexec,
            read_only: facts.read_only,
            overlay_layer: facts.layer.map(Layer::as_str),
        });
        let hash_missing = hash_missing(file);
        (facts.is_some() || hash_missing.is_some()).then_some(OwnFile { facts, hash_missing })
    }
}

fn hash_missing(file: &ExecutedFile) -> Option<&'static str> {
    file.hash.as_ref()?.missing().map(HashMissing::as_str)
}

impl<'a> Interpreter<'a> {
    fn new(file: &'a ExecutedFile) -> Self {
        Interpreter {
            path: some(&file.path.bytes),
            facts: file.facts.as_ref().map(|facts| Facts::new(facts, None, None)),
            source: file.source.as_str(),
            hash: Hash::of(file),
            hash_missing: hash_missing(file),
        }
    }
}

impl<'a> Raw<'a> {
    fn new(exec: &'a Exec) -> Self {
        let process = &exec.process;
        Raw {
            name: exact(&process.comm),
            executable: exact(&process.executable.bytes),
            args: exact_list(&process.args.list),
            env_vars: exact_list(&process.env.list),
            working_directory: exact(&process.working_directory.bytes),
            file_path: exact(&exec.file.path.bytes),
            cgroup_path: exact(&process.cgroup),
        }
    }

    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.executable.is_none()
            && self.args.is_none()
            && self.env_vars.is_none()
            && self.working_directory.is_none()
            && self.file_path.is_none()
            && self.cgroup_path.is_none()
    }
}

impl<'a> OwnAncestor<'a> {
    fn new(ancestor: &'a Ancestor) -> Self {
        OwnAncestor {
            process: ParentFields { command_line: None, ..ParentFields::new(ancestor) },
            args_truncated: ancestor.args.as_ref().is_some_and(|args| args.truncated),
            raw: AncestorRaw::new(ancestor),
            source: ancestor.source.as_str(),
        }
    }
}

impl<'a> AncestorRaw<'a> {
    pub(super) fn new(ancestor: &'a Ancestor) -> Option<Self> {
        let raw = AncestorRaw {
            name: exact(&ancestor.comm),
            executable: ancestor.executable.as_deref().and_then(exact),
            args: ancestor.args.as_deref().and_then(|args| exact_list(&args.list)),
        };
        (raw.name.is_some() || raw.executable.is_some() || raw.args.is_some()).then_some(raw)
    }
}

impl OwnCredentials {
    fn new(ids: &Credentials) -> Self {
        OwnCredentials {
            fsuid: Shown(ids.fsuid),
            fsgid: Shown(ids.fsgid),
            securebits: ids.securebits,
            securebits_set: SecureBits(ids.securebits),
            capabilities: CapabilitySets(ids.capabilities),
            inheritable: CapabilityNames(ids.capabilities.inheritable),
            ambient: CapabilityNames(ids.capabilities.ambient),
            bounding_dropped: CapabilityNames::dropped(ids.capabilities.bounding),
        }
    }
}

impl UserNamespace {
    fn new(ids: InsideIds) -> Self {
        let InsideIds { uid, gid, euid, egid, suid, sgid } = ids;
        let [uid, gid, euid, egid, suid, sgid] =
            [uid, gid, euid, egid, suid, sgid].map(|id| id.map(Shown));
        UserNamespace { uid, gid, euid, egid, suid, sgid }
    }
}

impl CredentialsBefore {
    fn new(ids: &Credentials) -> Self {
        CredentialsBefore {
            uid: Shown(ids.uid),
            gid: Shown(ids.gid),
            euid: Shown(ids.euid),
            egid: Shown(ids.egid),
            suid: Shown(ids.suid),
            sgid: Shown(ids.sgid),
            more: OwnCredentials::new(ids),
        }
    }
}
