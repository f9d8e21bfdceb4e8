//! The entry leader: the process by which somebody or something came onto this machine and, in the
//! end, executed a program. Elastic's Session View puts together what has the same one.
//!
//! The rules are those by which Elastic's own agents find it, so that sessions of hosts with either
//! look alike: a leader of a session on a serial line, a `login` at a virtual console, a child of the
//! first process, a child of sshd that is not sshd, the first process of a container or one that was
//! put into it, a shell of the Systems Manager's agent. Everything else belongs to the entry of its
//! parent. Three things are taken from what is known here and not there:
//!
//! - Ancestors are those that forked. A program that is put into the background and whose parent ends
//!   stays with the login it came from; it does not become a service since init adopted it.
//! - A process is in a container by its cgroup, not only by the name of what started it: runc executes
//!   itself from memory under names of its own.
//! - sshd is `sshd-session` as well, which it is called since OpenSSH 9.8.

use crate::event::EntryKind;

/// The first process, and the one that makes all kernel threads.
const INIT_PID: u32 = 1;
const KTHREADD_PID: u32 = 2;

/// Names of what starts containers, as beginnings.
const RUNTIMES: [&str; 3] = ["containerd-shim", "runc", "conmon"];

/// Names of helpers on the way into a container, as beginnings: never an entry by themselves.
const HELPERS: [&str; 5] = ["runc", "containerd-shim", "calico-node", "check-status", "conmon"];

/// A process on the way up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Member<'a> {
    /// Its pid in the initial namespace.
    pub pid: u32,
    /// Name of the file it runs; of the task, where the file is not known.
    pub name: &'a [u8],
    /// Its session.
    pub sid: Option<u32>,
    /// Its controlling terminal, device (major, minor).
    pub tty: Option<(u32, u32)>,
    /// Id of its container.
    pub container: Option<&'a str>,
}

