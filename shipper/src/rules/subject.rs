//! What expressions are evaluated over: an event, by the fields that expressions know.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::field::{AncestorText, FlagField, ListField, NumberField, TextField};
use crate::event::{
    Ancestor, Args, Bytes, Container, DeniedBy, EntryLeader, Event, Exec, ExecutedFile, Exit,
    FileFacts, Layer, Leader, RuleMatch, Severity, gravest,
};

/// Bits of a mode.
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// What has fields. `None` is an absent one.
pub trait Subject {
    /// A text.
    fn text(&self, field: TextField) -> Option<Cow<'_, [u8]>>;
    /// A number.
    fn number(&self, field: NumberField) -> Option<i64>;
    /// A flag.
    fn flag(&self, field: FlagField) -> Option<bool>;
    /// A list.
    fn list(&self, field: ListField) -> Option<List<'_>>;
    /// All ancestors, the parent first.
    fn ancestors(&self) -> &[Ancestor];
    /// The gravest severity of the rules that matched.
    fn severity(&self) -> Option<Severity>;
}

/// A list of texts.
#[derive(Clone, Copy)]
pub enum List<'a> {
    /// As it stands in the event.
    Bytes(&'a [Bytes]),
    /// Ids of matches.
    RuleIds(&'a [RuleMatch]),
    /// Tags of matches.
    Tags(&'a [RuleMatch]),
}

impl<'a> List<'a> {
    /// Whether any of them is so.
    pub fn any(self, mut test: impl FnMut(&'a [u8]) -> bool) -> bool {
        match self {
            List::Bytes(list) => list.iter().any(|item| test(item)),
            List::RuleIds(list) => list.iter().any(|item| test(item.id.as_bytes())),
            List::Tags(list) => {
                list.iter().any(|item| item.tags.iter().any(|tag| test(tag.as_bytes())))
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            List::Bytes(list) => list.len(),
            List::RuleIds(list) => list.len(),
            List::Tags(list) => list.iter().map(|item| item.tags.len()).sum(),
        }
    }

    /// The one at this place.
    #[must_use]
    pub fn at(self, at: usize) -> Option<&'a [u8]> {
        if let List::Bytes(list) = self {
            return list.get(at).map(|item| &**item);
        }
        let mut left = at;
        let mut found = None;
        self.any(|item| {
            let here = left == 0;
            if here {
                found = Some(item);
            }
            left = left.wrapping_sub(1);
            here
        });
        found
    }
}

/// A captured event. What several rules ask for and has to be put together is so once.
pub struct Recorded<'e> {
    kind: Kind<'e>,
    command_line: OnceCell<Vec<u8>>,
    parent_command_line: OnceCell<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Kind<'e> {
    Exec(&'e Exec),
    Exit(&'e Exit),
}

impl<'e> Recorded<'e> {
    /// `None` for a report, about which no rule has anything to say.
    #[must_use]
    pub fn new(event: &'e Event) -> Option<Self> {
        let kind = match event {
            Event::Exec(exec) => Kind::Exec(exec),
            Event::Exit(exit) => Kind::Exit(exit),
            Event::Loss(_) => return None,
        };
        Some(Recorded { kind, command_line: OnceCell::new(), parent_command_line: OnceCell::new() })
    }

    fn exec(&self) -> Option<&'e Exec> {
        match self.kind {
            Kind::Exec(exec) => Some(exec),
            Kind::Exit(_) => None,
        }
    }

    /// Of the process group, and of the session.
    fn leaders(&self) -> (&'e Leader, &'e Leader) {
        match self.kind {
            Kind::Exec(exec) => (&exec.process.group_leader, &exec.process.session_leader),
            Kind::Exit(exit) => (&exit.member.group_leader, &exit.member.session_leader),
        }
    }

    fn entry_leader(&self) -> Option<&'e EntryLeader> {
        match self.kind {
            Kind::Exec(exec) => exec.entry_leader.as_ref(),
            Kind::Exit(exit) => exit.member.entry_leader.as_ref(),
        }
    }

    fn exit(&self) -> Option<&'e Exit> {
        match self.kind {
            Kind::Exec(_) => None,
            Kind::Exit(exit) => Some(exit),
        }
    }

    fn facts(&self) -> Option<&'e FileFacts> {
        self.exec()?.file.facts.as_ref()
    }

    fn container(&self) -> Option<&'e Container> {
        self.exec()?.container.as_deref()
    }

    fn args(&self) -> Option<&'e Args> {
        match self.kind {
            Kind::Exec(exec) => Some(&exec.process.args),
            Kind::Exit(exit) => exit.process.args.as_deref(),
        }
    }

    fn parent(&self) -> Option<&'e Ancestor> {
        match self.kind {
            Kind::Exec(exec) => exec.ancestry.first(),
            Kind::Exit(exit) => exit.ancestry.first(),
        }
    }

    fn matches(&self) -> &'e [RuleMatch] {
        match self.kind {
            Kind::Exec(exec) => &exec.matches,
            Kind::Exit(exit) => &exit.matches,
        }
    }
}

