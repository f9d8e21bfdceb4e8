//! What no deny rule may be for: what process 1, sshd and shipper itself run. A machine on which these
//! are refused cannot be mended any more. Looked at before a rule is loaded, and by `shipper validate`.

use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use common::enforce::{is_below, kinds};
use common::wire::{FILE_PRESENT, FileFacts, NO_FILE};

use super::enforce::{DenyRule, Enforce, tail};
use super::error::EnforceError;

/// What init and sshd execute, where it is there: sshd for each connection, a session of it and
/// systemd's helper, which newer versions execute first, and the shell of scripts.
const EXECUTED: [(&str, &str); 7] = [
    ("/sbin/init", "the machine boots with"),
    ("/usr/sbin/sshd", "is sshd"),
    ("/usr/lib/openssh/sshd-session", "sshd executes"),
    ("/usr/libexec/openssh/sshd-session", "sshd executes"),
    ("/usr/lib/systemd/systemd-executor", "systemd executes for each service"),
    ("/lib/systemd/systemd-executor", "systemd executes for each service"),
    ("/bin/sh", "init and sshd execute"),
];

/// Where the shell of root is.
const PASSWD: &str = "/etc/passwd";

/// The text behind a link to a file that has no name any more.
const DELETED: &[u8] = b" (deleted)";

/// A file that must never be denied to root.
#[derive(Debug)]
struct Vital {
    who: String,
    path: PathBuf,
    facts: FileFacts,
    /// Where it runs; `None` where it does not run now.
    cgroup: Option<PathBuf>,
}

/// Judges with every rule what the machine cannot do without, as executed by root.
///
/// # Errors
/// A rule would deny it, or that cannot be told.
pub fn forbid_nothing_vital(enforce: &Enforce) -> Result<(), EnforceError> {
    for rule in &enforce.rules {
        let Some(prefix) = &rule.path_prefix else { continue };
        // One that is not there yet may become anything.
        if let Ok(real) = std::fs::canonicalize(prefix)
            && real != *prefix
        {
            return Err(EnforceError::Link { rule: rule.id.clone(), path: prefix.clone(), real });
        }
    }
    let (all, unreadable) = vital(Path::new("/proc"));
    judge(enforce, &all)?;
    unreadable.map_or(Ok(()), Err)
}

fn judge(enforce: &Enforce, vital: &[Vital]) -> Result<(), EnforceError> {
    for file in vital {
        if let Some(rule) = enforce.rules.iter().find(|rule| denies_root(rule, file)) {
            return Err(EnforceError::Vital {
                rule: rule.id.clone(),
                path: file.path.clone(),
                who: file.who.clone(),
            });
        }
    }
    Ok(())
}

/// As the kernel judges, with the same code.
fn denies_root(rule: &DenyRule, file: &Vital) -> bool {
    let entry = rule.entry();
    let is_memfd = file.path.as_os_str().as_bytes().starts_with(b"/memfd:");
    let is_excepted = rule.except_uids.contains(&0)
        || file.cgroup.as_ref().is_some_and(|cgroup| {
            rule.except_cgroups.iter().any(|excepted| cgroup.starts_with(excepted))
        });
    kinds(&file.facts, is_memfd) >> entry.deny & 1 != 0
        && is_below(&entry, &tail(&file.path))
        && !is_excepted
}

/// What there is of it, and what of that could not be looked at.
fn vital(proc: &Path) -> (Vec<Vital>, Option<EnforceError>) {
    let (mut all, mut unreadable) = (Vec::new(), None);
    for (process, who) in [("1", "process 1 runs"), ("self", "is shipper itself")] {
        let link = proc.join(process).join("exe");
        match running(proc, process, who) {
            Ok(file) => all.push(file),
            Err(source) => unreadable = Some(EnforceError::Unreadable { path: link, source }),
        }
    }
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit())
            && std::fs::read(entry.path().join("comm")).is_ok_and(|comm| comm == b"sshd\n")
        {
            // It may have ended meanwhile.
            all.extend(running(proc, &name, &format!("sshd runs, process {name}")));
        }
    }
    for (path, who) in EXECUTED {
        all.extend(at(Path::new(path), who).ok());
    }
    let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
    if let Some(shell) = shell_of_root(&passwd) {
        all.extend(at(Path::new(shell), "is the shell of root").ok());
    }
    (all, unreadable)
}

fn shell_of_root(passwd: &str) -> Option<&str> {
    let root = passwd.lines().find(|line| line.split(':').nth(2) == Some("0"))?;
    root.split(':').nth(6).filter(|shell| shell.starts_with('/'))
}

/// What a process runs. Where that was replaced since, what has its name now: it would execute that.
fn running(proc: &Path, process: &str, who: &str) -> io::Result<Vital> {
    let dir = proc.join(process);
    let link = dir.join("exe");
    let mut path = std::fs::read_link(&link)?;
    if let Some(name) = path.as_os_str().as_bytes().strip_suffix(DELETED) {
        let name = PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()));
        if let Ok(replaced) = at(&name, who) {
            return Ok(Vital { cgroup: cgroup(&dir), ..replaced });
        }
        path = name;
    }
    let facts = facts(&std::fs::metadata(&link)?);
    Ok(Vital { who: who.to_owned(), path, facts, cgroup: cgroup(&dir) })
}

