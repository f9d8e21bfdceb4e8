//! The fields that expressions know: name, type, where ECS has it, meaning. `shipper rules fields`
//! prints these tables.

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<F> {
    /// Which field.
    pub field: F,
    /// Its name in expressions.
    pub name: &'static str,
    /// Its name in an ECS event.
    pub ecs: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! fields {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident $name:literal $ecs:literal $meaning:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $(#[doc = $meaning] $variant,)*
        }

        impl $kind {
            /// Every one, in the order of its number.
            pub const TABLE: &[Row<$kind>] = &[$(Row {
                field: $kind::$variant,
                name: $name,
                ecs: $ecs,
                meaning: $meaning,
            },)*];
        }
    };
}

fields! {
    /// Texts: bytes as the kernel had them, compared byte by byte.
    TextField {
        EventAction "event.action" "event.action" "`exec`, or `end` for the end of a process",
        EventOutcome "event.outcome" "event.outcome" "`success`, or `failure` for an attempt that failed; of an exec",
        HostName "host.name" "host.name" "Name of the machine",
        ProcessName "process.name" "process.name" "Name of the process after the exec",
        ProcessExecutable "process.executable" "process.executable" "Path of the loaded binary; the interpreter for a script",
        ProcessCommandLine "process.command_line" "process.command_line" "Arguments joined by single blanks",
        ProcessWorkingDirectory "process.working_directory" "process.working_directory" "Working directory; of an exec",
        ProcessEntityId "process.entity_id" "process.entity_id" "Identity of the process",
        ParentName "process.parent.name" "process.parent.name" "Name of the parent",
        ParentExecutable "process.parent.executable" "process.parent.executable" "Its binary",
        ParentCommandLine "process.parent.command_line" "process.parent.command_line" "Its arguments joined by single blanks",
        ParentEntityId "process.parent.entity_id" "process.parent.entity_id" "Its identity",
        EntryType "process.entry_leader.entry_meta.type" "process.entry_leader.entry_meta.type" "By which way somebody came onto the machine: init, sshd, ssm, container, terminal, console, kthread, unknown",
        EntryName "process.entry_leader.name" "process.entry_leader.name" "Name of the process by which that was",
        SessionLeaderName "process.session_leader.name" "process.session_leader.name" "Name of the session leader",
        GroupLeaderName "process.group_leader.name" "process.group_leader.name" "Name of the leader of the process group",
        FilePath "file.path" "file.path" "Path of the file asked for: the script, not its interpreter",
        FileName "file.name" "file.name" "Its last component",
        FileOwner "file.owner" "file.owner" "Name of its owner, where the process shares the host's users",
        FileGroup "file.group" "file.group" "Name of its group, likewise",
        FileMode "file.mode" "file.mode" "Its permission bits, four octal digits",
        FileSha256 "file.hash.sha256" "file.hash.sha256" "Its SHA-256, 64 lower-case digits (enrich.hash)",
        FileSystem "file.file_system" "shipper.file.file_system" "Type of its file system",
        FileOverlayLayer "file.overlay_layer" "shipper.file.overlay_layer" "On overlayfs: `upper`, put there or changed since, or `lower`",
        InterpreterPath "interpreter.path" "shipper.interpreter.path" "Binary that was loaded for a script",
        UserName "user.name" "user.name" "Name of the effective user, where the process shares the host's users",
        RealUserName "process.real_user.name" "process.real_user.name" "Name of the real user, likewise",
        AuditUserName "user.audit.name" "user.audit.name" "Name of the login user, likewise",
        DeniedBy "failure.denied_by" "shipper.failure.denied_by" "Who refused an attempt: `lsm` or `shipper`",
        EnforcementRule "enforcement.rule" "shipper.enforcement.rule" "Deny rule that is for it",
        EnforcementAction "enforcement.action" "shipper.enforcement.action" "`denied`, `would_deny` or `not_judged`",
        ContainerId "container.id" "container.id" "Container id",
        ContainerName "container.name" "container.name" "Its name",
        ContainerRuntime "container.runtime" "container.runtime" "`docker`, `containerd`, `cri-o` or `podman`",
        ContainerImageName "container.image.name" "container.image.name" "Its image, without tag and digest",
        PodName "orchestrator.resource.name" "orchestrator.resource.name" "Name of its pod",
        PodNamespace "orchestrator.namespace" "orchestrator.namespace" "Namespace of its pod",
        CgroupPath "cgroup.path" "shipper.cgroup.path" "Path of the cgroup",
        ExitSignalName "exit.signal_name" "shipper.exit.signal_name" "Signal that ended the process, such as SIGKILL",
    }
}

fields! {
    /// Whole numbers.
    NumberField {
        ProcessPid "process.pid" "process.pid" "Process id",
        ProcessArgsCount "process.args_count" "process.args_count" "How many arguments there are, those that were cut included",
        ParentPid "process.parent.pid" "process.parent.pid" "Process id of the parent",
        UserId "user.id" "user.id" "Effective user; of an end as last seen",
        RealUserId "process.real_user.id" "process.real_user.id" "Real user; of an exec, as the ids that follow",
        SavedUserId "process.saved_user.id" "process.saved_user.id" "Saved user",
        GroupId "process.group.id" "process.group.id" "Effective group",
        AuditUserId "user.audit.id" "user.audit.id" "Login user of the audit subsystem",
        UserIdBefore "credentials_before.euid" "shipper.credentials_before.euid" "Effective user before the exec, where the capture mode can tell",
        FileUid "file.uid" "file.uid" "Owner of the file asked for; absent where it is not known",
        FileGid "file.gid" "file.gid" "Its group",
        FileSize "file.size" "file.size" "Its size in bytes",
        FileLinks "file.links" "shipper.file.links" "Its hard links",
        InterpreterUid "interpreter.uid" "shipper.interpreter.uid" "Owner of the interpreter",
        FailureErrno "failure.errno" "shipper.failure.errno" "Number of the error of an attempt that failed",
        ExitCode "process.exit_code" "process.exit_code" "Exit status as a shell has it; of an end",
        ExitSignal "exit.signal" "shipper.exit.signal" "Signal that ended the process",
        ExitDurationNs "exit.duration_ns" "shipper.exit.duration_ns" "Nanoseconds from start to end",
    }
}