impl Member<'_> {
    fn leads_session(&self) -> bool {
        self.sid == Some(self.pid)
    }

    fn is_sshd(&self) -> bool {
        matches!(self.name, b"sshd" | b"sshd-session")
    }

    fn begins_with_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.starts_with(name.as_bytes()))
    }

    fn is_helper(&self) -> bool {
        self.begins_with_one_of(&HELPERS)
    }

    /// Whether it leads the first session in its container: none above it in there leads one.
    fn enters_container(&self, above: &[Member<'_>]) -> bool {
        let mut inside = above.iter().take_while(|member| member.container == self.container);
        self.container.is_some()
            && !self.is_helper()
            && !inside.any(|member| member.leads_session() && !member.is_helper())
    }

    /// The way by which this one itself came, if it did not come with its parent. `above` are its
    /// ancestors, the parent first.
    fn own_kind(&self, above: &[Member<'_>]) -> Option<EntryKind> {
        match self.pid {
            INIT_PID => return Some(EntryKind::Init),
            KTHREADD_PID => return Some(EntryKind::Kthread),
            _ if !self.leads_session() => return None,
            _ => {}
        }
        // Of major 4, the first 64 are virtual consoles, the rest serial lines; 136 to 143 are what
        // terminals over a network or in a window have.
        match self.tty {
            Some((4, 64..=255)) => return Some(EntryKind::Terminal),
            Some((4, 0..=63)) if self.name == b"login" => return Some(EntryKind::Console),
            _ => {}
        }
        if self.enters_container(above) {
            return Some(EntryKind::Container);
        }
        let parent = above.first()?;
        match parent.pid {
            INIT_PID => return Some(EntryKind::Init),
            KTHREADD_PID => return Some(EntryKind::Kthread),
            _ if self.is_helper() => return None,
            _ => {}
        }
        if matches!(self.tty, Some((136..=143, _))) && parent.name == b"ssm-session-worker" {
            return Some(EntryKind::Ssm);
        }
        if parent.is_sshd() && !self.is_sshd() {
            return Some(EntryKind::Sshd);
        }
        parent.begins_with_one_of(&RUNTIMES).then_some(EntryKind::Container)
    }
}

/// Which of the members, the process first and then its ancestors, is the entry leader. Where the
/// chain ends before one, it is the topmost leader of a session.
pub fn find(members: &[Member<'_>]) -> Option<(usize, EntryKind)> {
    let known = members.iter().enumerate().find_map(|(at, member)| {
        let above = members.get(at + 1..).unwrap_or_default();
        member.own_kind(above).map(|kind| (at, kind))
    });
    known.or_else(|| {
        let at = members.iter().rposition(Member::leads_session)?;
        Some((at, EntryKind::Unknown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTS: Option<(u32, u32)> = Some((136, 3));

    /// Chains are written from the first process down: names, `*` for who leads a session, `@` for
    /// who is in a container. Pids are 1 for `init`, 2 for `kthreadd`, else from 100 on.
    fn kind(chain: &str, tty: Option<(u32, u32)>) -> Option<(String, EntryKind)> {
        let mut members: Vec<Member<'_>> = Vec::new();
        for (at, word) in chain.split(' ').enumerate() {
            let name = word.trim_end_matches(['*', '@']);
            let pid = match name {
                "init" => 1,
                "kthreadd" => 2,
                _ => 100 + at as u32,
            };
            let sid = word.contains('*').then_some(pid).or(members.last().and_then(|up| up.sid));
            let container = word.contains('@').then_some("c0ffee");
            members.push(Member { pid, name: name.as_bytes(), sid, tty: None, container });
        }
        members.reverse();
        if let Some(leader) = members.iter_mut().find(|member| member.leads_session()) {
            leader.tty = tty;
        }
        let (at, kind) = find(&members)?;
        Some((String::from_utf8_lossy(members[at].name).into_owned(), kind))
    }

    #[test]
    fn every_way_onto_a_machine_is_told_by_its_leader() {
        use EntryKind::{Console, Container, Init, Kthread, Sshd, Ssm, Terminal};
        let cases = [
            ("init* nginx* sh ls", None, "nginx", Init),
            ("init* cron* cron sh* job", None, "cron", Init),
            ("init* rc helper", None, "init", Init),
            ("init* sshd* sshd* bash* ls", PTS, "bash", Sshd),
            ("init* sshd* sshd-session* sshd-session bash* vim", PTS, "bash", Sshd),
            ("init* sshd* sshd* bash* sudo bash* id", PTS, "bash", Sshd),
            ("init* sshd* sshd-session* unix_chkpwd", None, "sshd", Init),
            ("init* agent* ssm-agent-worker ssm-session-worker sh* ls", PTS, "sh", Ssm),
            ("init* agent* ssm-session-worker sh* ls", None, "agent", Init),
            ("init* login* bash", Some((4, 2)), "login", Console),
            ("init* agetty* bash", Some((4, 2)), "agetty", Init),
            ("init* login* bash", Some((4, 64)), "login", Terminal),
            ("init* containerd-shim-runc-v2* nginx* sh", None, "nginx", Container),
            ("init* containerd-shim* runc runc* bash* ls", PTS, "bash", Container),
            ("init* conmon* crun", None, "conmon", Init),
            ("init* conmon* sleep*", None, "sleep", Container),
            ("init* podman* exe exe* bash*@ ls@", PTS, "bash", Container),
            ("init* shim* exe@ tini*@ setsid*@ ls@", None, "tini", Container),
            ("kthreadd kworker modprobe", None, "kthreadd", Kthread),
            ("kthreadd helper* sh", None, "helper", Kthread),
        ];
        for (chain, tty, leader, kind) in cases {
            assert_eq!(self::kind(chain, tty), Some((leader.to_owned(), kind)), "{chain}");
        }
    }

    #[test]
    fn a_terminal_in_a_window_or_by_script_belongs_to_the_session_it_was_opened_in() {
        assert_eq!(
            kind("init* sshd* bash* script bash* ls", PTS),
            Some(("bash".to_owned(), EntryKind::Sshd))
        );
    }

    #[test]
    fn where_the_chain_ends_the_topmost_session_leader_stands_for_what_is_not_known() {
        let unknown = |name: &str| Some((name.to_owned(), EntryKind::Unknown));
        assert_eq!(kind("top shell* setsid* ls", None), unknown("shell"));
        assert_eq!(kind("top ls", None), None);
        assert_eq!(kind("", None), None);
        assert_eq!(find(&[]), None);
        assert_eq!(
            kind("sh*@ ls@", None),
            Some(("sh".to_owned(), EntryKind::Container)),
            "it is in a container, whoever put it there"
        );
    }
}
