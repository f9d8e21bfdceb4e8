//! Every field an ECS event of ours can have: name, type, meaning. `shipper schema event` and the
//! tests read this table; a test holds it to the official list of ECS.

use serde_json::{Map, Value, json};

/// The type of a field, as ECS names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string that is matched whole.
    Keyword,
    /// A list of them.
    Keywords,
    /// A long string that is searched with wildcards.
    Wildcard,
    /// A text in words, which is searched by them.
    Text,
    /// A whole number of 64 bits, signed.
    Long,
    /// True or false.
    Boolean,
    /// RFC 3339 in UTC, nine digits of the second.
    Date,
    /// A list of objects whose fields follow in the table.
    Objects,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it says, and where that comes from.
    pub meaning: &'static str,
}

macro_rules! fields {
    ($($name:literal $kind:ident $meaning:literal,)*) => {
        /// All fields, in the order of an event.
        pub const FIELDS: &[Field] =
            &[$(Field { name: $name, kind: Kind::$kind, meaning: $meaning },)*];
    };
}

fields! {
    "@timestamp" Date "When the program was executed, or the process ended; for a loss, when it was noticed",
    "ecs.version" Keyword "Version of the Elastic Common Schema",
    "event.kind" Keyword "`event`; `pipeline_error` for a report of lost records, `metric` for one of records that were left out as configured",
    "event.category" Keywords "`process`",
    "event.type" Keywords "`start`; `end` for the end of a process",
    "event.action" Keyword "`exec`; `end` for the end of a process (capture.exit); `events-lost` for a report of lost records, `events-left-out` for one of records that were left out as configured",
    "event.outcome" Keyword "`success` of an exec, or `failure` of an attempt: then `process` is the one that tried and goes on, and its arguments are those that it handed over",
    "event.reason" Keyword "What was lost or left out and why, or what a deny rule made of the exec, in words",
    "event.severity" Long "Of the gravest rule that matched: 0 informational, 21 low, 47 medium, 73 high, 99 critical",
    "event.id" Keyword "Identity of the event: the same exec or end read twice has the same id",
    "event.created" Date "When the daemon read the record",
    "event.sequence" Long "Number of this exec among those of its CPU since capture began; ends count by themselves",
    "event.module" Keyword "`shipper`",
    "event.dataset" Keyword "`shipper.process`",
    "agent.type" Keyword "`shipper`",
    "agent.version" Keyword "Version of shipper",
    "host.name" Keyword "Host name (uname)",
    "host.hostname" Keyword "The same",
    "host.id" Keyword "/etc/machine-id",
    "host.architecture" Keyword "Machine architecture (uname)",
    "host.boot.id" Keyword "Random id of this boot",
    "host.os.type" Keyword "`linux`",
    "host.os.kernel" Keyword "Kernel release (uname)",
    "host.os.platform" Keyword "ID of os-release",
    "host.os.name" Keyword "NAME of os-release",
    "host.os.version" Keyword "VERSION_ID of os-release",
    "host.os.full" Keyword "PRETTY_NAME of os-release",
    "process.pid" Long "Process id in the initial pid namespace (task_struct.tgid)",
    "process.vpid" Long "Process id in its own pid namespace",
    "process.thread.id" Long "Thread that called exec; differs from the pid when it was not the leader",
    "process.thread.capabilities.effective" Keywords "Effective capabilities after the exec",
    "process.thread.capabilities.permitted" Keywords "Permitted capabilities after the exec",
    "process.entity_id" Keyword "Identity of the process, from machine, boot, pid and start time",
    "process.name" Keyword "Task name; whole, where the kernel cut it at 15 bytes and the file's name goes on",
    "process.executable" Keyword "Path of the binary that was loaded: the interpreter of a script",
    "process.hash.sha256" Keyword "SHA-256 of the binary that was loaded, as it was executed (enrich.hash)",
    "process.args" Keywords "Arguments from the new address space, argv[0] included; of an end at most 4096 bytes",
    "process.args_count" Long "Number of arguments, also of those that were cut (linux_binprm.argc)",
    "process.command_line" Wildcard "The arguments joined by spaces",
    "process.env_vars" Keywords "Environment variables that capture.env names, `NAME=value`, as it was executed with them; a name given twice is there twice",
    "process.working_directory" Keyword "Working directory",
    "process.start" Date "When the process was made (fork)",
    "process.end" Date "When the last of its threads ended",
    "process.uptime" Long "Seconds from start to end",
    "process.exit_code" Long "Exit status; 128 and the number of the signal, as shells count, when a signal ended it (shipper.exit.signal)",
    "process.interactive" Boolean "It has a controlling terminal",
    "process.tty.char_device.major" Long "Major device number of the controlling terminal",
    "process.tty.char_device.minor" Long "Minor device number of it",
    "process.user.id" Keyword "Effective user id after the exec",
    "process.user.name" Keyword "Its name, where the process is in the host's user and mount namespace",
    "process.real_user.id" Keyword "Real user id",
    "process.real_user.name" Keyword "Its name",
    "process.saved_user.id" Keyword "Saved user id",
    "process.saved_user.name" Keyword "Its name",
    "process.group.id" Keyword "Effective group id",
    "process.group.name" Keyword "Its name",
    "process.real_group.id" Keyword "Real group id",
    "process.real_group.name" Keyword "Its name",
    "process.saved_group.id" Keyword "Saved group id",
    "process.saved_group.name" Keyword "Its name",
    "process.group_leader.pid" Long "Process group id",
    "process.group_leader.entity_id" Keyword "Identity of its leader, if that process is known",
    "process.group_leader.start" Date "When it was made",
    "process.group_leader.name" Keyword "Its name",
    "process.group_leader.executable" Keyword "Its binary",
    "process.group_leader.user.id" Keyword "Its effective user id, as last seen",
    "process.group_leader.user.name" Keyword "Its name, where the process is in the host's user and mount namespace",
    "process.group_leader.interactive" Boolean "It has a controlling terminal",
    "process.group_leader.same_as_process" Boolean "It is the process itself",
    "process.session_leader.pid" Long "Session id",
    "process.session_leader.entity_id" Keyword "Identity of its leader, if that process is known",
    "process.session_leader.start" Date "When it was made",
    "process.session_leader.name" Keyword "Its name",
    "process.session_leader.executable" Keyword "Its binary",
    "process.session_leader.args" Keywords "Its arguments, at most 4096 bytes",
    "process.session_leader.args_count" Long "Number of its arguments",
    "process.session_leader.user.id" Keyword "Its effective user id, as last seen",
    "process.session_leader.user.name" Keyword "Its name, where the process is in the host's user and mount namespace",
    "process.session_leader.interactive" Boolean "It has a controlling terminal",
    "process.session_leader.same_as_process" Boolean "It is the process itself",
    "process.entry_leader.pid" Long "Process by which somebody or something came onto this machine and, in the end, executed this",
    "process.entry_leader.entity_id" Keyword "Its identity",
    "process.entry_leader.start" Date "When it was made",
    "process.entry_leader.name" Keyword "Its name",
    "process.entry_leader.executable" Keyword "Its binary",
    "process.entry_leader.args" Keywords "Its arguments, at most 4096 bytes",
    "process.entry_leader.args_count" Long "Number of its arguments",
    "process.entry_leader.user.id" Keyword "Its effective user id, as last seen",
    "process.entry_leader.user.name" Keyword "Its name, where the process is in the host's user and mount namespace",
    "process.entry_leader.interactive" Boolean "It has a controlling terminal",
    "process.entry_leader.same_as_process" Boolean "It is the process itself",
    "process.entry_leader.entry_meta.type" Keyword "The way: `init` (a service), `sshd`, `ssm`, `container`, `terminal` (serial line), `console`, `kthread`, `unknown`",
    "process.parent.pid" Long "Process that made this one, also when it has ended since",
    "process.parent.entity_id" Keyword "Its identity",
    "process.parent.start" Date "When it was made",
    "process.parent.name" Keyword "Its name",
    "process.parent.executable" Keyword "Its binary",
    "process.parent.args" Keywords "Its arguments, at most 4096 bytes",
    "process.parent.args_count" Long "Number of its arguments",
    "process.parent.command_line" Wildcard "Its arguments joined by spaces",
    "process.Ext.ancestry" Keywords "Identities of all ancestors, the parent first",
    "user.id" Keyword "Effective user id",
    "user.name" Keyword "Its name",
    "user.audit.id" Keyword "Login user id (loginuid): who logged in, whatever su and sudo did since",
    "user.audit.name" Keyword "Its name",
    "file.path" Keyword "The file that was asked for: the script, not its interpreter",
    "file.name" Keyword "Its name",
    "file.uid" Keyword "Its owner",
    "file.gid" Keyword "Its group",
    "file.owner" Keyword "Name of its owner",
    "file.group" Keyword "Name of its group",
    "file.mode" Keyword "Its permission bits, octal",
    "file.inode" Keyword "Its inode number",
    "file.device" Keyword "Device of its file system, major:minor",
    "file.size" Long "Its size in bytes",
    "file.mtime" Date "Last change of its content",
    "file.ctime" Date "Last change of its content or inode",
    "file.hash.sha256" Keyword "Its SHA-256, as it was executed (enrich.hash)",
    "error.code" Keyword "Name of the error of an attempt that failed, such as EACCES",
    "error.message" Text "What it says",
    "rule.id" Keyword "Gravest rule that matched (rules), the first where several are; else the deny rule that is for it (enforce.rules)",
    "rule.name" Keyword "Name of a rule that matched",
    "tags" Keywords "Tags of all rules that matched",
    "container.id" Keyword "Container id in the cgroup path",
    "container.name" Keyword "Its name; within its pod, where it is in one",
    "container.runtime" Keyword "`docker`, `containerd`, `cri-o` or `podman`",
    "container.image.name" Keyword "Its image, without tag and digest",
    "container.image.tag" Keywords "Tag of its image",
    "orchestrator.type" Keyword "`kubernetes`, for a container of a pod",
    "orchestrator.namespace" Keyword "Namespace of the pod",
    "orchestrator.resource.type" Keyword "`pod`",
    "orchestrator.resource.id" Keyword "Uid of the pod, from the cgroup path",
    "orchestrator.resource.name" Keyword "Name of the pod",
    "shipper.file_not_root_owned" Boolean "The file asked for is not owned by root; absent when the owner is not known",
    "shipper.file_source" Keyword "Where owner and mode come from: `kernel`, `procfs` (looked up afterwards) or `unknown`",
    "shipper.file.links" Long "Hard links of the file asked for",
    "shipper.file.setuid" Boolean "It has the setuid bit",
    "shipper.file.setgid" Boolean "It has the setgid bit",
    "shipper.file.deleted" Boolean "It has no name any more",
    "shipper.file.memfd" Boolean "It is an anonymous file in memory",
    "shipper.file.hash_missing" Keyword "Why it has no hash: late, too_large, unreadable, changed, not_a_file (what has its name now), gone (no way leads to it any more), unknown (which file it was), unsure (changed within 10 ms before the exec, so that a change after it may not show)",
    "shipper.file.file_system" Keyword "Type of its file system",
    "shipper.file.nosuid" Boolean "Its mount ignores setuid, setgid and file capabilities",
    "shipper.file.noexec" Boolean "Its mount allows no execution",
    "shipper.file.read_only" Boolean "Its mount cannot be written to",
    "shipper.file.overlay_layer" Keyword "On overlayfs: `upper`, put there or changed since, or `lower`, as the image had it",
    "shipper.interpreter.path" Keyword "Binary that was loaded for a script",
    "shipper.interpreter.uid" Keyword "Its owner",
    "shipper.interpreter.gid" Keyword "Its group",
    "shipper.interpreter.mode" Keyword "Its permission bits, octal",
    "shipper.interpreter.inode" Keyword "Its inode number",
    "shipper.interpreter.device" Keyword "Device of its file system, major:minor",
    "shipper.interpreter.size" Long "Its size in bytes",
    "shipper.interpreter.mtime" Date "Last change of its content",
    "shipper.interpreter.ctime" Date "Last change of its content or inode",
    "shipper.interpreter.source" Keyword "Where these come from: `kernel` or `unknown`",
    "shipper.interpreter.hash.sha256" Keyword "SHA-256 of it, as process.hash.sha256",
    "shipper.interpreter.hash_missing" Keyword "Why it has no hash, as shipper.file.hash_missing",
    "shipper.source" Keyword "Of an end: where name, binary, arguments and parent come from: `event`, `procfs` or `unknown`",
    "shipper.exit.signal" Long "Signal that ended the process; absent when it ended by itself",
    "shipper.exit.signal_name" Keyword "Its name, such as SIGKILL",
    "shipper.exit.core_dumped" Boolean "A core file was written; absent without a signal",
    "shipper.exit.duration_ns" Long "Nanoseconds from start to end",
    "shipper.ancestry" Objects "All ancestors, the parent first",
    "shipper.ancestry.pid" Long "Process id",
    "shipper.ancestry.entity_id" Keyword "Identity",
    "shipper.ancestry.start" Date "When it was made",
    "shipper.ancestry.name" Keyword "Name",
    "shipper.ancestry.executable" Keyword "Binary",
    "shipper.ancestry.args" Keywords "Arguments, at most 4096 bytes",
    "shipper.ancestry.args_count" Long "Number of arguments",
    "shipper.ancestry.args_truncated" Boolean "The arguments were cut",
    "shipper.ancestry.raw.name" Keyword "Name in base64, when it is not UTF-8",
    "shipper.ancestry.raw.executable" Keyword "Binary in base64, when it is not UTF-8",
    "shipper.ancestry.raw.args" Keywords "All arguments in base64, when one of them is not UTF-8",
    "shipper.ancestry.source" Keyword "Where name, binary and arguments come from: `event`, `procfs`, `kernel` (name alone) or `unknown`",
    "shipper.ancestry_cut" Boolean "There are more ancestors (enrich.ancestry_depth_max)",
    "shipper.args_bytes" Long "Bytes of all arguments with their NULs, before any cut",
    "shipper.args_truncated" Boolean "Arguments were cut (capture.argv_bytes_max; of an end at 4096 bytes)",
    "shipper.args_unreadable" Boolean "A page of the arguments could not be read; they end before it",
    "shipper.env_truncated" Boolean "Only the first 32 KiB of the environment were looked at, or variables were left out of an event that was too large: more of process.env_vars may have been there, and the last one may be cut",
    "shipper.env_unreadable" Boolean "A page of the environment could not be read; what lies behind it is missing in process.env_vars",
    "shipper.redacted" Keywords "Kinds of secrets that were taken out of arguments and variables of the process, its ancestors and leaders, such as `password_option`, or the name of an own pattern; `[redacted:KIND]` stands in their place, with redact.hash_key and a hash `[redacted:KIND:HASH]`. Counts and lengths are of the arguments as they were",
    "shipper.paths_cut" Keywords "Fields whose path lacks leading directories: deeper than 64 or longer than 4096 bytes",
    "shipper.paths_unreachable" Keywords "Fields whose path is not below the root of the process",
    "shipper.raw.name" Keyword "process.name in base64, when it is not UTF-8",
    "shipper.raw.executable" Keyword "process.executable in base64, when it is not UTF-8",
    "shipper.raw.args" Keywords "All of process.args in base64, when one of them is not UTF-8",
    "shipper.raw.env_vars" Keywords "All of process.env_vars in base64, when one of them is not UTF-8",
    "shipper.raw.working_directory" Keyword "process.working_directory in base64, when it is not UTF-8",
    "shipper.raw.file_path" Keyword "file.path in base64, when it is not UTF-8",
    "shipper.raw.cgroup_path" Keyword "shipper.cgroup.path in base64, when it is not UTF-8",
    "shipper.credentials.fsuid" Keyword "User id for file access",
    "shipper.credentials.fsgid" Keyword "Group id for file access",
    "shipper.credentials.securebits" Long "Set of SECBIT_*",
    "shipper.credentials.securebits_set" Keywords "The same by name",
    "shipper.credentials.capabilities.inheritable" Keyword "Capability set, 16 hexadecimal digits",
    "shipper.credentials.capabilities.permitted" Keyword "Capability set",
    "shipper.credentials.capabilities.effective" Keyword "Capability set",
    "shipper.credentials.capabilities.bounding" Keyword "Capability set",
    "shipper.credentials.capabilities.ambient" Keyword "Capability set",
    "shipper.credentials.inheritable" Keywords "Inheritable capabilities by name",
    "shipper.credentials.ambient" Keywords "Ambient capabilities by name",
    "shipper.credentials.bounding_dropped" Keywords "Capabilities that the bounding set lacks",
    "shipper.credentials_before.uid" Keyword "Real user id before the exec; absent where the capture mode cannot tell",
    "shipper.credentials_before.gid" Keyword "Real group id before the exec",
    "shipper.credentials_before.euid" Keyword "Effective user id before the exec",
    "shipper.credentials_before.egid" Keyword "Effective group id before the exec",
    "shipper.credentials_before.suid" Keyword "Saved user id before the exec",
    "shipper.credentials_before.sgid" Keyword "Saved group id before the exec",
    "shipper.credentials_before.fsuid" Keyword "User id for file access before the exec",
    "shipper.credentials_before.fsgid" Keyword "Group id for file access before the exec",
    "shipper.credentials_before.securebits" Long "Set of SECBIT_* before the exec",
    "shipper.credentials_before.securebits_set" Keywords "The same by name before the exec",
    "shipper.credentials_before.capabilities.inheritable" Keyword "Capability set before the exec",
    "shipper.credentials_before.capabilities.permitted" Keyword "Capability set before the exec",
    "shipper.credentials_before.capabilities.effective" Keyword "Capability set before the exec",
    "shipper.credentials_before.capabilities.bounding" Keyword "Capability set before the exec",
    "shipper.credentials_before.capabilities.ambient" Keyword "Capability set before the exec",
    "shipper.credentials_before.inheritable" Keywords "Inheritable capabilities by name before the exec",
    "shipper.credentials_before.ambient" Keywords "Ambient capabilities by name before the exec",
    "shipper.credentials_before.bounding_dropped" Keywords "Capabilities that the bounding set lacks before the exec",
    "shipper.no_new_privs" Boolean "No exec can give it privileges (PR_SET_NO_NEW_PRIVS)",
    "shipper.user_namespace.uid" Keyword "Real user id as the process sees it, outside the initial user namespace; absent where it is not mapped",
    "shipper.user_namespace.gid" Keyword "Real group id as the process sees it",
    "shipper.user_namespace.euid" Keyword "Effective user id as the process sees it",
    "shipper.user_namespace.egid" Keyword "Effective group id as the process sees it",
    "shipper.user_namespace.suid" Keyword "Saved user id as the process sees it",
    "shipper.user_namespace.sgid" Keyword "Saved group id as the process sees it",
    "shipper.audit_session" Keyword "Session id of the audit subsystem",
    "shipper.failure.errno" Long "Number of the error of an attempt that failed",
    "shipper.failure.denied_by" Keyword "`lsm`: a security module of the kernel refused; `shipper`: a deny rule",
    "shipper.enforcement.rule" Keyword "Deny rule that is for it",
    "shipper.enforcement.action" Keyword "`denied`: it was refused; `would_deny`: it was let go, since dry_run was set or the daemon was gone; `not_judged`: it was let go, since it could not be told whether the rule is for it",
    "shipper.rules" Objects "All rules that matched, as they are configured",
    "shipper.rules.id" Keyword "Id of the rule",
    "shipper.rules.name" Keyword "Its name, or its id where it has none",
    "shipper.rules.severity" Keyword "informational, low, medium, high or critical",
    "shipper.rules.tags" Keywords "Its tags",
    "shipper.namespaces.mnt" Long "Inode number of the mount namespace; 0 where the kernel has none",
    "shipper.namespaces.pid" Long "Of the pid namespace",
    "shipper.namespaces.net" Long "Of the network namespace",
    "shipper.namespaces.uts" Long "Of the host name namespace",
    "shipper.namespaces.ipc" Long "Of the IPC namespace",
    "shipper.namespaces.cgroup" Long "Of the cgroup namespace",
    "shipper.namespaces.time" Long "Of the clock namespace",
    "shipper.namespaces.user" Long "Of the user namespace",
    "shipper.cgroup.id" Keyword "Id of the cgroup",
    "shipper.cgroup.path" Keyword "Its path in the unified hierarchy, or of the pids controller (cgroup v1)",
    "shipper.container_source" Keyword "`runtime`: names of container, image and pod are from the runtime's own files; absent when those could not be read",
    "shipper.boot_ns" Long "Time of the exec or end in nanoseconds since boot, which no clock change moves",
    "shipper.cpu" Long "CPU of the record; event.sequence counts per CPU",
    "shipper.loss.stage" Keyword "Where records were lost: ring_full, kernel_recursion, unreadable, undecodable, spool_full, spool_damaged, too_large, quarantined; or why they were left out: excluded_tree, excluded_user, excluded_namespace, excluded_cgroup, rate_limited; rule_suppressed, rule_folded (of a rule: the events are there)",
    "shipper.loss.kind" Keyword "What was lost or left out: exec (events), exit (events with capture.exit, else ancestry is less sure), fork (ancestry is less sure), record (captured events of any kind), match (what a rule said of events)",
    "shipper.loss.sink" Keyword "The sink that did not get them; absent when no sink did",
    "shipper.loss.cgroup" Keyword "Path of the cgroup that had more than its share (rate_limited)",
    "shipper.loss.rule" Keyword "The rule whose matches were left out (rule_suppressed, rule_folded)",
    "shipper.loss.count" Long "How many records",
    "shipper.loss.first" Date "Not before this moment",
    "shipper.loss.last" Date "Not after this moment",
}