fields! {
    /// True or false.
    FlagField {
        FileNotRootOwned "file.not_root_owned" "shipper.file_not_root_owned" "Root does not own the file asked for; absent where the owner is not known",
        FileMemfd "file.memfd" "shipper.file.memfd" "It is an anonymous file in memory",
        FileDeleted "file.deleted" "shipper.file.deleted" "It has no name any more",
        FileSetuid "file.setuid" "shipper.file.setuid" "It has the setuid bit",
        FileSetgid "file.setgid" "shipper.file.setgid" "It has the setgid bit",
        FileWorldWritable "file.world_writable" "file.mode" "Everybody may write to it",
        FileGroupWritable "file.group_writable" "file.mode" "Its group may write to it",
        FileNosuid "file.nosuid" "shipper.file.nosuid" "Its mount ignores setuid, setgid and file capabilities",
        FileReadOnly "file.read_only" "shipper.file.read_only" "Its mount cannot be written to",
        ProcessInteractive "process.interactive" "process.interactive" "It has a controlling terminal; of an end as last seen",
        NoNewPrivs "process.no_new_privs" "shipper.no_new_privs" "No exec can give it privileges",
        ExitCoreDumped "exit.core_dumped" "shipper.exit.core_dumped" "A core file was written",
    }
}

fields! {
    /// Lists of texts.
    ListField {
        ProcessArgs "process.args" "process.args" "Arguments, argv[0] included",
        ParentArgs "process.parent.args" "process.parent.args" "Those of the parent, at most 4096 bytes",
        ProcessEnvVars "process.env_vars" "process.env_vars" "Recorded environment variables, NAME=value",
        Rules "rules" "shipper.rules.id" "Ids of the rules that matched; in `when` of a sink",
        Tags "tags" "tags" "Their tags; in `when` of a sink",
    }
}

fields! {
    /// Texts of an ancestor, in `ancestors.exists(a, ...)`.
    AncestorText {
        Name "name" "name" "Its name",
        Executable "executable" "executable" "Its binary",
        CommandLine "command_line" "args" "Its arguments joined by single blanks",
        EntityId "entity_id" "entity_id" "Its identity",
    }
}

impl ListField {
    /// Whether it is known only once the rules have been tried.
    #[must_use]
    pub fn is_of_matches(self) -> bool {
        matches!(self, ListField::Rules | ListField::Tags)
    }
}

/// A field by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A text.
    Text(TextField),
    /// A number.
    Number(NumberField),
    /// A flag.
    Flag(FlagField),
    /// A list of texts.
    List(ListField),
}

impl Field {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        fn find<F: Copy + PartialEq>(table: &[Row<F>], field: F) -> &'static str {
            table.iter().find(|row| row.field == field).map_or("", |row| row.name)
        }
        match self {
            Field::Text(field) => find(TextField::TABLE, field),
            Field::Number(field) => find(NumberField::TABLE, field),
            Field::Flag(field) => find(FlagField::TABLE, field),
            Field::List(field) => find(ListField::TABLE, field),
        }
    }

    /// The field of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Field> {
        fn find<F: Copy>(table: &[Row<F>], name: &str) -> Option<F> {
            table.iter().find(|row| row.name == name).map(|row| row.field)
        }
        find(TextField::TABLE, name)
            .map(Field::Text)
            .or_else(|| find(NumberField::TABLE, name).map(Field::Number))
            .or_else(|| find(FlagField::TABLE, name).map(Field::Flag))
            .or_else(|| find(ListField::TABLE, name).map(Field::List))
    }

    /// Every field with its name and type in words.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        fn rows<F>(
            table: &'static [Row<F>],
            kind: &'static str,
        ) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
            table.iter().map(move |row| (row.name, kind, row.meaning))
        }
        rows(TextField::TABLE, "text")
            .chain(rows(NumberField::TABLE, "number"))
            .chain(rows(FlagField::TABLE, "flag"))
            .chain(rows(ListField::TABLE, "list of texts"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_leads_to_its_field() {
        let names: Vec<&str> = Field::all().map(|(name, ..)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for (name, kind, _) in Field::all() {
            let found = match Field::of_name(name) {
                Some(Field::Text(_)) => "text",
                Some(Field::Number(_)) => "number",
                Some(Field::Flag(_)) => "flag",
                Some(Field::List(_)) => "list of texts",
                None => "none",
            };
            assert_eq!(found, kind, "{name}");
            assert_eq!(Field::of_name(name).map(Field::name), Some(name));
        }
        for (at, row) in TextField::TABLE.iter().enumerate() {
            assert_eq!(row.field as usize, at, "records are read by the number");
        }
    }

    #[test]
    fn every_field_of_ecs_is_one_that_events_have() {
        use crate::format::ecs::schema::FIELDS;
        fn names<F>(table: &[Row<F>]) -> Vec<&'static str> {
            table.iter().map(|row| row.ecs).collect()
        }
        let all = [
            names(TextField::TABLE),
            names(NumberField::TABLE),
            names(FlagField::TABLE),
            names(ListField::TABLE),
        ];
        for name in all.into_iter().flatten() {
            assert!(FIELDS.iter().any(|field| field.name == name), "{name}");
        }
    }
}