/// The cgroup of a process in the unified hierarchy.
fn cgroup(process: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(process.join("cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

/// A file by its name, as the kernel calls what is executed by that.
fn at(path: &Path, who: &str) -> io::Result<Vital> {
    let path = std::fs::canonicalize(path)?;
    let facts = facts(&std::fs::metadata(&path)?);
    Ok(Vital { who: who.to_owned(), path, facts, cgroup: None })
}

fn facts(file: &std::fs::Metadata) -> FileFacts {
    FileFacts {
        uid: file.uid(),
        gid: file.gid(),
        mode: file.mode(),
        links: u32::try_from(file.nlink()).unwrap_or(u32::MAX),
        flags: FILE_PRESENT,
        ..NO_FILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Deny;

    fn enforce(rule: DenyRule) -> Enforce {
        Enforce { rules: vec![rule], dry_run: true, keep: false }
    }

    fn rule(deny: Deny) -> DenyRule {
        DenyRule {
            id: "the-rule".to_owned(),
            deny,
            path_prefix: None,
            except_uids: Vec::new(),
            except_cgroups: Vec::new(),
        }
    }

    fn init() -> Vital {
        Vital {
            who: "process 1 runs".to_owned(),
            path: PathBuf::from("/usr/lib/systemd/systemd"),
            facts: FileFacts { mode: 0o100_755, links: 1, flags: FILE_PRESENT, ..NO_FILE },
            cgroup: Some(PathBuf::from("/init.scope")),
        }
    }

    fn is_denied(rule: DenyRule, file: Vital) -> bool {
        judge(&enforce(rule), &[file]).is_err()
    }

    #[test]
    fn what_init_runs_is_judged_by_every_kind_of_rule() {
        let with = |change: fn(&mut FileFacts)| {
            let mut file = init();
            change(&mut file.facts);
            file
        };
        assert!(!is_denied(rule(Deny::NotRootOwned), init()));
        assert!(is_denied(rule(Deny::NotRootOwned), with(|facts| facts.uid = 1000)));
        assert!(!is_denied(rule(Deny::WritableByOthers), init()));
        assert!(is_denied(rule(Deny::WritableByOthers), with(|facts| facts.mode = 0o100_775)));
        assert!(is_denied(rule(Deny::WritableByOthers), with(|facts| facts.mode = 0o100_757)));
        assert!(!is_denied(rule(Deny::Deleted), init()));
        assert!(is_denied(rule(Deny::Deleted), with(|facts| facts.links = 0)));
        assert!(!is_denied(rule(Deny::Memfd), init()));
        let below = |prefix: &str| DenyRule { path_prefix: Some(prefix.into()), ..rule(Deny::Any) };
        assert!(is_denied(below("/usr/lib"), init()));
        assert!(!is_denied(below("/usr/li"), init()));
    }

    #[test]
    fn an_exception_for_root_or_for_the_cgroup_of_init_lets_it_be() {
        let any = || DenyRule { path_prefix: Some("/usr".into()), ..rule(Deny::Any) };
        assert!(is_denied(any(), init()));
        assert!(!is_denied(DenyRule { except_uids: vec![1000, 0], ..any() }, init()));
        assert!(is_denied(DenyRule { except_uids: vec![1000], ..any() }, init()));
        let cgroup = |path: &str| DenyRule { except_cgroups: vec![path.into()], ..any() };
        assert!(!is_denied(cgroup("/init.scope"), init()));
        assert!(is_denied(cgroup("/init"), init()));
        assert!(is_denied(cgroup("/system.slice"), init()));
    }

    #[test]
    fn the_message_names_the_rule_and_the_file() {
        let file = Vital { facts: FileFacts { uid: 7, ..init().facts }, ..init() };
        let error = judge(&enforce(rule(Deny::NotRootOwned)), &[file]).expect_err("denied");
        let said = error.to_string();
        assert!(
            said.starts_with(
                "rule the-rule would deny /usr/lib/systemd/systemd, which process 1 runs"
            ),
            "{said}"
        );
    }

    #[test]
    fn the_shell_of_root_is_found_under_whatever_name() {
        let passwd = "daemon:x:1:1::/:/usr/sbin/nologin\ntoor:x:0:0:root:/root:/bin/zsh\n";
        assert_eq!(shell_of_root(passwd), Some("/bin/zsh"));
        assert_eq!(shell_of_root("root:x:0:0:root:/root:\n"), None);
    }

    #[test]
    fn a_prefix_that_is_a_link_is_refused_since_nothing_is_ever_below_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/usr/share", &link).expect("a link");
        let of = DenyRule { path_prefix: Some(link), ..rule(Deny::Any) };
        let error = forbid_nothing_vital(&enforce(of)).expect_err("refused");
        assert!(error.to_string().ends_with("set path_prefix: /usr/share"), "{error}");
    }

    #[test]
    fn what_runs_here_is_found() {
        let (all, _) = vital(Path::new("/proc"));
        let own = std::env::current_exe().expect("a name");
        assert!(all.iter().any(|file| file.path == own), "{all:?}");
    }
}