/// JSON Schema (2020-12) of one event.
#[must_use]
pub fn schema() -> Value {
    let mut root = object();
    for field in FIELDS {
        let mut at = &mut root;
        let mut parts = field.name.split('.').peekable();
        while let Some(part) = parts.next() {
            if at["type"] == "array" {
                at = &mut at["items"];
            }
            let properties = &mut at["properties"];
            if !properties[part].is_object() {
                properties[part] = if parts.peek().is_some() { object() } else { leaf(field) };
            }
            at = &mut properties[part];
        }
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("shipper event (ECS)");
    root["required"] = json!(["@timestamp", "ecs", "event", "agent", "host", "shipper"]);
    root
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": Map::new() })
}

fn leaf(field: &Field) -> Value {
    let mut leaf = match field.kind {
        Kind::Keyword | Kind::Wildcard | Kind::Text => json!({ "type": "string" }),
        Kind::Keywords => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Long => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Date => json!({ "type": "string", "format": "date-time" }),
        Kind::Objects => json!({ "type": "array", "items": object() }),
    };
    leaf["description"] = json!(field.meaning);
    leaf
}

/// What in an event is not as the table says: unknown fields, wrong types, nulls. Empty when all is.
#[must_use]
pub fn check(event: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    walk(event, String::new(), &mut wrong);
    wrong
}

fn walk(value: &Value, name: String, wrong: &mut Vec<String>) {
    let known = FIELDS.iter().find(|field| field.name == name).map(|field| field.kind);
    let strings = |list: &[Value]| list.iter().all(Value::is_string);
    match (value, known) {
        (Value::Object(map), None) => {
            for (key, inner) in map {
                let inner_name =
                    if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                walk(inner, inner_name, wrong);
            }
        }
        (Value::Array(list), Some(Kind::Objects)) => {
            for item in list {
                for (key, inner) in item.as_object().into_iter().flatten() {
                    walk(inner, format!("{name}.{key}"), wrong);
                }
            }
        }
        (Value::Array(list), Some(Kind::Keywords)) if strings(list) => {}
        (Value::String(text), Some(Kind::Date)) if text.parse::<jiff::Timestamp>().is_ok() => {}
        (Value::String(_), Some(Kind::Keyword | Kind::Wildcard | Kind::Text))
        | (Value::Bool(_), Some(Kind::Boolean)) => {}
        (Value::Number(number), Some(Kind::Long)) if number.is_i64() => {}
        (_, None) => wrong.push(format!("{name} is not in the table")),
        (value, Some(kind)) => wrong.push(format!("{name} is not {kind:?}: {value}")),
    }
}