/// What is there and not empty: an empty path or name is one that could not be had.
fn some(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    (!bytes.is_empty()).then_some(Cow::Borrowed(bytes))
}

fn word(text: &str) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(text.as_bytes()))
}

fn joined(args: &Args) -> Vec<u8> {
    args.list.join(&b' ')
}

fn octal(mode: u32) -> Vec<u8> {
    [9, 6, 3, 0].map(|shift| b'0' + (mode >> shift & 7) as u8).to_vec()
}

fn sha256(file: &ExecutedFile) -> Option<Cow<'_, [u8]>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = file.hash.as_ref()?.sha256()?;
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Some(Cow::Owned(digits.map(|digit| DIGITS[usize::from(digit)]).collect()))
}

impl Subject for Recorded<'_> {
    fn text(&self, field: TextField) -> Option<Cow<'_, [u8]>> {
        match field {
            TextField::EventAction => word(match self.kind {
                Kind::Exec(_) => "exec",
                Kind::Exit(_) => "end",
            }),
            TextField::EventOutcome => {
                word(if self.exec()?.failure.is_some() { "failure" } else { "success" })
            }
            TextField::HostName => word(match self.kind {
                Kind::Exec(exec) => &exec.host.name,
                Kind::Exit(exit) => &exit.host.name,
            }),
            TextField::ProcessName => some(match self.kind {
                Kind::Exec(exec) => &exec.process.comm,
                Kind::Exit(exit) => &exit.process.comm,
            }),
            TextField::ProcessExecutable => some(match self.kind {
                Kind::Exec(exec) => &exec.process.executable.bytes,
                Kind::Exit(exit) => exit.process.executable.as_deref()?,
            }),
            TextField::ProcessCommandLine => {
                let args = self.args()?;
                Some(Cow::Borrowed(self.command_line.get_or_init(|| joined(args))))
            }
            TextField::ProcessWorkingDirectory => {
                some(&self.exec()?.process.working_directory.bytes)
            }
            TextField::ProcessEntityId => Some(Cow::Owned(match self.kind {
                Kind::Exec(exec) => exec.process.entity_id.hex().to_vec(),
                Kind::Exit(exit) => exit.process.entity_id.hex().to_vec(),
            })),
            TextField::ParentCommandLine => {
                let args = self.parent()?.args.as_deref()?;
                Some(Cow::Borrowed(self.parent_command_line.get_or_init(|| joined(args))))
            }
            TextField::ParentName => ancestor_text(self.parent()?, AncestorText::Name),
            TextField::ParentExecutable => ancestor_text(self.parent()?, AncestorText::Executable),
            TextField::ParentEntityId => ancestor_text(self.parent()?, AncestorText::EntityId),
            TextField::EntryType => word(self.entry_leader()?.kind.as_str()),
            TextField::EntryName => some(self.entry_leader()?.leader.comm.as_deref()?),
            TextField::SessionLeaderName => some(self.leaders().1.comm.as_deref()?),
            TextField::GroupLeaderName => some(self.leaders().0.comm.as_deref()?),
            TextField::FilePath => some(&self.exec()?.file.path.bytes),
            TextField::FileName => some(self.exec()?.file.path.name()),
            TextField::FileOwner => {
                word(self.exec()?.process.names.as_ref()?.file_owner.as_deref()?)
            }
            TextField::FileGroup => {
                word(self.exec()?.process.names.as_ref()?.file_group.as_deref()?)
            }
            TextField::FileMode => Some(Cow::Owned(octal(self.facts()?.mode))),
            TextField::FileSha256 => sha256(&self.exec()?.file),
            TextField::FileSystem => some(self.facts()?.file_system.as_ref()?.name()),
            TextField::FileOverlayLayer => word(self.facts()?.layer.map(Layer::as_str)?),
            TextField::InterpreterPath => some(&self.exec()?.interpreter.as_ref()?.path.bytes),
            TextField::UserName => word(self.exec()?.process.names.as_ref()?.euid.as_deref()?),
            TextField::RealUserName => word(self.exec()?.process.names.as_ref()?.uid.as_deref()?),
            TextField::AuditUserName => {
                word(self.exec()?.process.names.as_ref()?.loginuid.as_deref()?)
            }
            TextField::DeniedBy => {
                word(self.exec()?.failure.as_ref()?.denied_by.map(DeniedBy::as_str)?)
            }
            TextField::EnforcementRule => word(&self.exec()?.enforcement.as_ref()?.rule),
            TextField::EnforcementAction => {
                word(self.exec()?.enforcement.as_ref()?.action.as_str())
            }
            TextField::ContainerId => word(self.exec()?.container_id.as_deref()?),
            TextField::ContainerName => word(self.container()?.name.as_deref()?),
            TextField::ContainerRuntime => word(self.container()?.runtime.as_deref()?),
            TextField::ContainerImageName => word(self.container()?.image_name.as_deref()?),
            TextField::PodName => word(self.container()?.pod_name.as_deref()?),
            TextField::PodNamespace => word(self.container()?.pod_namespace.as_deref()?),
            TextField::CgroupPath => some(&self.exec()?.process.cgroup),
            TextField::ExitSignalName => match self.exit()?.status.signal_name()? {
                Cow::Borrowed(name) => word(name),
                Cow::Owned(name) => Some(Cow::Owned(name.into_bytes())),
            },
        }
    }

    fn number(&self, field: NumberField) -> Option<i64> {
        let clamped = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Some(match field {
            NumberField::ProcessPid => match self.kind {
                Kind::Exec(exec) => exec.process.key.pid.into(),
                Kind::Exit(exit) => exit.process.key.pid.into(),
            },
            NumberField::ProcessArgsCount => self.args()?.count.into(),
            NumberField::ParentPid => self.parent()?.key.pid.into(),
            NumberField::UserId => match self.kind {
                Kind::Exec(exec) => exec.process.credentials.euid,
                Kind::Exit(exit) => exit.member.euid?,
            }
            .into(),
            NumberField::RealUserId => self.exec()?.process.credentials.uid.into(),
            NumberField::SavedUserId => self.exec()?.process.credentials.suid.into(),
            NumberField::GroupId => self.exec()?.process.credentials.egid.into(),
            NumberField::AuditUserId => self.exec()?.process.loginuid?.into(),
            NumberField::UserIdBefore => {
                self.exec()?.process.credentials_before.as_ref()?.euid.into()
            }
            NumberField::FileUid => self.facts()?.uid.into(),
            NumberField::FileGid => self.facts()?.gid.into(),
            NumberField::FileSize => clamped(self.facts()?.size),
            NumberField::FileLinks => self.facts()?.links.into(),
            NumberField::InterpreterUid => {
                self.exec()?.interpreter.as_ref()?.facts.as_ref()?.uid.into()
            }
            NumberField::FailureErrno => self.exec()?.failure.as_ref()?.errno.into(),
            NumberField::ExitCode => self.exit()?.status.code().into(),
            NumberField::ExitSignal => self.exit()?.status.signal()?.into(),
            NumberField::ExitDurationNs => clamped(self.exit()?.duration_ns),
        })
    }

    fn flag(&self, field: FlagField) -> Option<bool> {
        let mode = |bit: u32| Some(self.facts()?.mode & bit != 0);
        match field {
            FlagField::FileNotRootOwned => self.exec()?.file.not_root_owned(),
            FlagField::FileMemfd => Some(self.facts()?.memfd),
            FlagField::FileDeleted => Some(self.facts()?.deleted),
            FlagField::FileSetuid => mode(SETUID),
            FlagField::FileSetgid => mode(SETGID),
            FlagField::FileWorldWritable => mode(OTHERS_WRITE),
            FlagField::FileGroupWritable => mode(GROUP_WRITE),
            FlagField::FileNosuid => Some(self.facts()?.nosuid),
            FlagField::FileReadOnly => Some(self.facts()?.read_only),
            FlagField::ProcessInteractive => match self.kind {
                Kind::Exec(exec) => Some(exec.process.tty.is_some()),
                Kind::Exit(exit) => exit.interactive(),
            },
            FlagField::NoNewPrivs => Some(self.exec()?.process.no_new_privs),
            FlagField::ExitCoreDumped => Some(self.exit()?.status.core_dumped()),
        }
    }

    fn list(&self, field: ListField) -> Option<List<'_>> {
        match field {
            ListField::ProcessArgs => Some(List::Bytes(&self.args()?.list)),
            ListField::ParentArgs => Some(List::Bytes(&self.parent()?.args.as_deref()?.list)),
            ListField::ProcessEnvVars => Some(List::Bytes(&self.exec()?.process.env.list)),
            ListField::Rules => Some(List::RuleIds(self.matches())),
            ListField::Tags => Some(List::Tags(self.matches())),
        }
    }

    fn ancestors(&self) -> &[Ancestor] {
        match self.kind {
            Kind::Exec(exec) => &exec.ancestry,
            Kind::Exit(exit) => &exit.ancestry,
        }
    }

    fn severity(&self) -> Option<Severity> {
        gravest(self.matches()).map(|found| found.severity)
    }
}

/// A text of an ancestor.
#[must_use]
pub fn ancestor_text(ancestor: &Ancestor, field: AncestorText) -> Option<Cow<'_, [u8]>> {
    match field {
        AncestorText::Name => some(&ancestor.comm),
        AncestorText::Executable => some(ancestor.executable.as_deref()?),
        AncestorText::CommandLine => Some(Cow::Owned(joined(ancestor.args.as_deref()?))),
        AncestorText::EntityId => Some(Cow::Owned(ancestor.entity_id.hex().to_vec())),
    }
}
